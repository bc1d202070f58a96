"""An ONNX graph operator by operator, in one form whether it computes with floats or integers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.constants import constants
from toolkit.glossary import Floats
from toolkit.lattice import MOVING
from toolkit.onnx_graph import Graph

_SAME = {
    "QLinearConv": "Conv",
    "ConvInteger": "Conv",
    "QGemm": "Gemm",
    "QLinearMatMul": "MatMul",
    "MatMulIntegerToFloat": "MatMul",
    "MatMulInteger": "MatMul",
    "QLinearAdd": "Add",
    "QLinearMul": "Mul",
    "QLinearAveragePool": "AveragePool",
    "QLinearGlobalAveragePool": "GlobalAveragePool",
    "QLinearConcat": "Concat",
}
LEARNT = ("Conv", "ConvTranspose", "Gemm", "MatMul")
PLAIN = ("Add", "AveragePool", "Concat", "GlobalAveragePool", "Mul")
_ACTIVATIONS = ("Relu", "Clip")
_WEIGHTS: dict[
    str, tuple[int | None, ...]
] = {  # of integer operators: weight, its scale, its zero point, bias
    "QLinearConv": (3, 4, 5, 8),
    "QGemm": (3, 4, 5, 6),
    "QLinearMatMul": (3, 4, 5, None),
    "MatMulIntegerToFloat": (1, 3, 5, 6),
}
"""Of integer operators the places of the weight, its scale, its zero point, and the bias."""
_ENDS = {"QLinearConv": 6, "QGemm": 7, "QLinearMatMul": 6, "QLinearConcat": 0}
_ENDS |= {"QLinearAdd": 6, "QLinearMul": 6, "QLinearAveragePool": 3, "QLinearGlobalAveragePool": 3}
"""Of integer operators the place of the scale of what they make; its zero point follows."""


@dataclass(frozen=True, eq=False)
class Operator:
    """One operator: kind as in float ONNX, makes: the tensor it makes, of integers if rounded.

    acted: the tensor after the ReLU or Clip that alone reads it, or None. rounding: scale f32 ()
    and zero point of integers () of what it makes. weights, bias: f32, dequantised, in the layout
    of the operator. place: the name of the tensor of weights, which `nbytes` counts as stored.
    """

    kind: str
    node: Any
    makes: str
    acted: str | None
    rounding: tuple[Floats, NDArray[Any]] | None
    weights: Floats | None = None
    bias: Floats | None = None
    place: str = ""
    nbytes: int = 0


def operators(model: Any) -> list[Operator]:
    """The operators of an onnx.ModelProto that learn, add, join or average, in a canonical order.

    Two graphs of the same structure give the same order. The rounding of the input comes first,
    as a QuantizeLinear.
    """
    work = Graph(model)
    work.nodes = list(work.finished().graph.node)
    held = constants(model)
    found = []
    inputs = {i.name for i in model.graph.input} - set(work.constants)
    for node in work.nodes:
        kind = _SAME.get(node.op_type, node.op_type)
        if kind == "QuantizeLinear" and _start(work, node.input[0]) in inputs:
            rounding = _pair(held, list(node.input[1:]))
            found.append(Operator(kind, node, node.output[0], None, rounding))
        elif kind in LEARNT:
            made = _learnt(work, node, kind, held)
            found += [made] if made is not None else []
        elif kind in PLAIN and not any(i in held for i in _values(node)):
            found.append(_described(work, node, kind, held))
    return found


def _learnt(work: Graph, node: Any, kind: str, held: dict[str, NDArray[Any]]) -> Operator | None:
    """An operator with weights, or None where they are computed from rows, or of 64 bits."""
    places = _WEIGHTS.get(node.op_type)
    if places is None:
        of_integers = "Integer" in node.op_type
        biased = not of_integers and kind != "MatMul"
        places = (1, None, 3 if of_integers else None, 2 if biased else None)
    names = [node.input[p] if p is not None and p < len(node.input) else "" for p in places]
    if names[0] not in held:
        return None
    weights, bias = held[names[0]], held.get(names[3]) if places[3] is not None else None
    if weights.dtype == np.float64:
        return None  # multiplied as such: no pass could put other weights there
    axis = _axis(node, kind, weights.ndim)
    if weights.dtype.kind in "iu":
        zero = held.get(names[2], np.zeros((), weights.dtype))
        scale = held[names[1]] if names[1] else _later_scale(work, node, held)
        whole = weights.astype(np.int32) - _along(zero.astype(np.int32), axis, weights.ndim)
        weights = whole * _along(scale, axis, weights.ndim)
        if bias is not None and bias.dtype.kind == "i":
            step = held.get(node.input[1 if node.op_type != "MatMulIntegerToFloat" else 2])
            bias = bias * (np.asarray(step) * scale).reshape(-1)
    made = _described(work, node, kind, held)
    bias = None if bias is None else np.asarray(bias, np.float32)
    return Operator(
        kind,
        node,
        made.makes,
        made.acted,
        made.rounding,
        np.asarray(weights, np.float32),
        bias,
        names[0],
        _stored(work, names[0]),
    )


def _described(work: Graph, node: Any, kind: str, held: dict[str, NDArray[Any]]) -> Operator:
    if node.op_type in _ENDS:
        at = _ENDS[node.op_type]
        rounding = _pair(held, list(node.input[at : at + 2]))
        return Operator(kind, node, node.output[0], _acted(work, node.output[0]), rounding)
    makes = node.output[0]
    if node.op_type in ("MatMulInteger", "ConvInteger"):
        makes = _scaled(work, makes)
    inner = _acted(work, makes) or makes
    reader = work.only_reader(inner)
    if reader is not None and reader.op_type == "QuantizeLinear":
        whole = reader.output[0]
        rounding = _pair(held, list(reader.input[1:]))
        return Operator(kind, node, whole, _acted(work, whole), rounding)
    return Operator(kind, node, makes, _acted(work, makes), None)


def _pair(held: dict[str, NDArray[Any]], names: list[str]) -> tuple[Floats, NDArray[Any]] | None:
    """Scale and zero point out of the names of both, or None where rows decide them."""
    if not names or any(n not in held for n in names if n):
        return None
    zero = held[names[1]] if len(names) > 1 and names[1] else np.zeros((), np.uint8)
    return np.asarray(held[names[0]], np.float32).reshape(()), zero.reshape(())


def _acted(work: Graph, tensor: str) -> str | None:
    """What a ReLU or Clip makes of a tensor, seen through the rounding between, or None."""
    reader = work.only_reader(tensor)
    if reader is not None and reader.op_type == "DequantizeLinear":
        reader = work.only_reader(reader.output[0])
    if reader is None or reader.op_type not in _ACTIVATIONS:
        return None
    return str(reader.output[0])


def _start(work: Graph, tensor: str) -> str:
    node = work.maker(tensor)
    while node is not None and node.op_type in MOVING:
        tensor = node.input[0]
        node = work.maker(tensor)
    return tensor


def _scaled(work: Graph, tensor: str) -> str:
    """What Cast and Mul make of integer sums."""
    reader = work.only_reader(tensor)
    while reader is not None and reader.op_type in ("Cast", "Mul"):
        tensor = reader.output[0]
        if reader.op_type == "Mul":
            break
        reader = work.only_reader(tensor)
    return tensor


def _later_scale(work: Graph, node: Any, held: dict[str, NDArray[Any]]) -> NDArray[Any]:
    """The scale of the weights of a MatMulInteger, which stands in a Mul behind it."""
    last = work.maker(_scaled(work, node.output[0]))
    for tensor in last.input if last is not None and last.op_type == "Mul" else ():
        inner = work.maker(tensor)
        for factor in (tensor, *(inner.input if inner is not None else ())):
            if factor in held:
                return held[factor]
    return np.ones((), np.float32)


def _values(node: Any) -> list[str]:
    """The inputs of an operator that are no scales or zero points."""
    whole = {"QLinearAdd": (0, 3), "QLinearMul": (0, 3)}.get(node.op_type)
    return [node.input[i] for i in whole] if whole else list(node.input)[:2]


def _axis(node: Any, kind: str, rank: int) -> int:
    """The axis of the weights along which outputs lie."""
    if kind == "Conv":
        return 0
    if kind == "ConvTranspose":
        return 1
    turned = kind == "Gemm" and any(a.name == "transB" and a.i for a in node.attribute)
    return 0 if turned else rank - 1


def _along(values: NDArray[Any], axis: int, rank: int) -> NDArray[Any]:
    """One value a channel, in the shape that lies along an axis; a single value stays one."""
    if values.size == 1:
        return values.reshape(())
    shape = [1] * rank
    shape[axis] = -1
    return values.reshape(shape)


def _stored(work: Graph, tensor: str) -> int:
    """The bytes of the initialisers that a tensor of weights is made from."""
    waiting, seen = [tensor], set()
    total = 0
    while waiting:
        name = waiting.pop()
        if not name or name in seen:
            continue
        seen.add(name)
        if name in work.constants:
            from onnx import TensorProto

            held = work.constants[name]
            size = int(np.prod(held.dims)) if held.dims else 1
            half = held.data_type in (TensorProto.INT4, TensorProto.UINT4)
            each = 0.5 if half else work.value(name).itemsize  # type: ignore[union-attr]
            total += int(np.ceil(size * each))
        elif (node := work.maker(name)) is not None:
            waiting += list(node.input)
    return total
