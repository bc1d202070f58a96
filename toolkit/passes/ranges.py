"""The range of each activation: found by one method, or tensor by tensor the one that errs least.

minmax, percentile and entropy are onnxruntime's calibrators; mse is the range whose rounding loses
least of the values themselves. `best` tries them on each tensor in turn and keeps the range with
which the answers of the net, rounded nowhere else, stay nearest to its own.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.glossary import Floats
from toolkit.models.quantised import zero_on_a_step
from toolkit.onnx_graph import Graph
from toolkit.predict import OnnxPredictor
from toolkit.progress import tell
from toolkit.runtime import session

Ranges = dict[str, tuple[float, float]]
"""Tensor -> the smallest and the largest value that its integers stand for; 0 lies between."""

CALIBRATORS = {"minmax": "MinMax", "entropy": "Entropy", "percentile": "Percentile"}
METHODS = (*CALIBRATORS, "mse", "best")
_SCALING = ("Add", "Div", "Flatten", "Mul", "Reshape", "Sub", "Transpose")
_BATCH = 32
_SIZES = range(_BATCH // 4, _BATCH + 1)
"""Rows that a batch may have."""
_AT_ONCE = 2**26
"""Values, at most, that are held at once: 256 MB as floats."""
_HELD = 4
"""So many times that its histograms hold: all values of all tensors of all rows, until the end."""
_VALUES = 50_000
"""Values of a tensor that decide its range by mse."""
_SHARES = np.linspace(0.2, 1.0, 41)
"""Shares of the whole range that are tried."""
_ASKED = 64
"""Rows on which `best` asks the net: more decide hardly otherwise and take time."""


def found(ready: Any, method: str, x: Floats, tensors: list[str]) -> tuple[Ranges, dict[str, str]]:
    """The range of each tensor of a float onnx.ModelProto on rows x, and the method behind it."""
    if method == "best":
        return _best(ready, x, tensors)
    ranges = _by_mse(ready, x, tensors) if method == "mse" else _calibrated(ready, method, x)
    return {t: ranges[t] for t in tensors if t in ranges}, dict.fromkeys(tensors, method)


def scaling(ready: Any) -> list[Any]:
    """The nodes that scale and move the input by constants, before any layer."""
    made, fixed = {ready.graph.input[0].name}, {i.name for i in ready.graph.initializer}
    found = []
    for node in ready.graph.node:
        if node.op_type in _SCALING and node.input[0] in made and fixed.issuperset(node.input[1:]):
            made.add(node.output[0])
            found.append(node)
    return found


def of_input(ready: Any, x: Floats) -> Ranges:
    """The whole range of the input, and of what it is scaled to, where it has both signs.

    With 0 on a step: pixels lie on a grid, and from -1 to 1 all would fall halfway between two.
    """
    made = [ready.graph.input[0].name, *(n.output[0] for n in scaling(ready))]
    ends = [
        {t: (float(v.min()), float(v.max())) for t, v in part.items()}
        for part in values(ready, made, x)
    ]
    found = {t: (min(e[t][0] for e in ends), max(e[t][1] for e in ends)) for t in made}
    return {t: zero_on_a_step(*e) for t, e in found.items() if e[0] < 0 < e[1]}


def reader(name: str, x: Floats) -> Any:
    """The calibration rows as onnxruntime wants them, in batches that bound its memory."""
    from onnxruntime.quantization import CalibrationDataReader

    class Rows(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.batches = _batches(x)

        def get_next(self) -> dict[str, Floats] | None:
            batch = next(self.batches, None)
            return None if batch is None else {name: batch}

    return Rows()


def even(rows: int) -> int:
    """How many of the rows to take, where histograms want batches of one size.

    >>> [even(n) for n in (5, 20, 53, 101, 200)]
    [5, 20, 52, 100, 200]
    """
    return rows - min(rows % size for size in _SIZES) if rows > _BATCH else rows


def _size(rows: int) -> int:
    """Rows in a batch: the largest divisor that is not small, or else nearly all."""
    return max((d for d in _SIZES if rows % d == 0), default=_BATCH)


def _batches(x: Floats) -> Iterator[Floats]:
    size = _size(len(x))
    return (x[i : i + size] for i in range(0, len(x), size))


def _calibrated(ready: Any, method: str, x: Floats) -> Ranges:
    """What one of onnxruntime's calibrators says of every tensor."""
    import onnx
    from onnxruntime.quantization import CalibrationMethod
    from onnxruntime.quantization.calibrate import create_calibrator

    if method != "minmax":
        every = [o for n in ready.graph.node for o in n.output if o]
        most = _HELD * at_once(listening(ready, every)(x[:1]))
        x = x[np.linspace(0, len(x) - 1, even(most)).astype(int)] if most < len(x) else x
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "net.onnx"
        onnx.save(ready, source)
        made = create_calibrator(
            source,
            augmented_model_path=str(Path(folder) / "more.onnx"),
            calibrate_method=getattr(CalibrationMethod, CALIBRATORS[method]),
        )
        with redirect_stdout(io.StringIO()):  # they print
            made.collect_data(reader(ready.graph.input[0].name, x))
            data = made.compute_data().data
    return {
        name: _around_zero(*(float(np.min(v)) for v in d.range_value)) for name, d in data.items()
    }


def _by_mse(ready: Any, x: Floats, tensors: list[str]) -> Ranges:
    rng = np.random.default_rng(0)
    ranges: Ranges = {}
    parts: dict[str, list[NDArray[Any]]] = {t: [] for t in tensors}
    batches = max(len(x) // _BATCH, 1)
    for made in values(ready, tensors, x):
        for tensor, part in made.items():
            flat = part.reshape(-1)
            most = max(_VALUES // batches, 1)
            ends = np.array([flat.min(), flat.max()], np.float32)
            picked = rng.choice(flat, most) if flat.size > most else flat
            parts[tensor].append(np.concatenate([ends, picked]))
    for tensor, held in parts.items():
        if held:
            ranges[tensor] = least_squares(np.concatenate(held))
    return ranges


def least_squares(values: NDArray[Any], levels: int = 255) -> tuple[float, float]:
    """The range, within that of the values, whose rounding to `levels` steps errs least in squares.

    >>> least_squares(np.float32([0, 1, 2, 3, 4, 5]))
    (0.0, 5.0)
    """
    low, high = _around_zero(float(values.min()), float(values.max()))
    if high - low < levels * float(np.finfo(np.float32).tiny):
        return low, high  # float32 has no step for it
    errors: dict[tuple[float, float], float] = {}
    for share in _SHARES:
        a, b = float(share * low), float(share * high)
        step = (b - a) / levels or 1.0
        zero = np.rint(-a / step)
        whole = np.clip(np.rint(values / step) + zero, 0, levels)
        errors[a, b] = float((((whole - zero) * step - values) ** 2).mean())
    # of equal errors the wider range: what comes later may be larger
    return min(errors, key=lambda ends: (errors[ends], ends[0] - ends[1]))


def values(ready: Any, tensors: list[str], x: Floats) -> Iterator[dict[str, NDArray[Any]]]:
    """What the net makes of each batch, tensor by tensor; of a large net batches are smaller."""
    heard = listening(ready, tensors)
    most = at_once(heard(x[:1]))
    for batch in _batches(x):
        yield from (heard(batch[i : i + most]) for i in range(0, len(batch), most))


def listening(model: Any, tensors: list[str]) -> Callable[[Floats], dict[str, NDArray[Any]]]:
    """What an onnx.ModelProto makes of rows, as a function: tensor -> its values."""
    import onnx

    more = type(model)()
    more.CopyFrom(model)
    source = more.graph.input[0].name
    inner = [t for t in dict.fromkeys(tensors) if t != source]
    there = {o.name for o in more.graph.output}
    more.graph.output.extend(onnx.ValueInfoProto(name=t) for t in inner if t not in there)
    opened = session(more.SerializeToString())

    def made(x: Floats) -> dict[str, NDArray[Any]]:
        # a session that is asked for nothing answers all
        found = dict(zip(inner, opened.run(inner, {source: x}), strict=True)) if inner else {}
        return found | ({source: x} if source in tensors else {})

    return made


def at_once(of_one_row: Mapping[str, NDArray[Any]]) -> int:
    """So many rows keep within `_AT_ONCE` what is listened to, by what one row makes."""
    return max(_AT_ONCE // max(sum(v.size for v in of_one_row.values()), 1), 1)


def _best(ready: Any, x: Floats, tensors: list[str]) -> tuple[Ranges, dict[str, str]]:
    """The method with the nearest answers, tensor by tensor."""
    every: dict[str, Mapping[str, tuple[float, float]]] = {
        method: _calibrated(ready, method, x) for method in CALIBRATORS
    }
    every["mse"] = _by_mse(ready, x, tensors)
    asked = x[:: max(len(x) // _ASKED, 1)]
    meant = _answers(ready, asked)
    ranges: Ranges = {}
    chosen = {}
    for done, tensor in enumerate(tensors):
        tell("choose ranges", done, len(tensors))
        tried: dict[tuple[float, float], str] = {}
        for method, its in every.items():
            if tensor in its:
                tried.setdefault(its[tensor], method)
        errors = {
            ends: float(((_answers(_rounded(ready, tensor, ends), asked) - meant) ** 2).mean())
            for ends in tried
        }
        if errors:
            ranges[tensor] = min(errors, key=lambda ends: errors[ends])
            chosen[tensor] = tried[ranges[tensor]]
    tell("choose ranges", len(tensors), len(tensors))
    return ranges, chosen


def _answers(model: Any, x: Floats) -> Floats:
    """What stands before the softmax, or the probabilities where nothing does."""
    predict = OnnxPredictor(model.SerializeToString(), "ranges", as_written=True)
    before = predict.logits(x)
    return predict(x) if before is None else before


def _rounded(ready: Any, tensor: str, ends: tuple[float, float]) -> Any:
    """The net with one tensor rounded to 8 bits over a range."""
    work = Graph(ready)
    step = max((ends[1] - ends[0]) / 255, float(np.finfo(np.float32).tiny))
    zero = np.clip(np.rint(-ends[0] / step), 0, 255)
    pair = [work.constant(np.float32(step), "step"), work.constant(np.uint8(zero), "zero")]
    inner = work.free("inner")
    maker = work.maker(tensor)
    given, made = (inner, tensor) if maker is not None else (tensor, inner)
    if maker is not None:
        place = list(maker.output).index(tensor)
        maker.output[place] = inner
    else:
        work.swap(tensor, inner)
    whole = work.add("QuantizeLinear", [given, *pair], work.free("whole"))
    work.add("DequantizeLinear", [whole, *pair], made)
    return work.finished()


def _around_zero(low: float, high: float) -> tuple[float, float]:
    """The range with 0 in it, which padding and ReLU need exact."""
    return min(low, 0.0), max(high, 0.0)
