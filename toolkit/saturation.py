"""What a file of integers answers on x86 with AVX2 but without VNNI, computed on any machine.

Those CPUs multiply unsigned by signed bytes with vpmaddubsw, which adds two products at a time in
16 bits and clips the sum to -32768..32767. onnxruntime's kernels pair products that lie side by
side along the summed axis: of a convolution kernel position by kernel position with the channels
inside, of a matrix its rows. Everything after the sums is exact, here as there. Where both are
signed or both unsigned another, exact kernel is taken, and so it is for depthwise convolutions and
for ConvInteger; but signed activations that stand between roundings are made unsigned when the file
is loaded, and then clip as well.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.constants import constants
from toolkit.glossary import Floats
from toolkit.in_floats import in_floats
from toolkit.models.heads import probabilities
from toolkit.onnx_graph import Graph, nodes_inside, reads
from toolkit.predict import OnnxPredictor
from toolkit.shapes import in_shape
from toolkit.windows import depthwise, matrices, rows, size

LOWEST, HIGHEST = -32768, 32767
_ROWS = 64
"""Rows at a time: the unfolded input of a convolution takes memory."""
_EXACT = 2**24
"""Whole numbers up to here are exact in float32."""
_PLACES = {
    "QLinearConv": (0, 3),
    "QGemm": (0, 3),
    "QLinearMatMul": (0, 3),
    "MatMulIntegerToFloat": (0, 1),
    "MatMulInteger": (0, 1),
}
"""Of each operator that sums products the places of its input and its weights."""
_ROUNDED = ("QLinearConv", "QGemm", "QLinearMatMul")
_STEPS = {**dict.fromkeys(_ROUNDED, (1, 4)), "MatMulIntegerToFloat": (2, 3)}
_ZEROS = {**dict.fromkeys(_ROUNDED, (2, 5)), "MatMulIntegerToFloat": (4, 5)}
_ZEROS |= {"MatMulInteger": (2, 3)}
"""The places of the steps and of the zero points of input and weights."""
_ENDS = {"QLinearConv": (6, 7), "QGemm": (7, 8), "QLinearMatMul": (6, 7)}
"""The places of the scale and zero point of what an operator makes."""
_INSIDE = ("DynamicQuantizeLSTM", "DynamicQuantizeMatMul", "QAttention")
"""Operators whose sums are made inside the runtime and are not computed here."""


def can_clip(weights: NDArray[Any]) -> NDArray[np.bool_]:
    """For each pair along the first axis and each output whether any input can clip its sum.

    weights: (k, n), bytes. Gives bool (ceil(k / 2), n); unsigned weights never clip.

    >>> can_clip(np.int8([[100, 64], [100, 64]])).tolist()
    [[True, False]]
    """
    if weights.dtype != np.int8:
        return np.zeros(((len(weights) + 1) // 2, weights.shape[1]), bool)
    w = _even(weights.astype(np.int32))
    up = 255 * np.maximum(w, 0).reshape(-1, 2, w.shape[1]).sum(axis=1)
    down = 255 * np.minimum(w, 0).reshape(-1, 2, w.shape[1]).sum(axis=1)
    return np.asarray((up > HIGHEST) | (down < LOWEST))


def sums(
    a: NDArray[Any], weights: NDArray[Any], *, clipping: bool = True
) -> tuple[NDArray[np.int64], int]:
    """The sums of products as AVX2 makes them, i64 (m, n), and how many pairs were clipped.

    a: (m, k), bytes; signed ones never clip. weights: (k, n), bytes. clipping: False gives the true
    sums.

    >>> one = np.uint8([[255, 255]]), np.int8([[127], [127]])
    >>> sums(*one)[0].tolist(), (one[0].astype(int) @ one[1]).tolist()
    ([[32767]], [[64770]])
    """
    kind = np.float32 if 255 * 128 * len(weights) < _EXACT else np.float64
    total = (a.astype(kind) @ weights.astype(kind)).astype(np.int64)
    if not clipping or a.dtype == np.int8:
        return total, 0
    risky = can_clip(weights)
    columns, w = _even(a.T).astype(np.float32), _even(weights.astype(np.float32))
    clipped = 0
    for pair in np.flatnonzero(risky.any(axis=1)):
        at = np.flatnonzero(risky[pair])
        both = columns[2 * pair, :, None] * w[2 * pair, at]
        both += columns[2 * pair + 1, :, None] * w[2 * pair + 1, at]
        excess = both - np.clip(both, LOWEST, HIGHEST)
        here = int(np.count_nonzero(excess))
        if here:
            clipped += here
            total[:, at] -= excess.astype(np.int64)
    return total, clipped


class IntegerPredictor:
    """An `.onnx` classifier as CPUs whose integer sums clip, or do not, would answer."""

    def __init__(self, model: Any, name: str = "", *, clipping: bool = True) -> None:
        """Read an onnx.ModelProto. Raises ModelError for no classifier.

        clipping: as AVX2 without VNNI; False is as VNNI and ARM.
        """
        model = in_floats(model)
        self._outer = OnnxPredictor(model.SerializeToString(), name or "integers")
        self.name, self.shape = self._outer.name, self._outer.shape
        self.classes = self._outer.classes
        self._plan = _Plan(_fused(model), self._outer.ends, clipping=clipping)
        self.unknown = tuple(self._plan.unknown)
        """Operators that may clip inside the runtime, which is not computed here."""

    @property
    def at_once(self) -> int:
        """How many rows the file takes in a call; 0 for any number."""
        return self._outer.at_once

    @property
    def clips(self) -> bool:
        """Whether any sum can clip at all, by the weights alone."""
        return bool(self._plan.summing)

    def __call__(self, x: Floats, /) -> Floats:
        """Class probabilities of the rows `x`, f32 (n, k)."""
        if not self.clips:
            return self._outer(x)
        x = in_shape(x, self.shape)
        end = self._outer.ends[1]
        parts = [self._plan.run(part)[0][end].astype(np.float32) for part in self._parts(x)]
        if not parts:
            return np.zeros((0, self.classes), np.float32)
        return probabilities(np.concatenate(parts), self._outer.head)

    @property
    def sums(self) -> bool:
        """Whether there are sums of products of integers in it."""
        return self._plan.sums

    def products(self, x: Floats) -> int:
        """How many products of integers that may clip are summed here for the rows `x`."""
        if not self.clips or not len(x):
            return 0
        values = self._plan.run(in_shape(x, self.shape))[0]
        summed = self._plan.summing.items()
        return sum(int(values[name].size) * self._plan.length(node) for name, node in summed)

    def clipped(self, x: Floats) -> dict[str, int]:
        """How many pairs of products each operator clips for the rows `x`, by what it makes."""
        found = dict.fromkeys(self._plan.summing, 0)
        for part in self._parts(in_shape(x, self.shape)) if self.clips else ():
            for name, count in self._plan.run(part)[1].items():
                found[name] += count
        return found

    def _parts(self, x: Floats) -> Iterator[Floats]:
        step = 1 if self._outer.step == 1 else _ROWS
        return (x[i : i + step] for i in range(0, len(x), step))


def _fused(model: Any) -> Any:
    """The graph that onnxruntime makes of a model when it loads it, with its integer operators.

    One whose ranges are found on the fly comes back as it is: its sums stand there as operators.
    """
    import onnx

    if any(n.op_type == "DynamicQuantizeLinear" for n in model.graph.node):
        return model
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "fused.onnx"
        _opened(model, "ORT_ENABLE_EXTENDED", str(path))
        return onnx.load(path)


def _opened(model: Any, level: str, saved: str = "") -> Any:
    """A session at a level of optimisation; `saved` is where the optimised graph goes."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
    if saved:
        options.optimized_model_filepath = saved
    content, providers = model.SerializeToString(), ["CPUExecutionProvider"]
    return onnxruntime.InferenceSession(content, options, providers=providers)


class _Plan:
    """A graph cut where sums may clip: these are made here, what lies between by the runtime."""

    def __init__(self, model: Any, ends: tuple[str, str], *, clipping: bool) -> None:
        """ends: the names of the rows and of their answers."""
        self._clipping = clipping
        self._work = Graph(model)
        nodes = list(self._work.finished().graph.node)
        self._held = constants(model)
        self._input, self._output = ends
        self.sums = any(n.op_type in (*_PLACES, *_INSIDE, "ConvInteger") for n in nodes)
        steps: list[list[Any]] = [[]]
        self.summing: dict[str, Any] = {}
        kinds = (n.op_type for node in nodes for n in nodes_inside(node))
        # a graph is not cut within bodies of loops and branches
        self.unknown = [kind for kind in kinds if kind in (*_PLACES, *_INSIDE)]
        self.sums |= bool(self.unknown)
        for node in nodes:
            if node.op_type in _INSIDE and self._risky_inside(node):
                self.unknown.append(node.op_type)
            if self._risky(node):
                self.summing[node.output[0]] = node
                steps += [[node], []]
            elif not set(node.output) <= self._held.keys():
                steps[-1].append(node)
        self._steps = [s for s in steps if s]
        self._opened: dict[int, tuple[Any, list[str], list[str]]] = {}

    def run(self, x: Floats) -> tuple[dict[str, NDArray[Any]], dict[str, int]]:
        """All that is made of rows x, by name, and how many pairs each summing operator clipped."""
        values: dict[str, NDArray[Any]] = {self._input: x}
        counts = {}
        for number, nodes in enumerate(self._steps):
            name = nodes[0].output[0]
            if name in self.summing:
                values[name], counts[name] = _made(
                    nodes[0], {**self._held, **values}, clipping=self._clipping
                )
                continue
            opened, given, made = self._session(number, values)
            results = opened.run(made, {g: values[g] for g in given})
            values |= dict(zip(made, results, strict=True))
        return values, counts

    def length(self, node: Any) -> int:
        """How many products each sum of a summing operator has."""
        return int(matrices(node, self._held[node.input[_PLACES[node.op_type][1]]]).shape[1])

    def _session(self, number: int, values: dict[str, NDArray[Any]]) -> Any:
        from onnx import ValueInfoProto, helper

        if number not in self._opened:
            nodes = self._steps[number]
            later = {i for step in self._steps[number + 1 :] for n in step for i in reads(n)}
            made = [o for n in nodes for o in n.output if o in later | {self._output}]
            read = dict.fromkeys(i for n in nodes for i in reads(n))
            given = [i for i in read if i in values]
            fixed = [i for i in read if i in self._held and i not in values]
            part = type(self._work.model)()
            part.CopyFrom(self._work.model)
            graph = part.graph
            del graph.node[:], graph.initializer[:], graph.input[:], graph.output[:]
            del graph.value_info[:]
            graph.node.extend(nodes)
            graph.initializer.extend(_tensor(self._held[i], i) for i in fixed)
            graph.input.extend(
                helper.make_tensor_value_info(
                    i, helper.np_dtype_to_tensor_dtype(values[i].dtype), [None] * values[i].ndim
                )
                for i in given
            )
            graph.output.extend(ValueInfoProto(name=o) for o in made)
            # optimised already: once more, floats between would be added in another order
            self._opened[number] = _opened(part, "ORT_DISABLE_ALL"), given, made
        return self._opened[number]

    def _risky(self, node: Any) -> bool:
        if node.op_type not in _PLACES:
            return False
        weights = self._held.get(node.input[_PLACES[node.op_type][1]])
        if weights is None or weights.dtype != np.int8:
            return False
        zero = self._held.get((*node.input, *[""] * 3)[_ZEROS[node.op_type][0]])
        if depthwise(node, weights) or (zero is not None and zero.dtype == np.int8):
            return False
        return any(can_clip(w).any() for w in matrices(node, weights))

    def _risky_inside(self, node: Any) -> bool:
        held = [self._held[i] for i in node.input if i in self._held]
        return any(
            can_clip(w.reshape(-1, *w.shape[-2:])[i]).any()
            for w in held
            if w.dtype == np.int8 and w.ndim > 1
            for i in range(int(np.prod(w.shape[:-2])))
        )


def _tensor(values: NDArray[Any], name: str) -> Any:
    from onnx import numpy_helper

    return numpy_helper.from_array(np.ascontiguousarray(values).reshape(values.shape), name)


def _even(values: NDArray[Any]) -> NDArray[Any]:
    """With a row of zeros more where the first axis is odd."""
    return np.pad(values, ((0, len(values) % 2), (0, 0)))


def _made(node: Any, held: dict[str, NDArray[Any]], *, clipping: bool) -> tuple[NDArray[Any], int]:
    """What one summing operator makes, with clipped sums, and how many pairs it clipped."""
    kind = node.op_type
    names = [*node.input, *[""] * (10 - len(node.input))]
    at, of = _PLACES[kind]
    a, weights = held[names[at]], held[names[of]]
    a_zero, w_zero = (names[i] for i in _ZEROS[kind])
    zero = held[a_zero].reshape(()) if a_zero else np.zeros((), a.dtype)
    lift = held[w_zero].reshape(-1).astype(np.int64) if w_zero else np.zeros(1, np.int64)
    groups = matrices(node, weights)
    convolves = "Conv" in kind
    summed = rows(node, a, weights.shape, int(zero))
    clipped, totals = 0, []
    for number, (part, w) in enumerate(zip(summed, groups, strict=True)):
        total, count = sums(part, w, clipping=clipping)
        clipped += count
        mine = lift if lift.size == 1 else np.split(lift, len(groups))[number]
        total = total - int(zero) * (w.astype(np.int64).sum(axis=0) - len(w) * mine)
        if mine.any():
            total = total - part.astype(np.int64).sum(axis=1, keepdims=True) * mine
        totals.append(total)
    total = np.concatenate(totals, axis=1)
    biases = {"QLinearConv": names[8], "QGemm": names[6]}
    if biases.get(kind):
        total = total + held[biases[kind]].reshape(-1)
    made = _scaled(node, total.astype(np.int32), names, held)
    if convolves:
        places = size(node, a.shape, weights.shape)
        return np.ascontiguousarray(np.moveaxis(made.reshape(len(a), *places, -1), -1, 1)), clipped
    return made.reshape(*a.shape[:-1], made.shape[-1]), clipped


def _scaled(
    node: Any, total: NDArray[np.int32], names: list[str], held: dict[str, NDArray[Any]]
) -> NDArray[Any]:
    """Sums as the operator gives them: rounded again, as floats, or as they are."""
    a_step, w_step = (names[i] for i in _STEPS.get(node.op_type, (9, 9)))
    if not a_step:
        return total
    scale = np.float32(held[a_step].reshape(())) * held[w_step].reshape(-1).astype(np.float32)
    step, zero = (names[i] for i in _ENDS[node.op_type]) if node.op_type in _ENDS else ("", "")
    if not step:
        plain: NDArray[Any] = total.astype(np.float32) * scale
        bias = names[6] if node.op_type == "MatMulIntegerToFloat" else ""
        return np.asarray(plain + held[bias]) if bias else plain
    moved = held[zero]
    lowest, highest = np.iinfo(moved.dtype).min, np.iinfo(moved.dtype).max
    made = total.astype(np.float32) * (scale / np.float32(held[step].reshape(())))
    ends = np.float32(lowest - int(moved)), np.float32(highest - int(moved))
    whole: NDArray[Any] = np.rint(np.clip(made, *ends)).astype(np.int32) + int(moved)
    return whole.astype(moved.dtype)
