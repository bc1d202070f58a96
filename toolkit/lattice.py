"""Trained rounding -> an integer graph: weights int8, biases int32, activations uint8.

A model of `models.quantised` comes out of the converter with QuantizeLinear and DequantizeLinear
around its activations and float weights that are multiples of one step a channel. The steps are
read off the weights, so that nothing is rounded a second time.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.glossary import Floats
from toolkit.onnx_graph import Graph

MOVING = ("Flatten", "Identity", "MaxPool", "Reshape", "Squeeze", "Transpose", "Unsqueeze")
"""Operators that only move or pick values: they do the same to integers."""

_PLACED = tuple(kind for kind in MOVING if kind != "MaxPool")
"""Those that only move."""

MOST = 127
_MOST_BIAS = 2**30
_EQUAL = 1e-6
_WHOLE = 1e-3
"""How far the number of steps of a bias may be from a whole one, and a millionth of itself."""
_NEAR = 2e-4
"""How far a multiple may be from a whole number: folding in float32 errs by 1e-4 at 127."""


def is_rounded(model: Any) -> bool:
    """Whether an onnx.ModelProto has activations that were rounded in training."""
    return any(node.op_type == "QuantizeLinear" for node in model.graph.node)


def compiled(model: Any) -> tuple[Any, dict[str, str]]:
    """Give the onnx.ModelProto with integer weights and biases, and which layers stay float, why.

    In QDQ form (QuantizeLinear and DequantizeLinear around each operator), which onnxruntime turns
    into integer kernels.
    """
    work = Graph(model)
    scales_taken_in(work)
    _rounded_ahead(work)
    _clips_taken_in(work)
    _tables_rounded(work)
    left: dict[str, str] = {}
    for node in list(work.nodes):
        if node.op_type in ("Conv", "MatMul", "Gemm"):
            why = _compile(work, node)
            if why:
                left[node.name or node.output[0]] = why
    return work.finished(), left


def grid(weights: Floats, axis: int) -> tuple[NDArray[np.int8], Floats] | None:
    """The whole numbers and the step a channel of which `weights` are made, or None if of none.

    >>> whole, step = grid(np.float32([[0.2, -0.3], [0.5, 0.0]]), 0)
    >>> whole.tolist(), step.round(3).tolist()
    ([[2, -3], [2, 0]], [0.10000000149011612, 0.25])
    """
    rows = np.moveaxis(weights, axis, 0).reshape(weights.shape[axis], -1).astype(np.float64)
    peaks = np.abs(rows).max(axis=1)
    factors = np.arange(1, MOST + 1)
    most = np.zeros(len(rows), np.int64)
    for i, (row, peak) in enumerate(zip(rows, peaks, strict=True)):
        if peak == 0:
            continue
        multiples = row[None] / peak * factors[:, None]
        fits = np.abs(multiples - np.round(multiples)).max(axis=1) <= _NEAR * 2
        if not fits.any():
            return None
        most[i] = factors[fits.argmax()]
    most = _aligned(rows, peaks, most)
    # the step of a channel of zeros is anything that lets its bias be exact
    some = float(np.median(peaks[most > 0] / most[most > 0])) if (most > 0).any() else 1.0
    step = np.where(most > 0, peaks / np.maximum(most, 1), some)
    shape = [1] * weights.ndim
    shape[axis] = -1
    whole = np.round(weights / step.reshape(shape))
    # where one step serves all, few numbers of a channel may look like those of another step
    one = np.sort(step)[len(step) // 2]
    same = whole * (step / one).reshape(shape)
    near = np.abs(same - np.round(same)).max(initial=0) <= _NEAR / 2
    if near and np.abs(same).max(initial=0) <= np.abs(whole).max(initial=0):
        whole, step = np.round(same), np.full(len(step), one)
    return whole.astype(np.int8), step.astype(np.float32)


def _aligned(rows: Any, peaks: Any, most: Any) -> Any:
    """Channels whose numbers have a common divisor follow the numbers of the others.

    Clusters are the same whole numbers in every channel; {-20, 10} alone would be read as {-2, 1}.
    """
    numbers = [
        np.round(r / p * m) if m else r * 0 for r, p, m in zip(rows, peaks, most, strict=True)
    ]
    known = set(max(numbers, key=lambda n: len(set(n)))) | {0.0}
    largest = int(most.max(initial=0))
    for i in np.flatnonzero(most):
        for factor in range(1, largest // int(most[i]) + 1):
            if set(numbers[i] * factor) <= known:
                most[i] *= factor
                break
        else:
            known |= set(numbers[i])
    return most


def source(work: Graph, tensor: str) -> Any:
    """The DequantizeLinear that a tensor comes from, through what only moves values, or None."""
    node = work.maker(tensor)
    while node is not None and (node.op_type in (*MOVING, "Slice") or _pads_zeros(work, node)):
        node = work.maker(node.input[0])
    return node if node is not None and node.op_type == "DequantizeLinear" else None


def _pads_zeros(work: Graph, node: Any) -> bool:
    """Whether a node puts zeros around a tensor: 0 is one of the steps, so it stays rounded."""
    if node.op_type != "Pad" or any(
        a.name == "mode" and a.s != b"constant" for a in node.attribute
    ):
        return False
    value = work.value(node.input[2]) if len(node.input) > 2 and node.input[2] else np.zeros(())
    return value is not None and not value.any()


def _compile(work: Graph, node: Any) -> str:
    """Give one operator integer weights; says why where it cannot."""
    weights = work.value(node.input[1])
    given = source(work, node.input[0])
    if weights is None or weights.dtype != np.float32:
        return "its weights are no constant"
    if given is None:
        return "its input is not rounded"
    transposed = node.op_type == "Gemm" and any(a.name == "transB" and a.i for a in node.attribute)
    axis = 0 if node.op_type == "Conv" or transposed else weights.ndim - 1
    found = grid(weights, axis)
    if found is None:
        return "its weights were not rounded in training"
    whole, step = found
    scale = float(np.asarray(work.value(given.input[1])).reshape(()))
    bias = _bias(work, node, weights.shape[axis])
    if bias is not None:
        whole, step = _finer(whole, step, bias.reshape(-1) / np.float64(scale), axis)
        # weights next to nothing beside a bias: its count would not fit into the sum
        needed = np.abs(bias.reshape(-1).astype(np.float64)) / (_MOST_BIAS * scale)
        coarser = np.maximum(step, needed).astype(np.float32)
        ratio = np.expand_dims(step / coarser, _others(whole, axis))
        whole, step = np.round(whole * ratio).astype(np.int8), coarser
    entry = _direct(work, node.input[0], given)
    if np.ptp(step) <= _EQUAL * step.max():
        step = np.asarray(np.median(step), np.float32)  # one for all
    steps = (step.astype(np.float64) * scale).astype(np.float32)
    names = [work.constant(v, f"{node.input[1]}/{n}") for n, v in (("int8", whole), ("step", step))]
    zero = work.constant(np.zeros(step.shape, np.int8), "zero")
    along: dict[str, Any] = {"axis": axis} if step.ndim else {}
    kernel = work.add(
        "DequantizeLinear", [*names, zero], work.free(f"{node.input[1]}/kernel"), **along
    )
    kind, output = node.op_type, node.output[0]
    if kind == "MatMul" and bias is not None:
        # a dense layer: one operator with its bias
        if _rank_two(work, node):
            after = work.only_reader(output)
            kind, output = "Gemm", after.output[0]
            work.drop(after)
        else:
            bias = None
    inputs = [entry, kernel]
    if bias is not None:
        total = np.round(bias.reshape(-1).astype(np.float64) / steps.astype(np.float64))
        names = [
            work.constant(total.astype(np.int32), f"{kernel}/bias"),
            work.constant(steps, f"{kernel}/bias_step"),
        ]
        along = {"axis": 0} if step.ndim else {}
        inputs.append(work.add("DequantizeLinear", names, work.free(f"{kernel}/offset"), **along))
    work.drop(node)
    work.add(kind, inputs, output)
    work.nodes[-1].attribute.extend(node.attribute)
    return ""


def _finer(whole: Any, step: Any, bias: Any, axis: int) -> tuple[Any, Any]:
    """The kernel on steps of which the bias, in steps of the input, is a multiple as well.

    Few numbers of a channel may have a common divisor: what is read off them alone is then a
    multiple of the step that was trained, and too coarse for its bias.
    """
    rows = np.moveaxis(whole, axis, 0).reshape(len(step), -1).astype(np.int64)
    # weights of 7 bits are not to have 8, which AVX2 would clip
    most = MOST // 2 if np.abs(rows).max(initial=0) <= MOST // 2 else MOST
    counts = bias / step
    # one step for all stays one; else each channel has its own
    parts = [np.arange(len(step))]
    if np.ptp(step) > _EQUAL * step.max():
        parts = list(parts[0][:, None])
    known = {*rows.reshape(-1).tolist(), 0}
    by = np.ones(len(step), np.int64)
    for part in parts:
        numbers, some = rows[part], rows[part].any(axis=1)
        factors = np.arange(1, most // max(int(np.abs(numbers).max(initial=0)), 1) + 1)
        multiples = counts[part][some] * factors[:, None]
        apart = np.abs(multiples - np.round(multiples)) - _EQUAL * np.abs(multiples)
        fits = factors[(apart <= _WHOLE).all(axis=1)].tolist()
        # numbers that others have too come first: clusters stay shared
        shared = [f for f in fits if known.issuperset((numbers * f).reshape(-1).tolist())]
        by[part] = next(iter([*shared, *fits]), 1)
    return (whole * np.expand_dims(by, _others(whole, axis))).astype(np.int8), step / by.astype("f")


def _bias(work: Graph, node: Any, width: int) -> Any:
    """The bias of a layer, of its own or added right after it, or None."""
    if len(node.input) > 2:
        return work.value(node.input[2])
    after = work.only_reader(node.output[0])
    if node.op_type != "MatMul" or not _is_bias(work, after, node.output[0], width):
        return None
    return next(v for i in after.input if (v := work.value(i)) is not None)


def _others(whole: Any, axis: int) -> tuple[int, ...]:
    """The axes of a kernel but that of its channels."""
    return tuple(i for i in range(whole.ndim) if i != axis % whole.ndim)


def _rank_two(work: Graph, node: Any) -> bool:
    """Gemm takes matrices only; a dense layer over sequences keeps MatMul."""
    shapes = {v.name: len(v.type.tensor_type.shape.dim) for v in work.model.graph.value_info}
    shapes |= {v.name: len(v.type.tensor_type.shape.dim) for v in work.model.graph.input}
    rank = shapes.get(node.input[0]) or shapes.get(node.output[0])
    return rank == 2


def _is_bias(work: Graph, node: Any, tensor: str, width: int) -> bool:
    if node is None or node.op_type != "Add":
        return False
    other = [work.value(i) for i in node.input if i != tensor]
    return len(other) == 1 and other[0] is not None and other[0].size == width


def _direct(work: Graph, tensor: str, given: Any) -> str:
    """The tensor as what a DequantizeLinear gives, rounded anew where values were only moved."""
    if work.maker(tensor) is given:
        return tensor
    ends = list(given.input[1:])
    # another branch may round the same tensor by other steps
    known = [
        n
        for n in work.readers(tensor)
        if n.op_type == "QuantizeLinear" and _same_ends(work, list(n.input[1:]), ends)
    ]
    if known:
        return str(work.readers(known[0].output[0])[0].output[0])
    held = work.add("QuantizeLinear", [tensor, *ends], work.free(f"{tensor}/uint8"))
    return work.add("DequantizeLinear", [held, *ends], work.free(f"{tensor}/moved"))


def _same_ends(work: Graph, one: list[str], other: list[str]) -> bool:
    """Whether two roundings have the same step and zero point."""
    return all(
        a == b or np.array_equal(np.asarray(work.value(a)), np.asarray(work.value(b)))
        for a, b in zip(one, other, strict=True)
    )


def scales_taken_in(work: Graph) -> None:
    """What is multiplied by a and rounded by steps of s is rounded by steps of s / a.

    What is added moves 0, where it is a whole number of steps. Also where values are only moved
    between the two.
    """
    for node in [n for n in work.nodes if n.op_type == "QuantizeLinear"]:
        while True:
            reader, before = node, work.maker(node.input[0])
            while before is not None and before.op_type in _PLACED and _alone(work, reader):
                reader, before = before, work.maker(before.input[0])
            if before is None or before.op_type not in ("Add", "Mul", "Sub"):
                break
            given = [work.value(name) for name in (before.input[1], *node.input[1:])]
            if (
                not _alone(work, reader)
                or len(given) < 3
                or any(g is None or g.size != 1 for g in given)
            ):
                break
            by, scale, zero = (np.asarray(g).reshape(()) for g in given)
            if before.op_type == "Mul":
                if by <= 0:
                    break
                node.input[1] = work.constant(np.float32(scale / by), f"{node.input[1]}/scaled")
            else:
                steps = float(by) / float(scale) * (1 if before.op_type == "Add" else -1)
                moved, ends = int(zero) + round(steps), np.iinfo(zero.dtype)
                if abs(steps - round(steps)) > _NEAR or not ends.min <= moved <= ends.max:
                    break
                node.input[2] = work.constant(zero.dtype.type(moved), f"{node.input[2]}/moved")
            reader.input[0] = before.input[0]
            work.drop(before)


def _alone(work: Graph, node: Any) -> bool:
    """Whether a node is the only one that reads its first input."""
    return work.only_reader(node.input[0]) is node


def _clips_taken_in(work: Graph) -> None:
    """A ReLU before rounding to steps that begin at 0 does nothing, nor a cap above the last."""
    for node in [n for n in work.nodes if n.op_type == "QuantizeLinear"]:
        before = work.maker(node.input[0])
        if before is None or before.op_type not in ("Relu", "Clip"):
            continue
        if work.only_reader(node.input[0]) is not node:
            continue
        scale, zero = work.value(node.input[1]), work.value(node.input[2])
        if scale is None or zero is None or zero.reshape(()) != 0:
            continue
        if before.op_type == "Clip":
            low, high = (work.value(i) for i in before.input[1:3])
            last = 255 * float(scale.reshape(()))
            # half a step: what is capped rounds to the last step all the same
            if low is None or low != 0 or high is None or last > float(high) * (1 + 0.5 / 255):
                continue
        node.input[0] = before.input[0]
        work.drop(before)


def _tables_rounded(work: Graph) -> None:
    """Rows of a table that are rounded once they are read are rounded in the table: the same bits
    in a quarter of the bytes.
    """
    for node in [n for n in work.nodes if n.op_type == "QuantizeLinear"]:
        reading = work.maker(node.input[0])
        if reading is None or reading.op_type != "Gather" or not _alone(work, node):
            continue
        table, scale, zero = (work.value(i) for i in (reading.input[0], *node.input[1:]))
        if table is None or scale is None or zero is None or scale.size != 1:
            continue
        ends = np.iinfo(zero.dtype)
        whole = np.rint(table / scale.reshape(())) + float(zero.reshape(()))
        held = np.clip(whole, ends.min, ends.max).astype(zero.dtype)
        reading.input[0] = work.constant(held, f"{reading.input[0]}/rounded")
        reading.output[0] = node.output[0]
        work.drop(node)


def _rounded_ahead(work: Graph) -> None:
    """A convolution over time is one over pictures and a Squeeze: its rounding goes before.

    Its output is rounded at once, so that the kernel gives integers.
    """
    for moving in [n for n in work.nodes if n.op_type == "Squeeze"]:
        given, after = moving.input[0], work.only_reader(moving.output[0])
        maker = work.maker(given)
        if maker is None or maker.op_type not in ("Conv", "Relu", "Clip"):
            continue
        if after is None or after.op_type != "QuantizeLinear" or not _alone(work, moving):
            continue
        ends, whole = list(after.input[1:]), work.free(f"{given}/uint8")
        moving.input[0] = work.free(f"{given}/rounded")
        work.add("QuantizeLinear", [given, *ends], whole)
        work.add("DequantizeLinear", [whole, *ends], moving.input[0])
