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
    if isinstance(layer, keras.layers.TimeDistributed):
        return _inside(layer.layer, node) * int(node.input_tensors[0].shape[1] or 1)
    if isinstance(layer, keras.layers.MultiHeadAttention):
        return _attention(layer, node)
    names = KERNELS.get(type(layer).__name__, ())
    values: int = sum(math.prod(getattr(layer, name).shape) for name in names)
    return positions(node) * values


def _inside(layer: Any, node: Any) -> int:
    """Of a layer or model that is applied to each step by itself."""
    import keras

    if isinstance(layer, keras.Model):
        return macs(layer)
    shape = node.input_tensors[0].shape
    alone = keras.Input((*shape[2:],))
    return macs(keras.Model(alone, layer(alone)))


def _attention(layer: Any, node: Any) -> int:
    """The dense layers of each step, and every step beside every other, twice."""
    query, key = (int(t.shape[1] or 1) for t in (node.input_tensors[0], node.input_tensors[-1]))
    found = 0
    for name, steps in (("query", query), ("key", key), ("value", key), ("output", query)):
        found += steps * math.prod(getattr(layer, f"_{name}_dense").kernel.shape)
    return found + int(query * key * layer.num_heads * (layer.key_dim + layer.value_dim))


def positions(node: Any) -> int:
    """How often a kernel is used: places of the output, or of the input when transposed."""
    spread = "Transpose" in type(node.operation).__name__
    shape = (node.input_tensors if spread else node.outputs)[0].shape
    first = getattr(node.operation, "data_format", "channels_last") == "channels_first"
    return math.prod(size or 1 for size in (shape[2:] if first else shape[1:-1]))
