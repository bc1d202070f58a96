"""Size, speed, memory and accuracy of `.onnx` files beside a base, each with its spread."""

from __future__ import annotations

import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from toolkit import metrics
from toolkit.behaviour import behaviour
from toolkit.errors import DataError, ModelError
from toolkit.glossary import Confusion, Data, Floats, Measurement, Predictor
from toolkit.predict import OnnxPredictor
from toolkit.progress import tell
from toolkit.runtime import numbers, session
from toolkit.shapes import in_shape

ROUNDS = 31
_BURST_SECONDS = 0.004


def measure(
    models: Mapping[str, Path],
    test: Data,
    *,
    rounds: int = ROUNDS,
    seed: int = 0,
    slices: Sequence[str] = (),
    held: Sequence[str] = (),
    ask: Callable[[Path, str], Any] = OnnxPredictor,
) -> tuple[tuple[Measurement, ...], tuple[Confusion, ...]]:
    """Measure every model on the same rows; the first is the base, the others stand beside it.

    slices: columns of a table, by whose values accuracy is told as well as by class. held: groups
    that are told however small, as in `behaviour`. ask: opens a file by its name; what it answers
    is judged, and the file is timed on this machine.

    Timings: one thread, one row a call, the models interleaved in a new order each round.
    Raises ModelError for what is no classifier, MatchError for what does not fit the data.
    """
    if not models:
        raise DataError("no model to measure", "at least one .onnx", "name one")
    asked = {name: ask(path, name) for name, path in models.items()}
    for name, predict in asked.items():
        if predict.at_once > 1:
            raise ModelError(
                f"{name} takes {predict.at_once} rows at once, no more and no fewer",
                "any number of rows, to be timed row by row",
                "compress it: base.onnx takes any",
            )
    judged, confusions, answers = judge(asked, test)
    found = [*judged, *behaviour(answers, test, slices, held)]
    for name, path in models.items():
        content = path.read_bytes()
        packed = len(zlib.compress(content, 9))
        found += [
            Measurement(name, "bytes", len(content), "B", 1),
            Measurement(name, "zipped", packed, "B", 1),
        ]
    rows = {name: in_shape(test.x[:1], predict.shape) for name, predict in asked.items()}
    found += latency(models, rows, rounds=rounds, seed=seed)
    found += [_loading(name, path) for name, path in models.items()]
    for i, (name, path) in enumerate(models.items()):
        tell("measure memory", i, len(models))
        found.append(_memory(name, path, rows[name]))
    tell("measure memory", len(models), len(models))
    return tuple(found), confusions


def judge(
    models: Mapping[str, Predictor], test: Data
) -> tuple[tuple[Measurement, ...], tuple[Confusion, ...], dict[str, Floats]]:
    """Accuracy and its kin of predictors beside the labels and the first of them, the base."""
    found: list[Measurement] = []
    confusions = []
    answers: dict[str, Floats] = {}
    for name, predict in models.items():
        p = answers[name] = predict(test.x)
        if p.shape != (len(test), len(test.classes)) or not np.isfinite(p).all():
            raise ModelError(
                f"{name} gives {p.shape} for {len(test)} rows, or values that are not finite",
                f"({len(test)}, {len(test.classes)}) finite probabilities",
                "check the model",
            )
        right = metrics.accuracy(p, test.y)
        found.append(_percent(name, "accuracy", right))
        error = metrics.calibration_error(p, test.y)
        found.append(Measurement(name, "calibration_error", error, "", len(test)))
        counts = metrics.confusion(p, test.y)
        confusions.append(Confusion(name, counts))
        told = metrics.informedness(counts)
        if told is not None:
            ends = told.value, "", told.n, told.low, told.high
            found.append(Measurement(name, "informedness", *ends))
        base = next(iter(answers.values()))
        if p is base:
            continue
        drop = metrics.accuracy_drop(base, p, test.y)
        found += [
            Measurement(
                name,
                "accuracy_drop",
                100 * drop.value,
                "points",
                drop.n,
                100 * drop.low,
                100 * drop.high,
            ),
            Measurement(name, "accuracy_drop_bound", 100 * drop.upper, "points", drop.n),
            Measurement(name, "mcnemar_p", drop.p_value, "", drop.n),
            _percent(name, "agreement", metrics.agreement(base, p)),
        ]
    return tuple(found), tuple(confusions), answers


def latency(
    models: Mapping[str, Path], rows: Mapping[str, Floats], *, rounds: int = ROUNDS, seed: int = 0
) -> list[Measurement]:
    """Time one row a call on one thread, models interleaved, and the ratio to the first of them.

    rows: for each model f32 (1, ...) in its input's shape. p50 and p95: us over all calls. The
    ratio is the median over rounds of the ratio of medians, its 95 % interval the sign test's.
    """
    runs = {name: _call(session(path, threads=1), rows[name]) for name, path in models.items()}
    # by the median: a probe that is interrupted would leave a model few calls in every round
    calls = {n: max(int(_BURST_SECONDS / median(_burst(run, 20))), 3) for n, run in runs.items()}
    times: dict[str, list[list[float]]] = {name: [] for name in models}
    order, rng = list(models), np.random.default_rng(seed)
    for done in range(rounds):
        rng.shuffle(order)
        for name in order:
            times[name].append(_burst(runs[name], calls[name]))
        tell("measure latency", done + 1, rounds)
    base = next(iter(models))
    found = []
    for name, bursts in times.items():
        every = np.concatenate([np.array(burst) for burst in bursts]) * 1e6
        n = len(every)
        found.append(Measurement(name, "latency_p50", float(np.median(every)), "us", n))
        found.append(Measurement(name, "latency_p95", float(np.quantile(every, 0.95)), "us", n))
        if name != base:
            ratios = sorted(
                median(mine) / median(its) for mine, its in zip(bursts, times[base], strict=True)
            )
            low, high = metrics.median_ranks(len(ratios))
            found.append(
                Measurement(
                    name,
                    "latency_ratio",
                    median(ratios),
                    "x",
                    len(ratios),
                    ratios[low],
                    ratios[high],
                )
            )
    return found


def _call(opened: Any, row: Floats) -> Any:
    feed = {opened.get_inputs()[0].name: row.astype(numbers(opened))}
    return lambda: opened.run(None, feed)


def _burst(run: Any, calls: int) -> list[float]:
    run()  # the caches belong to the model measured before
    times = []
    for _ in range(calls):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return times


def _loading(name: str, path: Path) -> Measurement:
    times = []
    for _ in range(5):
        start = time.perf_counter()
        session(path, threads=1)
        times.append(1e3 * (time.perf_counter() - start))
    return Measurement(name, "load", median(times), "ms", len(times), min(times), max(times))


_CHILD = """
import sys
import numpy, onnxruntime
onnxruntime.disable_telemetry_events()
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
options.log_severity_level = 4
opened = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
kind = opened.get_inputs()[0].type[len("tensor("):-1]
holds = {"float": "float32", "double": "float64"}.get(kind, kind)
row = numpy.zeros([int(d) for d in sys.argv[2].split(",")], holds)
for _ in range(10):
    opened.run(None, {opened.get_inputs()[0].name: row})
try:
    status = open("/proc/self/status").read()
    print(int(status.split("VmHWM:")[1].split()[0]) * 1024)
except OSError:
    import resource
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(peak if sys.platform == "darwin" else peak * 1024)
"""


def _memory(name: str, path: Path, row: Floats) -> Measurement:
    """The peak resident memory, MB, of a process that loads and runs only this file.

    It contains Python, numpy and onnxruntime themselves, as a device that runs Python would.
    """
    shape = ",".join(str(d) for d in row.shape)
    command = [sys.executable, "-I", "-c", _CHILD, str(path.resolve()), shape]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode != 0:
        raise ModelError(
            f"{name} does not run in a process of its own ({done.stderr.strip()[-160:]})",
            "a file that onnxruntime runs",
            "check the model",
        )
    return Measurement(name, "peak_memory", int(done.stdout) / 1e6, "MB", 1)


def _percent(subject: str, name: str, estimate: metrics.Estimate) -> Measurement:
    return Measurement(
        subject,
        name,
        100 * estimate.value,
        "%",
        estimate.n,
        100 * estimate.low,
        100 * estimate.high,
    )
