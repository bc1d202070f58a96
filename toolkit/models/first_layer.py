"""A net whose first layer is dense, asked for rows with hidden players without making the rows.

What such a layer gives is linear: for a row in which the players S are there it is that of the
other row, and for each of S what its values change. So masks are multiplied with what each player
changes, a matrix of players by units for a pair of rows, whatever the number of columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.constants import constants
from toolkit.glossary import Doubles, Floats
from toolkit.masked import Masked
from toolkit.onnx_graph import Graph

_WAYS = {"Add", "Sub", "Mul", "Div", "Identity", "Flatten", "Reshape", "MatMul", "Gemm"}
_FRONT = {"Add": np.add, "Sub": np.subtract, "Mul": np.multiply, "Div": np.divide}
_ROUNDED = 2.0**-14
"""How far apart rounding may put what the layer gives and what it gives for the rows themselves."""
_PLAYERS = 127
"""Longer sums are cut where the number of threads says, and other bits would come out."""


@dataclass(frozen=True, eq=False)
class FirstLayer:
    """front: what is done to each value before, in order. weights: f32 (values + 1, units), biases
    last. behind: bytes of an `.onnx` from masks f32 (m, k + 1) and `parts` to the answers.
    """

    front: tuple[tuple[Any, Floats, bool], ...]
    weights: Floats
    behind: bytes

    def suits(self, batch: Masked) -> NDArray[np.bool_]:
        """Which games need no rows, bool (games,): where these are quicker, or alone near enough.

        No game's answer hangs on which others it is asked with.
        """
        (games, values), k = batch.x.shape, batch.masks.k
        # all coalitions of most of the values are made in one pass
        quicker = batch.masks.chosen is None and values <= 2 * (k + 1)
        if quicker or k > _PLAYERS:
            return np.zeros(games, np.bool_)
        with np.errstate(all="ignore"):
            most = np.abs(self._before(batch.x)) + np.abs(self._before(batch.other))
            off = (most * self._largest).sum(axis=1) * np.finfo(np.float32).eps
        return np.asarray(off < _ROUNDED)  # which what is not a number never is

    def asked(self, batch: Masked) -> dict[str, Floats]:
        """What the graph behind is given.

        parts: f32 (games, k + 1, values + 1), what each player changes of the values, and last of
        all the other row and a 1 for the biases.
        """
        (games, values), k = batch.x.shape, batch.masks.k
        x, other = self._before(batch.x), self._before(batch.other)
        parts = np.zeros((games, k + 1, values + 1), np.float32)
        parts[np.arange(games)[:, None], batch.place, np.arange(values)] = x - other
        parts[:, k, :values] = other
        parts[:, k, values] = 1
        return {"masks": batch.masks.floats, "parts": parts}

    @cached_property
    def _largest(self) -> Doubles:
        """The largest weight of each value: f64 (values,)."""
        return np.asarray(np.abs(self.weights[:-1]).max(axis=1), np.float64)

    def _before(self, x: Floats) -> Floats:
        for act, constant, left in self.front:
            x = act(x, constant) if left else act(constant, x)
        return x


def first_layer(model: Any) -> FirstLayer | None:
    """That of an onnx.ModelProto; None where it is no dense layer of floats over the whole input.

    Before it values may be scaled, each by itself, and flattened.
    """
    graph = Graph(model)
    (given,) = [i for i in graph.model.graph.input if i.name not in graph.constants]
    shape = tuple(d.dim_value for d in given.type.tensor_type.shape.dim)[1:]
    values, tensor = int(np.prod(shape)), given.name
    front: list[tuple[Any, Floats, bool]] = []
    begin = graph.only_reader(tensor)
    # most nets begin with a convolution or in integers, and need no look at their constants
    if values == 0 or begin is None or begin.op_type not in _WAYS:
        return None
    known = constants(model)
    while (node := graph.only_reader(tensor)) is not None:
        rest = [known.get(i) for i in node.input if i != tensor]
        if any(r is None for r in rest):
            return None
        if node.op_type in ("MatMul", "Gemm") and len(shape) == 1:
            found = _dense(graph, node, tensor, rest, known)
            if found is None or len(found[0]) != values + 1:
                return None
            return _parted(graph, tuple(front), *found)
        if node.op_type in _FRONT and len(rest) == 1:
            constant: Any = rest[0]
            if np.broadcast_shapes(constant.shape, (1, *shape)) != (1, *shape):
                return None
            each = np.broadcast_to(constant, (1, *shape)).reshape(-1)
            front.append((_FRONT[node.op_type], each, node.input[0] == tensor))
        elif _flattens(node, rest, values):
            shape = (values,)
        elif node.op_type != "Identity":
            return None
        tensor = node.output[0]
    return None


def _flattens(node: Any, rest: list[Any], values: int) -> bool:
    """Whether a node makes one axis of all but the first."""
    if node.op_type == "Flatten":
        return all(a.i == 1 for a in node.attribute)
    if node.op_type != "Reshape":
        return False
    wanted = rest[0].tolist()
    return len(wanted) == 2 and wanted[0] in (-1, 0) and wanted[1] in (-1, values)


def _dense(
    graph: Graph, node: Any, tensor: str, rest: list[Any], known: dict[str, Any]
) -> tuple[Floats, str] | None:
    """Weights and biases f32 (values + 1, units) of a dense layer, and the tensor it makes."""
    from onnx import helper

    told = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    kernel, end = rest[0], node.output[0]
    if node.input[0] != tensor or kernel.dtype != np.float32 or kernel.ndim != 2:
        return None
    if told.get("transA", 0):
        return None
    if told.get("transB", 0):
        kernel = kernel.T
    kernel = kernel * np.float32(told.get("alpha", 1))
    biases = np.zeros(kernel.shape[1], np.float32)
    if len(rest) > 1:
        biases = biases + rest[1] * np.float32(told.get("beta", 1))
    else:
        after = graph.only_reader(end)
        added = after is not None and after.op_type == "Add"
        bias = next((known.get(i) for i in after.input if i != end), None) if added else None
        if bias is not None and bias.shape in (biases.shape, (1, *biases.shape)):
            biases, end = biases + bias.reshape(-1), after.output[0]
    if end in graph.ends or biases.shape != kernel.shape[1:]:
        return None
    return np.concatenate([kernel, biases[None]]), end


def _parted(
    graph: Graph, front: tuple[tuple[Any, Floats, bool], ...], weights: Floats, end: str
) -> FirstLayer | None:
    """The graph from masks and parts on."""
    from onnx import TensorProto, helper

    if graph.taken & {"masks", "parts"}:
        return None
    flat = np.array([-1, weights.shape[1]], np.int64)
    steps = graph.add("MatMul", ["parts", graph.constant(weights, "weights")], graph.free("steps"))
    sums = graph.add("MatMul", ["masks", steps], graph.free("sums"))
    made = graph.add("Reshape", [sums, graph.constant(flat, "flat")], graph.free("made"))
    graph.swap(end, made)
    # from version 4 on constants are no inputs, which some of them would be without a value
    graph.model.ir_version = max(graph.model.ir_version, 4)
    inner = graph.model.graph
    del inner.input[:]
    for name, axes in (("masks", ("m", "k")), ("parts", ("g", "k", len(weights)))):
        inner.input.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, axes))
    return FirstLayer(front, weights, bytes(graph.finished().SerializeToString()))
