"""Multiplications: how much a device has to compute for one row."""

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


def macs(model: Any) -> int:
    """Multiplications and additions that dense layers and convolutions need for one row.

    Unknown lengths count as 1; recurrent layers and attention are not counted.

    >>> import keras
    >>> macs(keras.Sequential([keras.layers.Input((8, 8, 3)), keras.layers.Conv2D(5, 3)]))
    4860
    """
    return sum(map(_of, nodes_of(graph_of(model))))


def _of(node: Any) -> int:
    layer = node.operation
    if hasattr(layer, "_nodes_by_depth") or hasattr(layer, "_functional"):
        return macs(layer)
    kernels = KERNELS.get(type(layer).__name__, ())
    values: int = sum(math.prod(getattr(layer, kernel).shape) for kernel in kernels)
    return positions(node) * values


def positions(node: Any) -> int:
    """How often a kernel is used: places of the output, or of the input when transposed."""
    spread = "Transpose" in type(node.operation).__name__
    shape = (node.input_tensors if spread else node.outputs)[0].shape
    return math.prod(size or 1 for size in shape[1:-1])
