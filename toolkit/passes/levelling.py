"""Columns of a table brought to one range before the first dense layer, where they are far apart.

One step for all columns leaves those of small range nothing: a column from 0 to 1 beside one from 0
to 1,000 has no step of its own in 255. What levels them is taken out of the first weights again, so
that the float model computes the same but for the order of rounding.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from toolkit.glossary import Doubles, Floats
from toolkit.models.graph import flat, graph_of, nodes_of
from toolkit.onnx_graph import Graph
from toolkit.passes import ranges

LOST = 0.01
"""The share of the variance of what the first layer makes that rounding its input may take."""

_LEAST = 1e-6
"""Keras divides by no less than a tenth of this."""


def levelled(ready: Any, x: Floats) -> Any:
    """The onnx.ModelProto of `prepared`, with two nodes more where columns of rows x need them.

    Only where every reader of the input, scaled or not, is a dense layer with weights of its own.
    """
    work = Graph(ready)
    scaled = ranges.scaling(ready)
    tensor = scaled[-1].output[0] if scaled else ready.graph.input[0].name
    readers = work.readers(tensor)
    if tensor in work.ends or not readers or not all(_dense(work, n, tensor) for n in readers):
        return ready
    found = np.concatenate([part[tensor] for part in ranges.values(ready, [tensor], x)])
    columns: Doubles = found.astype(np.float64)
    if columns.ndim != 2:
        return ready
    found_apart = _apart(columns, [_by_column(work, n) for n in readers])
    if found_apart is None:
        return ready
    return _put_in_front(work, readers, tensor, *found_apart)


def levelled_like(ready: Any, rounded: Any) -> Any:
    """The onnx.ModelProto of `prepared`, with the two nodes more that a rounded file of it has."""
    work = Graph(ready)
    own, theirs = (_with_values(model) for model in (ready, rounded))
    tensor = own[-1][0].output[0] if own else ready.graph.input[0].name
    readers = work.readers(tensor)
    kinds = [node.op_type for node, _ in theirs[-2:]]
    if kinds != ["Sub", "Mul"] or not all(_dense(work, n, tensor) for n in readers):
        return ready
    middle, by = (values for _, values in theirs[-2:])
    if any(np.array_equal(values, middle) for _, values in own[-2:]):
        return ready  # what scales the input of both
    return _put_in_front(work, readers, tensor, middle, 1 / by)


def _with_values(model: Any) -> list[tuple[Any, Doubles]]:
    """The nodes that scale the input, each with the constant by which it does."""
    work = Graph(model)
    return [
        (node, np.asarray(work.value(node.input[1]), np.float64))
        for node in ranges.scaling(model)
        if len(node.input) > 1
    ]


def _put_in_front(
    work: Graph, readers: list[Any], tensor: str, middle: Doubles, half: Doubles
) -> Any:
    import onnx

    shifted, even = (work.free(f"{tensor}/{end}") for end in ("shifted", "level"))
    for node in readers:
        _taken_in(work, node, even, middle, half)
    work.add("Sub", [tensor, work.constant(np.float32(middle), "middle")], shifted, name=shifted)
    work.add("Mul", [shifted, work.constant(np.float32(1 / half), "by")], even, name=even)
    return onnx.shape_inference.infer_shapes(work.finished())


def levelled_net(model: Any, x: Floats) -> Any:
    """The same of a Keras model, before its rounding is trained: a Normalization in front.

    Not where the first kernel has few values, as a clustered one, which would no longer be shared.
    """
    import keras

    net = flat(model)
    first = net.inputs[0]
    nodes = nodes_of(graph_of(net))
    readers = [n.operation for n in nodes if any(t is first for t in n.input_tensors)]
    plain = all(type(layer) is keras.layers.Dense and layer.use_bias for layer in readers)
    # a layer that is called twice has one kernel for both
    once = all(sum(n.operation is layer for n in nodes) == 1 for layer in readers)
    if not readers or len(first.shape) != 2 or not (plain and once):
        return model
    kernels = [np.asarray(la.kernel, np.float64) for la in readers]
    shared = any(2 * len(np.unique(k)) < np.count_nonzero(k) for k in kernels)
    apart = None if shared else _apart(np.asarray(x, np.float64), kernels)
    if apart is None or apart[1].min() < _LEAST:
        return model
    middle, half = apart
    for layer, kernel in zip(readers, kernels, strict=True):
        bias = np.asarray(layer.bias, np.float64) + middle @ kernel
        layer.set_weights([np.float32(kernel * half[:, None]), np.float32(bias)])
    scaled = keras.layers.Normalization(mean=np.float32(middle), variance=np.float32(half**2))
    raw = keras.Input(first.shape[1:])
    return flat(keras.Model(raw, net(scaled(raw))))


def _apart(columns: Doubles, kernels: list[Doubles]) -> tuple[Doubles, Doubles] | None:
    """The middle and half the range of each column, where one step for all would lose too much."""
    low, high = columns.min(axis=0), columns.max(axis=0)
    whole = max(high.max(), 0.0) - min(low.min(), 0.0)
    read = np.sum([(k**2).sum(axis=1) for k in kernels], axis=0)
    varies = (columns.var(axis=0) * read).sum()
    # of rows that are all alike nothing is known
    if varies == 0 or (whole / 255) ** 2 / 12 * read.sum() <= LOST * varies:
        return None
    return (low + high) / 2, np.where(high > low, (high - low) / 2, whole)


def _dense(work: Graph, node: Any, tensor: str) -> bool:
    """Whether a node multiplies the tensor by a matrix, and adds a constant at most."""
    if node.op_type not in ("Gemm", "MatMul") or node.input[0] != tensor:
        return False
    weights = work.value(node.input[1])
    usual = {"alpha": 1, "beta": 1, "transA": 0}
    as_usual = all(usual.get(a.name, a.f or a.i) == (a.f or a.i) for a in node.attribute)
    biased = len(node.input) > 2 and work.value(node.input[2]) is None
    return weights is not None and weights.ndim == 2 and as_usual and not biased


def _by_column(work: Graph, node: Any) -> Doubles:
    """The weights of a dense layer, f64 (columns, units)."""
    weights = np.asarray(work.value(node.input[1]), np.float64)
    return weights.T if _turned(node) else weights


def _turned(node: Any) -> bool:
    return any(a.name == "transB" and a.i for a in node.attribute)


def _taken_in(work: Graph, node: Any, tensor: str, middle: Doubles, half: Doubles) -> None:
    """Let a dense layer read the columns as (x - middle) / half."""
    weights = _by_column(work, node)
    bias = middle @ weights
    if len(node.input) > 2:
        bias = bias + np.asarray(work.value(node.input[2]), np.float64)
    weights = weights * half[:, None]
    held = work.constant(np.float32(weights.T if _turned(node) else weights), "levelled")
    node.op_type = "Gemm"
    del node.input[:]
    node.input.extend([tensor, held, work.constant(np.float32(bias), "levelled bias")])
