"""A model whose layers have channels first -> the same with channels last inside, as CPUs want."""

from __future__ import annotations

from typing import Any

import numpy as np

from toolkit.errors import ModelError
from toolkit.models.graph import Rebuilding, graph_of

_FIRST = "channels_first"
_SOFT = ("softmax", "log_softmax", "sparsemax", "glu")
_ALIKE = {
    *("Activation", "ReLU", "LeakyReLU", "ELU", "Dropout", "GaussianNoise", "GaussianDropout"),
    *("AlphaDropout", "Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Rescaling"),
}
"""Layers that do the same to each value, wherever it stands."""


def channels_last(model: Any) -> Any:
    """The model itself, or a copy without a layer of channels first; its input stays as it is.

    TensorFlow has no convolution of that order on most CPUs. Weights stay what they are. Raises
    ModelError for such a model that is code and no graph, or such a layer over time.

    >>> import keras
    >>> conv = keras.layers.Conv2D(2, 3, data_format="channels_first")
    >>> found = channels_last(keras.Sequential([keras.Input((3, 8, 8)), conv]))
    >>> found.input_shape, found.output_shape
    ((None, 3, 8, 8), (None, 2, 6, 6))
    """
    layers = list(model._flatten_layers(include_self=False, recursive=True))
    if not any(map(_is_first, layers)):
        return model
    for layer in layers:
        inner = getattr(layer, "layer", layer)
        if _is_first(inner) and (inner is not layer or "LSTM" in type(inner).__name__):
            raise ModelError(
                f"layer {layer.name} ({type(layer).__name__}) has channels first",
                "channels last in a layer over time",
                "train it so",
            )
    return _Turning().model(graph_of(model))


class _Turning:
    """Layers made again with channels last; beside each tensor stands what it is so turned."""

    def __init__(self) -> None:
        """Start with nothing turned."""
        self.building = Rebuilding()
        self.last: dict[int, Any] = {}
        self.kept: list[Any] = []  # an id is of no use once its tensor is gone

    def model(self, graph: Any) -> Any:
        """The whole model, made again."""
        return self.building.model(graph, self.call)

    def call(self, node: Any, args: Any, kwargs: Any) -> Any:
        """One layer made again, its channels last where that is the same."""
        import keras

        layer = node.operation
        given = keras.tree.flatten(args)
        kind = type(layer).__name__
        if _is_first(layer):
            if _along(layer):
                raise ModelError(
                    f"layer {layer.name} has channels first and {layer.activation.__name__} along "
                    "the width",
                    "an activation of its own after it",
                    "train it so",
                )
            # Flatten turns its input itself, so that weights after it fit channels last
            made = self.building.layer(layer, data_format="channels_last")(self.turned(given[0]))
            return self.back(made)
        if all(id(one) in self.last for one in given) and not kwargs:
            turned = [self.last[id(one)] for one in given]
            if kind in _ALIKE and isinstance(layer, keras.layers.Layer) and not _along(layer):
                return self.back(
                    self.building.layer(layer)(*keras.tree.pack_sequence_as(args, turned))
                )
            if kind == "BatchNormalization" and layer.axis == 1:
                return self.back(self.building.layer(layer, axis=-1)(turned[0]))
        return self.building.again(node, args, kwargs)

    def turned(self, tensor: Any) -> Any:
        """The tensor with its channels last."""
        import keras

        if id(tensor) in self.last:
            return self.last[id(tensor)]
        return keras.layers.Permute((*range(2, len(tensor.shape)), 1))(tensor)

    def back(self, tensor: Any) -> Any:
        """The tensor with its channels first, as the old graph has it, known to be turned."""
        import keras

        rank = len(tensor.shape)
        if rank < 3:
            return tensor  # a mean over all places has channels alone
        first = keras.layers.Permute((rank - 1, *range(1, rank - 1)))(tensor)
        self.last[id(first)] = tensor
        self.kept.append(first)
        return first


def _along(layer: Any) -> bool:
    """Whether a layer looks along the last axis, which is no channel where these come first."""
    name = getattr(getattr(layer, "activation", None), "__name__", "")
    lists = any(np.ndim(getattr(layer, setting, 0)) for setting in ("scale", "offset"))
    return name in _SOFT or (type(layer).__name__ == "Rescaling" and lists)


def _is_first(layer: Any) -> bool:
    return getattr(layer, "data_format", None) == _FIRST
