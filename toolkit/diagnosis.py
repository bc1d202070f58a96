"""What rounding does to each layer of an integer file, beside the float file it came of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.errors import MatchError, ModelError
from toolkit.glossary import Floats, LayerError
from toolkit.onnx_graph import Graph
from toolkit.operators import Operator, operators
from toolkit.passes.dynamic_int8 import prepared
from toolkit.predict import OnnxPredictor
from toolkit.progress import tell
from toolkit.runtime import session
from toolkit.shapes import in_shape

LOUDEST = 200.0
"""dB: what stands for an error that is 0."""
_LIKE = 0.5
"""Weights with a lower cosine are not those of the same layer."""


def diagnose(
    float_model: Any, int_model: Any, rows: Floats, subject: str = ""
) -> tuple[LayerError, ...]:
    """Say for each layer how far rounding moves its output and, alone, the answer of the model.

    float_model, int_model: the same net as onnx.ModelProto, bytes or path of an `.onnx`, before and
    after rounding. rows: f32 (n, ...), n of 50 to 200 will do. Layers are those that learn, add,
    join or average, and the input; `layer` is a name that `static_int8` takes in keep_float.
    Raises MatchError when the second is not made of the first.
    """
    floats, whole = prepared(_read(float_model)), _read(int_model)
    predict = OnnxPredictor(floats.SerializeToString(), "float")
    x = in_shape(rows, predict.shape)
    pairs = _matched(operators(floats), operators(whole))
    source = floats.graph.input[0].name
    first = [two.node.input[0] for _, two in pairs if two.kind == "QuantizeLinear"]
    heard = _values(whole, [*first, *(two.makes for _, two in pairs)], x)
    meant = _values(floats, [_compared(one, two) for one, two in pairs if one is not two], x)
    answers = predict(x)
    found = []
    for done, (one, two) in enumerate(pairs):
        tell("diagnose", done, len(pairs))
        outer = one is two
        tensor = source if outer else _compared(one, two)
        signal = (heard[two.node.input[0]] if outer else meant[tensor]).astype(np.float64)
        noisy, used, saturated = _read_off(signal, heard[two.makes], two.rounding)
        alone = OnnxPredictor(_alone(floats, one, two, tensor), "alone")(x)
        found.append(
            LayerError(
                subject,
                tensor if outer else one.makes,
                two.kind,
                _decibels(signal, signal - noisy),
                _cosine(signal, noisy),
                used,
                saturated,
                float(np.abs(alone - answers).mean()),
                two.nbytes,
            )
        )
    tell("diagnose", len(pairs), len(pairs))
    return tuple(found)


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


def _matched(floats: list[Operator], wholes: list[Operator]) -> list[tuple[Operator, Operator]]:
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
        same = bool((_aligned(free[place], two) == free[place].weights).all())
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


def _values(model: Any, tensors: list[str], x: Floats) -> dict[str, NDArray[Any]]:
    """What a model makes of rows, tensor by tensor."""
    import onnx

    more = type(model)()
    more.CopyFrom(model)
    given = more.graph.input[0].name
    wanted = [t for t in dict.fromkeys(tensors) if t != given]
    if not wanted:
        return {given: x}  # a session that is asked for nothing answers all
    there = {o.name for o in more.graph.output}
    more.graph.output.extend(onnx.ValueInfoProto(name=t) for t in wanted if t not in there)
    opened = session(more.SerializeToString())
    return {given: x, **dict(zip(wanted, opened.run(wanted, {given: x}), strict=True))}


def _read_off(signal: Any, made: NDArray[Any], rounding: Any) -> tuple[Any, float, float]:
    """What a rounded tensor stands for, the share of levels it takes and of values it clips."""
    if rounding is None:
        return made.astype(np.float64), 1.0, 0.0
    scale, zero = (float(v) for v in rounding)
    lowest, highest = np.iinfo(made.dtype).min, np.iinfo(made.dtype).max
    # half a step beyond the ends is brought back by rounding alone
    place = signal / scale + zero
    clipped = (place < lowest - 0.5) | (place > highest + 0.5)
    levels = len(np.unique(made)) / (highest - lowest + 1)
    return (made.astype(np.float64) - zero) * scale, levels, float(clipped.mean())


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


def _decibels(signal: Any, noise: Any) -> float:
    """Signal over noise in dB, at most LOUDEST, and 0 where there is no signal."""
    power, lost = float((signal**2).sum()), float((noise**2).sum())
    if lost == 0:
        return LOUDEST
    return float(10 * np.log10(power / lost)) if power > 0 else 0.0


def _cosine(one: Any, two: Any) -> float:
    """The cosine of two arrays of one shape, 1 where both are nothing but zeros."""
    a, b = np.ravel(one).astype(np.float64), np.ravel(two).astype(np.float64)
    length = float(np.linalg.norm(a) * np.linalg.norm(b))
    if length == 0:
        return float(not a.any() and not b.any())
    return float(a @ b / length)
