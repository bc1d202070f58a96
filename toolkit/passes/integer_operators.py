"""Integer operators written out: each rounded operator and the rounding around it as one node."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from toolkit.glossary import Fit, Stage, Step
from toolkit.lattice import MOVING
from toolkit.onnx_graph import Graph
from toolkit.passes.base import Pass

MICROSOFT = "com.microsoft"
"""onnxruntime's own operators; the file then runs on onnxruntime alone."""

EARNS = 8
"""Filters, divided by the strides, from which on a fourth input channel is worth making."""

_ALIKE = 1e-6
_LARGEST = 2**31 - 1
_BOTH = {"Add": "QLinearAdd", "Mul": "QLinearMul"}
_POOLS = {"AveragePool": "QLinearAveragePool", "GlobalAveragePool": "QLinearGlobalAveragePool"}


@dataclass(frozen=True, kw_only=True)
class IntegerOperators(Pass):
    """Write QDQ form as integer operators: fewer bytes, and the file loads in less time.

    onnxruntime makes the same kernels of QDQ form each time it loads a file; here they are made
    once. What it has no integer operator for stays as it is, between its roundings.
    """

    stage: ClassVar[Stage] = "onnx"
    rank: ClassVar[int] = 1

    def __call__(self, model: Any, fit: Fit, seed: int = 0) -> Step:  # noqa: ARG002
        """Give the model of integer operators; facts count the operators by kind."""
        work = Graph(model)
        for node in list(work.nodes):
            if any(node is kept for kept in work.nodes):
                _written(work, node)
        made = work.finished()
        _declare(made)
        kinds = [n.op_type for n in made.graph.node]
        whole = sorted({k for k in kinds if k.startswith("Q") or "Integer" in k})
        changed = {k: kinds.count(k) for k in whole}
        return Step(made, {"changed": changed, "skipped": _left(made)})


def _written(work: Graph, node: Any) -> None:
    kind = node.op_type
    ins = [_whole(work, i) for i in node.input]
    if kind in MOVING and ins[0]:
        _moved(work, node, ins[0])
        return
    out = _out(work, node)
    ends = _towards(work, out, ins)
    if kind == "Conv" and all(ins) and ends:
        bias = _bias(work, ins)
        if bias is not None:
            inputs = [*_by_fours(work, node, ins), *ends, *bias]
            _replace(work, node, out, "QLinearConv", inputs)
    elif (
        kind == "Gemm"
        and all(ins)
        and (ends or out is None)
        and not any(a.f != 1 for a in node.attribute if a.name in ("alpha", "beta"))
    ):
        bias = _bias(work, ins)
        if bias is not None:
            inputs = [*ins[0], *ins[1], *(bias or [""]), *ends]
            _replace(work, node, out, "QGemm", inputs, ours=True)
    elif kind == "MatMul" and all(ins):
        weights = work.value(ins[1][0])
        if weights is None or weights.ndim != 2:
            return
        if ends:
            _replace(work, node, out, "QLinearMatMul", [*ins[0], *ins[1], *ends])
        else:
            (x, x_step, x_zero), (w, w_step, w_zero) = ins
            inputs = [x, w, x_step, w_step, x_zero, w_zero]
            _replace(work, node, None, "MatMulIntegerToFloat", inputs, ours=True)
    elif kind in _BOTH and all(ins) and ends:
        inputs = [*ins[0], *ins[1], *ends]
        _replace(work, node, out, _BOTH[kind], inputs, ours=True)
    elif kind in _POOLS and ins[0] and ends:
        _replace(work, node, out, _POOLS[kind], [*ins[0], *ends], ours=True)
    elif kind == "Concat" and all(ins) and ends:
        inputs = [*ends, *(e for i in ins for e in i)]
        _replace(work, node, out, "QLinearConcat", inputs, ours=True)


def _by_fours(work: Graph, node: Any, ins: list[list[str]]) -> list[str]:
    """The input and the kernel of a convolution, with a channel more where that makes four.

    onnxruntime's quick kernels take input channels by fours. The channel is the first one again,
    and its weights are 0. Making it costs two passes over the input, which few filters or large
    strides do not earn back: ResNet-8 (16, 1) runs in 0.95 of the time, MobileNet (8, 2) in 1.08.
    """
    given, kernel = ins[0], _kernel(work, ins[1])
    weights = work.value(kernel[0])
    alone = all(a.i == 1 for a in node.attribute if a.name == "group")
    strides = next((a.ints for a in node.attribute if a.name == "strides"), ())
    if weights is None or weights.ndim != 4 or weights.shape[1] % 4 != 3 or not alone:
        return [*given, *kernel]
    if len(weights) / math.prod(strides) < EARNS:
        return [*given, *kernel]
    channels = weights.shape[1]
    picked = work.constant(np.append(np.arange(channels), 0).astype(np.int32), "channels")
    wide = work.add("Gather", [given[0], picked], work.free(f"{given[0]}/wide"), axis=1)
    # zeros that a runtime makes as it loads take no bytes
    ends = work.constant(np.array([0, 0, 0, 0, 0, 1, 0, 0]), "one more")
    more = work.add("Pad", [kernel[0], ends], work.free(f"{kernel[0]}/wide"))
    return [wide, *given[1:], more, *kernel[1:]]


def _kernel(work: Graph, kernel: list[str]) -> list[str]:
    """The ends of a kernel, its zero points as one where all are 0."""
    whole, step, *zeros = kernel
    values = work.value(zeros[0]) if zeros else np.zeros(1, np.int8)
    if values is not None and not values.any():
        return [whole, step, work.constant(np.zeros((), values.dtype), "zero")]
    return [whole, step, *zeros]


def _whole(work: Graph, tensor: str) -> list[str]:
    """A tensor's integers, scale and zero point, when a DequantizeLinear makes it, else nothing."""
    maker = work.maker(tensor)
    if maker is None or maker.op_type != "DequantizeLinear":
        return []
    return _ends(work, maker, first=0)


def _ends(work: Graph, node: Any, first: int = 1) -> list[str]:
    """Scale and zero point of a rounding, from `first` on; nothing where it has more to it."""
    if any(a.name in ("block_size", "output_dtype") and a.i for a in node.attribute):
        return []
    if len(node.input) > 2 and node.input[2]:
        return list(node.input[first:])
    # without a zero point it is 0, of the kind of the integers
    held, before = work.value(node.input[0]), work.maker(node.input[0])
    if first == 0 and held is None and (before is None or len(before.input) != 2):
        return []
    dtype = held.dtype if first == 0 and held is not None else np.uint8
    return [*node.input[first:2], work.constant(np.zeros((), dtype), "zero")]


def _bias(work: Graph, ins: list[list[str]]) -> list[str] | None:
    """The integers of a bias in steps of the sums, none where there is none, else None.

    Operators of integers take the step of a bias for the product of both others.
    """
    if len(ins) < 3:
        return []
    known = [work.value(name) for name in (*ins[2], ins[0][1], ins[1][1])]
    if any(v is None for v in known):
        return None
    whole, step, zero, given, weights = (np.asarray(v, np.float64) for v in known)
    of_sums, values = given * weights, (whole - zero) * step
    if not zero.any() and np.allclose(step, of_sums, rtol=_ALIKE, atol=0):
        return [ins[2][0]]
    if not (of_sums > 0).all():
        return None
    exact = np.rint(values / of_sums)
    if np.abs(exact).max(initial=0) > _LARGEST:
        return None
    return [work.constant(exact.astype(np.int32), "bias")]


def _out(work: Graph, node: Any) -> Any:
    """The QuantizeLinear that alone reads a node, or None."""
    reader = work.only_reader(node.output[0])
    return reader if reader is not None and reader.op_type == "QuantizeLinear" else None


def _towards(work: Graph, out: Any, ins: list[list[str]]) -> list[str]:
    """Scale and zero point of what a node makes, or nothing where no operator of integers can."""
    ends = [] if out is None else _ends(work, out)
    zeros = [work.value(name) for name in (*ends[1:], *(i[2] for i in ins[:1] if i))]
    # none makes signed integers of unsigned ones
    return ends if len({z.dtype for z in zeros if z is not None}) < 2 else []


def _moved(work: Graph, node: Any, given: list[str]) -> None:
    """Move the integers instead of what they stand for."""
    old = node.output[0]
    held = work.free(f"{old}/whole")
    node.input[0], node.output[0] = given[0], held
    before = work.maker(given[0])
    if node.op_type == "Flatten" and before is not None and before.op_type == "Reshape":
        shape = work.value(before.input[1])
        if shape is not None and shape[0] == -1:
            node.input[0] = before.input[0]  # both keep the rows apart
    for reader in work.readers(old):
        if reader.op_type == "QuantizeLinear" and _same(work, list(reader.input[1:]), given[1:]):
            work.swap(reader.output[0], held)
            work.drop(reader)
    work.add("DequantizeLinear", [held, *given[1:]], old)


def _same(work: Graph, one: list[str], other: list[str]) -> bool:
    pairs = [(work.value(a), work.value(b)) for a, b in zip(one, other, strict=True)]
    return one == other or all(
        a is not None and b is not None and np.array_equal(a, b) for a, b in pairs
    )


def _replace(
    work: Graph,
    node: Any,
    out: Any,
    kind: str,
    inputs: list[str],
    *,
    ours: bool = False,
) -> None:
    work.drop(node)
    if out is not None:
        work.drop(out)
    work.add(
        kind,
        inputs,
        out.output[0] if out is not None else node.output[0],
        MICROSOFT if ours else "",
    )
    # a dense layer lies as it is where nothing is said
    turned = [a for a in node.attribute if a.name in ("transA", "transB") and a.i]
    work.nodes[-1].attribute.extend(turned if kind == "QGemm" else node.attribute)


def _declare(model: Any) -> None:
    from onnx import helper

    used = {n.domain for n in model.graph.node}
    kept = [o for o in model.opset_import if o.domain in used]
    if MICROSOFT in used and all(o.domain != MICROSOFT for o in kept):
        kept.append(helper.make_opsetid(MICROSOFT, 1))
    kept = [helper.make_opsetid(o.domain, o.version) for o in kept]
    del model.opset_import[:]
    model.opset_import.extend(kept)


def _left(model: Any) -> dict[str, str]:
    found = {}
    for node in model.graph.node:
        if node.op_type in ("Conv", "Gemm", "MatMul"):
            found[node.output[0]] = f"{node.op_type} stays as it is: not all of it is rounded"
    return found
