"""A model that computes in fewer bits while it trains, as float32: what devices run."""

from __future__ import annotations

from typing import Any

from toolkit.models.graph import Rebuilding
from toolkit.models.mends import for_inference


def full(model: Any) -> Any:
    """The model itself, or a copy that computes in float32 where a layer of it does not.

    Weights stay what they are. Raises ModelError for such a model that is code and no graph.

    >>> import keras
    >>> layers = [keras.Input((3,)), keras.layers.Dense(2, "softmax", dtype="mixed_float16")]
    >>> full(keras.Sequential(layers)).layers[-1].compute_dtype
    'float32'
    """
    import keras

    layers = model._flatten_layers(include_self=False, recursive=True)
    if all(layer.compute_dtype in (None, "float32") for layer in layers if layer.weights):
        return model
    building = Rebuilding()

    def call(node: Any, args: Any, kwargs: Any) -> Any:
        layer = node.operation
        if not isinstance(layer, keras.layers.Layer):
            return building.again(node, args, kwargs)
        # wrappers hold the configs of other layers
        config = for_inference(layer.get_config())
        return building.layer(layer, **config)(*args, **kwargs)

    return building.model(model, call)
