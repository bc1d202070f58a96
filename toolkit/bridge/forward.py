"""Keras 3 model -> its twin in tf_keras: the same graph, layer by layer, and the same weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from toolkit.bridge import operations
from toolkit.bridge.configs import built, cannot
from toolkit.models.graph import Names, graph_of, walk
from toolkit.undisturbed import undisturbed


@dataclass(frozen=True, eq=False)
class Twin:
    """A tf_keras model and, by the names of its layers, the Keras 3 layers they stand for."""

    model: Any
    layers: dict[str, Any] = field(default_factory=dict)


@undisturbed()
def to_tf_keras(model: Any, *, make: Callable[[Any, str], Any] = built) -> Twin:
    """Rebuild a Keras 3 model in tf_keras; nested models become part of the one graph.

    make: (Keras 3 layer, name) -> tf_keras layer, whose first weights are those of the Keras 3
    layer. Raises ModelError that names the layer which tf_keras cannot hold.
    """
    import keras
    import tf_keras

    graph = graph_of(model)
    names = Names()
    made: dict[int, Any] = {}
    sources: dict[str, Any] = {}

    def call(node: Any, args: Any, kwargs: Any) -> Any:
        layer = node.operation
        if not isinstance(layer, keras.layers.Layer):
            return operations.call(layer, args, kwargs, names.free(layer.name))
        if id(layer) not in made:
            made[id(layer)] = make(layer, names.free(layer.name))
            sources[made[id(layer)].name] = layer
        return made[id(layer)](*args, **kwargs)

    inputs = [
        tf_keras.Input(batch_shape=tuple(t.shape), dtype=t.dtype, name=names.free(f"input_{i}"))
        for i, t in enumerate(graph._inputs)
    ]
    outputs = walk(graph, inputs, call)
    twin = tf_keras.Model(inputs[0] if len(inputs) == 1 else inputs, outputs, name=model.name)
    for name, layer in sources.items():
        ours, theirs = steady(layer), own(twin.get_layer(name))
        if len(theirs) < len(ours) and theirs:
            raise cannot(layer, "it has other weights there")
        # a layer without weights there has them in its config (Normalization's mean)
        for weight, value in zip(theirs, ours, strict=False):
            weight.assign(value.numpy().reshape(weight.shape))
    return Twin(twin, sources)


def steady(layer: Any) -> list[Any]:
    """The weights of a layer without the states of random generators."""
    return [w for w in layer.weights if "seed_generator" not in w.path]


def own(layer: Any) -> list[Any]:
    """The weights of a tf_keras layer in the order of its class; of a TFMOT wrapper, those inside.

    A wrapper takes the weights that it rounds out of the layer it wraps.
    """
    rounded = [weight for weight, _, _ in getattr(layer, "_weight_vars", ())]
    inside = layer.layer.weights if rounded else layer.weights
    return rounded + [w for w in inside if all(w is not r for r in rounded)]
