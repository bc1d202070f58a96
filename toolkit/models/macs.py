"""What a Keras net costs, known before it is exported: multiplications and bytes."""

from __future__ import annotations

import math
from typing import Any

from toolkit.models.graph import graph_of, nodes_of

_ONE = ("kernel",)
_TWO = ("depthwise_kernel", "pointwise_kernel")
KERNELS = {
    "Conv1D": _ONE,
    "Conv1DTranspose": _ONE,
    "Conv2D": _ONE,
    "Conv2DTranspose": _ONE,
    "Dense": _ONE,
    "DepthwiseConv1D": _ONE,
    "DepthwiseConv2D": _ONE,
    "SeparableConv1D": _TWO,
    "SeparableConv2D": _TWO,
}
"""Layer class -> its kernels, each of whose values is used once at every position."""

BYTES = 4
"""Of one weight as it is trained, f32."""


def nbytes(model: Any) -> int:
    """Bytes of all weights as f32; an `.onnx` of it has about as many, before int8 or float16."""
    return BYTES * int(model.count_params())


def macs(model: Any) -> int:
    """Multiplications and additions that kernels need for one row.

    Unknown lengths count as 1; products of two activations, as in attention, are not counted.

    >>> import keras
    >>> macs(keras.Sequential([keras.layers.Input((8, 8, 3)), keras.layers.Conv2D(5, 3)]))
    4860
    """
    return sum(map(_of, nodes_of(graph_of(model))))


def _of(node: Any) -> int:
    import keras

    layer = node.operation
    if isinstance(layer, keras.Model):
        return macs(layer)
    if isinstance(layer, keras.layers.RNN | keras.layers.Bidirectional):
        # every kernel once a step
        used: int = sum(math.prod(w.shape) for w in layer.weights if "kernel" in w.path)
        return used * int(node.input_tensors[0].shape[1] or 1)
    names = KERNELS.get(type(layer).__name__, ())
    values: int = sum(math.prod(getattr(layer, name).shape) for name in names)
    return positions(node) * values


def positions(node: Any) -> int:
    """How often a kernel is used: places of the output, or of the input when transposed."""
    spread = "Transpose" in type(node.operation).__name__
    shape = (node.input_tensors if spread else node.outputs)[0].shape
    first = getattr(node.operation, "data_format", "channels_last") == "channels_first"
    return math.prod(size or 1 for size in (shape[2:] if first else shape[1:-1]))
