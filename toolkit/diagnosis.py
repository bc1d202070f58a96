"""What rounding does to each layer of an integer file, beside the float file it came of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.errors import MatchError, ModelError
from toolkit.glossary import Floats, LayerError
from toolkit.in_floats import in_floats
from toolkit.onnx_graph import Graph
from toolkit.operators import Operator, operators
from toolkit.passes.dynamic_int8 import prepared
from toolkit.passes.levelling import levelled_like
from toolkit.passes.ranges import at_once, listening
from toolkit.predict import OnnxPredictor
from toolkit.progress import tell
from toolkit.shapes import in_shape

Pair = tuple[Operator, Operator]
"""A float operator and the rounded one that was made of it; of the input twice the same."""
LOUDEST = 200.0
"""dB: what stands for an error that is 0."""
_PRODUCTS = 1e11
"""Products of a layer, at most, for all rows and layers: 20 s or so; a ResNet-8 needs 3e10."""
_FEWEST = 20
"""Rows that are taken however many products they need."""
_LIKE = 0.5
"""Weights with a lower cosine are not those of the same layer."""


def diagnose(
    float_model: Any, int_model: Any, rows: Floats, subject: str = ""
) -> tuple[LayerError, ...]:
    """Say for each layer how far rounding moves its output and, alone, the answer of the model.

    float_model, int_model: the same net as onnx.ModelProto, bytes or path of an `.onnx`, before and
    after rounding. rows: f32 (n, ...), n of 50 to 200 will do; a large net is asked fewer,
    from all over. Layers are those that learn, add, join or average, and the input; `layer` is a
    name that `static_int8` takes in keep_float.
    Raises MatchError when the second is not made of the first.
    """
    floats, whole = (in_floats(_read(model)) for model in (float_model, int_model))
    floats = levelled_like(prepared(floats), whole)
    predict = OnnxPredictor(floats.SerializeToString(), "float")
    x = in_shape(rows, predict.shape)
    pairs = _matched(operators(floats), operators(whole))
    source = floats.graph.input[0].name
    tensors = [source if one is two else _compared(one, two) for one, two in pairs]
    first = [two.node.input[0] for _, two in pairs if two.kind == "QuantizeLinear"]
    heard = listening(whole, [*first, *(two.makes for _, two in pairs)])
    meant = listening(floats, tensors)
    one_row = meant(x[:1])
    x = _bounded(x, pairs, [one_row[t] for t in tensors])
    seen = [_Seen(two.rounding) for _, two in pairs]
    most = at_once(one_row)
    for part in (x[i : i + most] for i in range(0, len(x), most)):
        rounded, true = heard(part), meant(part)
        for (one, two), tensor, its in zip(pairs, tensors, seen, strict=True):
            its.add(rounded[two.node.input[0]] if one is two else true[tensor], rounded[two.makes])
    answers = predict(x)
    found = []
    for done, ((one, two), tensor, its) in enumerate(zip(pairs, tensors, seen, strict=True)):
        tell("diagnose", done, len(pairs))
        alone = OnnxPredictor(_alone(floats, one, two, tensor), "alone", as_written=True)(x)
        found.append(
            LayerError(
                subject,
                tensor if one is two else one.makes,
                two.kind,
                its.decibels(),
                its.cosine(),
                its.levels(),
                its.clipped(),
                float(np.abs(alone - answers).mean()),
                two.nbytes,
            )
        )
    tell("diagnose", len(pairs), len(pairs))
    return tuple(found)


def _bounded(x: Floats, pairs: list[Pair], made: list[NDArray[Any]]) -> Floats:
    """Rows from all over, as many as keep the work within `_PRODUCTS`.

    made: what one row makes the layers of the float model make.
    """
    needed = 0
    for (one, _), values in zip(pairs, made, strict=True):
        if one.weights is not None:
            channels = values.shape[1 if "Conv" in one.kind else -1]
            needed += values.size // channels * one.weights.size
    # the net is run once for each layer
    count = int(max(_PRODUCTS / max(needed * len(pairs), 1), _FEWEST))
    return x[np.linspace(0, len(x) - 1, count).astype(int)] if count < len(x) else x


def _read(model: Any) -> Any:
    import onnx

    if isinstance(model, bytes):
        return onnx.load_from_string(model)
    if isinstance(model, str | Path):
        try:
            return onnx.load(model)
        except Exception as error:  # protobuf's own errors
            raise ModelError(
                f"cannot read {model} as ONNX", "a .onnx file", "check the path"
            ) from error
    return model


def _matched(floats: list[Operator], wholes: list[Operator]) -> list[Pair]:
    """Each rounded operator with the float one that it was made from."""
    pairs, free = [], [o for o in floats if o.weights is not None]
    for two in wholes:
        if two.weights is None:
            continue
        likely = [(_likeness(one, two), i) for i, one in enumerate(free)]
        # of layers that share their weights the first: both lists are in the order of the graph
        best, place = max(likely, key=lambda one: (one[0], -one[1]), default=(0.0, 0))
        if best < _LIKE:
            raise MatchError(
                f"layer {two.makes} has the weights of no layer of the float model",
                "the float model that the integers were made of",
                "give the .onnx as it was before rounding",
            )
        given, own = _aligned(free[place], two), np.asarray(free[place].weights)
        # weights that take in what levels the columns are computed twice
        same = np.allclose(given, own, rtol=1e-6, atol=0)
        if two.rounding is not None or not same:
            pairs.append((free[place], two))
        del free[place]
    for kind in {o.kind for o in wholes if o.weights is None}:
        ones = [o for o in floats if o.kind == kind]
        twos = [o for o in wholes if o.kind == kind]
        if kind == "QuantizeLinear":
            pairs += [(two, two) for two in twos]
        elif len(ones) == len(twos):
            pairs += [p for p in zip(ones, twos, strict=True) if p[1].rounding is not None]
    order = {id(two): i for i, two in enumerate(wholes)}
    return sorted(pairs, key=lambda pair: order[id(pair[1])])


def _aligned(one: Operator, two: Operator) -> Any:
    """The weights of `two` in the shape of those of `one`, or None where none fits."""
    wanted, given = one.weights.shape, two.weights  # type: ignore[union-attr]
    if given is None or given.ndim != len(wanted):
        return None
    if given.shape == wanted:
        return given
    # integer_operators gives a convolution a channel of zeros more
    wide = given.ndim == 4 and given.shape[1] == wanted[1] + 1
    if wide and given.shape[:1] + given.shape[2:] == wanted[:1] + wanted[2:]:
        return given[:, :-1]
    return given.T if given.ndim == 2 and given.T.shape == wanted else None


def _likeness(one: Operator, two: Operator) -> float:
    given = _aligned(one, two)
    return -1.0 if given is None else _cosine(np.asarray(one.weights), given)


def _compared(one: Operator, two: Operator) -> str:
    """The float tensor that stands beside what the rounded operator makes.

    Rounding takes in a ReLU: what is clipped at 0 is no longer there to be activated.
    """
    return one.acted if one.acted is not None and two.acted is None else one.makes


class _Seen:
    """What a rounded operator made of rows, part by part, beside what the float one made."""

    def __init__(self, rounding: tuple[Floats, NDArray[Any]] | None) -> None:
        """rounding: scale and zero point, None where what is made is float."""
        self._rounding = rounding
        self._power = self._stood = self._lost = self._both = 0.0
        self._used: set[int] = set()
        self._span, self._beyond, self._count = 0, 0, 0

    def add(self, signal: NDArray[Any], made: NDArray[Any]) -> None:
        """Take in what both made of the same rows."""
        signal = signal.astype(np.float64)
        stands = made.astype(np.float64)
        if self._rounding is not None:
            scale, zero = (float(v) for v in self._rounding)
            lowest, highest = np.iinfo(made.dtype).min, np.iinfo(made.dtype).max
            # half a step beyond the ends is brought back by rounding alone
            place = signal / scale + zero
            self._beyond += int(((place < lowest - 0.5) | (place > highest + 0.5)).sum())
            self._used.update(np.unique(made).tolist())
            self._span = int(highest) - int(lowest) + 1
            stands = (stands - zero) * scale
        self._count += signal.size
        self._power += float((signal**2).sum())
        self._stood += float((stands**2).sum())
        self._lost += float(((signal - stands) ** 2).sum())
        self._both += float(np.vdot(signal, stands))

    def decibels(self) -> float:
        """Signal over what is lost in dB, at most LOUDEST, and 0 where there is no signal."""
        if self._lost == 0:
            return LOUDEST
        return float(10 * np.log10(self._power / self._lost)) if self._power > 0 else 0.0

    def cosine(self) -> float:
        """Of both, 1 where both are nothing but zeros."""
        return _angle(self._both, self._power, self._stood)

    def levels(self) -> float:
        """The share of levels that is taken."""
        return len(self._used) / self._span if self._span else 1.0

    def clipped(self) -> float:
        """The share of values beyond the range."""
        return self._beyond / self._count if self._count else 0.0


def _alone(floats: Any, one: Operator, two: Operator, tensor: str) -> bytes:
    """The float model with nothing rounded but the weights and the output of one operator."""
    work = Graph(floats)
    if two.weights is not None:
        node = work.maker(one.makes)
        node.input[1] = work.constant(_aligned(one, two), "rounded")
        if two.bias is not None and len(node.input) > 2:
            node.input[2] = work.constant(two.bias, "rounded_bias")
    if two.rounding is not None:
        step = [work.constant(v, name) for v, name in zip(two.rounding, "sz", strict=True)]
        maker = work.maker(tensor)
        inner = work.free("inner")
        if maker is None:  # the input of the model
            work.swap(tensor, inner)
            given, made = tensor, inner
        else:
            maker.output[0] = inner
            given, made = inner, tensor
        whole = work.add("QuantizeLinear", [given, *step], work.free("whole"))
        work.add("DequantizeLinear", [whole, *step], made)
    return bytes(work.finished().SerializeToString())


def _cosine(one: Any, two: Any) -> float:
    a, b = np.ravel(one).astype(np.float64), np.ravel(two).astype(np.float64)
    return _angle(float(a @ b), float(a @ a), float(b @ b))


def _angle(both: float, one: float, two: float) -> float:
    """The cosine by a product and two squares, 1 where both are nothing but zeros."""
    length = float(np.sqrt(one) * np.sqrt(two))
    return both / length if length else float(not one and not two)
