"""How sparse and how clustered weights are: of a Keras model, and of an `.onnx`, kernel by kernel.

A kernel is f32 (outputs, inputs, ...) in both: its first axis are the units or filters, its second
what each of them sums over. Zeros survive the folding of a BatchNormalization, which multiplies
each output by a number of its own; equal values stay equal only within one output then. So a
Keras kernel is counted as a whole, and one of an `.onnx` by its outputs as well.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from toolkit.constants import constants
from toolkit.glossary import Facts, Floats

SPARSE = 0.1
"""A kernel with at least this share of zeros counts as sparse."""

CLUSTERED = 256
"""A kernel of so few values beside 0, two weights or more to each, counts as clustered."""

_WEIGHTS = {
    "Conv": (1, None),
    "ConvInteger": (1, 3),
    "ConvTranspose": (1, None),
    "DynamicQuantizeMatMul": (1, 3),
    "Gemm": (1, None),
    "MatMul": (1, None),
    "MatMulInteger": (1, 3),
    "QGemm": (3, 5),
    "QLinearConv": (3, 5),
    "QLinearMatMul": (3, 5),
}
"""Operator -> the places of its weight and of that weight's zero point."""


def kernels(model: Any) -> dict[str, Floats]:
    """Kernel by path of a Keras model, or by the name of the tensor of an onnx.ModelProto.

    Both in the order of the model. Embeddings and recurrent kernels are none of them.
    """
    return _of_onnx(model) if hasattr(model, "SerializeToString") else _of_keras(model)


def zeros(kernel: Floats) -> float:
    """The share of values that are 0.

    >>> zeros(np.float32([[0, 1], [2, 0]]))
    0.5
    """
    return float((kernel == 0).mean())


def distinct(kernel: Floats) -> int:
    """How many different values a kernel holds."""
    return len(np.unique(kernel))


def distinct_an_output(kernel: Floats) -> int:
    """The same within one output, at most.

    >>> distinct_an_output(np.float32([[1, 1, 3], [2, 5, 6]]))
    3
    """
    return max(distinct(row) for row in kernel)


def clusters(kernel: Floats) -> int:
    """The number of values beside 0 when a kernel was clustered, else 0.

    >>> clusters(np.repeat(np.float32([0, 1, 2]), 4)), clusters(np.arange(12.0, dtype=np.float32))
    (2, 0)
    """
    counted = kernel[kernel != 0]
    found = distinct(counted)
    return found if 0 < found <= min(CLUSTERED, counted.size // 2) else 0


def two_of_four(kernel: Floats) -> bool:
    """Whether of every four inputs in a row at most two count, for each output and place.

    >>> two_of_four(np.float32([[0, 1, 2, 0, 3, 4]])), two_of_four(np.float32([[1, 1, 0, 2]]))
    (True, False)
    """
    starts = np.arange(0, kernel.shape[1], 4)
    return bool((np.add.reduceat(kernel != 0, starts, axis=1, dtype=int) <= 2).all())


def told(before: Any, after: Any) -> Facts:
    """Facts on a Keras model after a pass, if it or the one before it was sparse or clustered.

    sparsity: kernel -> share of zeros. distinct: kernel -> number of values; within one output
    where a BatchNormalization that was folded in has drawn the outputs of a cluster apart.
    """
    old, new = kernels(before), kernels(after)
    facts: Facts = {}
    if any(zeros(k) >= SPARSE for k in (*old.values(), *new.values())):
        facts["sparsity"] = {name: round(zeros(k), 4) for name, k in new.items()}
    if any(clusters(k) for k in (*old.values(), *new.values())):
        facts["distinct"] = {name: _shared(k) for name, k in new.items()}
    return facts


def _shared(kernel: Floats) -> int:
    whole = distinct(kernel[kernel != 0])
    apart = all(2 * clusters(row) <= whole and clusters(row) for row in kernel if row.any())
    return distinct_an_output(kernel) if apart else distinct(kernel)


def _of_keras(model: Any) -> dict[str, Floats]:
    import keras

    found = {}
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.RNN) or "Cell" in type(layer).__name__:
            continue
        for name in ("kernel", "depthwise_kernel", "pointwise_kernel"):
            weight = getattr(layer, name, None)
            if weight is None or len(weight.shape) < 2:
                continue
            values = np.asarray(weight)
            if name == "depthwise_kernel" or "Depthwise" in type(layer).__name__:
                values = values.reshape(*values.shape[:-2], 1, -1)
            ends = (-2, -1) if "Transpose" in type(layer).__name__ else (-1, -2)
            found[weight.path] = np.moveaxis(values, ends, (0, 1))
    return found


def _of_onnx(model: Any) -> dict[str, Floats]:
    known = constants(model)
    found = {}
    for node in model.graph.node:
        place, zero = _WEIGHTS.get(node.op_type, (0, None))
        name = node.input[place] if place and len(node.input) > place else ""
        if name not in known or known[name].ndim < 2:
            continue
        values = np.asarray(known[name], np.float32)
        if zero is not None and len(node.input) > zero and node.input[zero] in known:
            point = np.asarray(known[node.input[zero]], np.float32)
            # one zero point an output: the first axis of a convolution, else the last
            wide = "Conv" in node.op_type and point.ndim
            values = values - (point.reshape(-1, *[1] * (values.ndim - 1)) if wide else point)
        turned = any(a.name == "transB" and a.i for a in node.attribute)
        if node.op_type == "ConvTranspose" or ("Conv" not in node.op_type and not turned):
            values = np.moveaxis(values, (-1, -2) if values.ndim == 2 else (1, 0), (0, 1))
        found[name] = values
    return found
