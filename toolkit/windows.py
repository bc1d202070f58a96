"""Convolutions as products of matrices: windows as rows, kernels as columns, channels inside.

Rows are (m, k) and weights (k, n) with k running over the places of the kernel and, inside, over
its channels, one pair a group. A dense layer has one group, its rows as they are.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def settings(node: Any) -> dict[str, Any]:
    """The attributes of a node by name."""
    from onnx import helper

    return {a.name: helper.get_attribute_value(a) for a in node.attribute}


def depthwise(node: Any, weights: NDArray[Any]) -> bool:
    """Whether an operator is a convolution of each channel alone, into one."""
    if "Conv" not in node.op_type:
        return False
    return bool(weights.shape[1] == 1 and settings(node).get("group", 1) == len(weights))


def matrices(node: Any, weights: NDArray[Any]) -> NDArray[Any]:
    """The weights of a Conv, Gemm or MatMul, floats or integers, as (groups, k, n).

    >>> from onnx import helper
    >>> node = helper.make_node("Conv", ["x", "w"], ["y"], group=2)
    >>> matrices(node, np.zeros((6, 4, 3, 3))).shape
    (2, 36, 3)
    """
    if "Conv" in node.op_type:
        last = np.moveaxis(weights, 1, -1).reshape(len(weights), -1)
        return np.stack([part.T for part in np.split(last, settings(node).get("group", 1))])
    return (weights.T if settings(node).get("transB", 0) else weights)[None]


def restored(node: Any, parts: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """The weights of that shape out of the matrices (groups, k, n) that were made of them."""
    if "Conv" in node.op_type:
        last = np.concatenate([part.T for part in parts])
        return np.asarray(np.moveaxis(last.reshape(shape[0], *shape[2:], shape[1]), -1, 1))
    return np.asarray(parts[0].T if settings(node).get("transB", 0) else parts[0])


def size(node: Any, rows: tuple[int, ...], kernel: tuple[int, ...]) -> list[int]:
    """The spatial shape of what a convolution makes."""
    pads, strides, dilations = _geometry(node, rows, kernel)
    n = len(kernel) - 2
    return [
        (rows[2 + i] + pads[i] + pads[i + n] - dilations[i] * (kernel[2 + i] - 1) - 1) // strides[i]
        + 1
        for i in range(n)
    ]


def _geometry(
    node: Any, rows: tuple[int, ...], kernel: tuple[int, ...]
) -> tuple[list[int], list[int], list[int]]:
    """Padding, strides and dilations of a convolution, written out."""
    said, n = settings(node), len(kernel) - 2
    strides = list(said.get("strides", [1] * n))
    dilations = list(said.get("dilations", [1] * n))
    pads = list(said.get("pads", [0] * 2 * n))
    auto = said.get("auto_pad", b"NOTSET").decode()
    if auto.startswith("SAME"):
        for i in range(n):
            wide = dilations[i] * (kernel[2 + i] - 1) + 1
            total = max((-(-rows[2 + i] // strides[i]) - 1) * strides[i] + wide - rows[2 + i], 0)
            less, more = total // 2, total - total // 2
            pads[i], pads[i + n] = (less, more) if auto == "SAME_UPPER" else (more, less)
    return pads, strides, dilations


def rows(node: Any, values: NDArray[Any], kernel: tuple[int, ...], fill: float = 0) -> NDArray[Any]:
    """What an operator sums over for each value it makes, (groups, m, k).

    values: its input, (n, channels, ...) or (..., k). kernel: the shape of its weights. fill: what
    stands in the padding.
    """
    if "Conv" not in node.op_type:
        return values.reshape(1, -1, values.shape[-1])
    pads, strides, dilations = _geometry(node, values.shape, kernel)
    n = len(kernel) - 2
    around = [(0, 0), (0, 0), *((pads[i], pads[i + n]) for i in range(n))]
    padded = np.pad(values, around, constant_values=fill)
    wide = [dilations[i] * (kernel[2 + i] - 1) + 1 for i in range(n)]
    axes = tuple(range(2, 2 + n))
    windows = np.lib.stride_tricks.sliding_window_view(padded, wide, axis=axes)
    steps = tuple(slice(None, None, s) for s in strides)
    inner = tuple(slice(None, None, d) for d in dilations)
    # (n, channels, places..., window...) -> (n, places..., window..., channels)
    windows = np.moveaxis(windows[(slice(None), slice(None), *steps, *inner)], 1, -1)
    parts = np.split(windows, settings(node).get("group", 1), axis=-1)
    return np.stack([p.reshape(int(np.prod(p.shape[: 1 + n])), -1) for p in parts])
