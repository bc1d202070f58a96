"""The CPU a file is made for: how wide its weights may be, and what other CPUs would answer.

x86 with AVX2 and no VNNI adds pairs of products in 16 bits, which clip (see `saturation`); VNNI
and ARM add in 32. Weights of 7 bits never clip, so a `generic` file answers the same everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from toolkit import metrics
from toolkit.cache import Cache, data_key, key_of
from toolkit.errors import ModelError, RecipeError, near
from toolkit.glossary import Data, Facts, Measurement
from toolkit.passes import Pass
from toolkit.predict import OnnxPredictor
from toolkit.progress import tell
from toolkit.recipe import Recipe
from toolkit.saturation import IntegerPredictor


@dataclass(frozen=True)
class Target:
    """bits: of weights, 7 or 8. signed: activations as signed bytes. about: why."""

    name: str
    bits: int
    signed: bool
    about: str


TARGETS = {
    t.name: t
    for t in (
        Target("generic", 7, False, "weights of 7 bits: the same answer on every CPU"),
        Target("avx2", 7, False, "weights of 7 bits: sums of 16 bits would clip 8"),
        Target("vnni", 8, False, "weights of 8 bits: sums of 32 bits hold them"),
        Target("arm64", 8, True, "signed bytes of 8 bits: what its kernels multiply soonest"),
    )
}
"""By the name that `--target` takes."""

_ROWS = 2000
"""Test rows, at most, for which other CPUs' sums are computed."""
_PRODUCTS = 5e10
"""Products, at most, that are summed for them: about 20 s, twice; a ResNet-8 needs 1.2e7 a row."""
_FEWEST = 50
"""Rows that are taken however many products they need."""

CPUS = {"avx2": True, "vnni": False, "arm64": False}
"""Kind of CPU -> whether its sums of products clip at 16 bits."""


def target(name: str) -> Target:
    """The target of that name.

    Raises RecipeError with the near ones.

    >>> target("generic").bits
    7
    """
    if name not in TARGETS:
        raise RecipeError(f"unknown target '{name}'", near(name, TARGETS))
    return TARGETS[name]


def suited(recipe: Recipe, name: str) -> Recipe:
    """The recipe with its rounding as the target wants it; widths below 7 stay as they are.

    >>> from toolkit.recipe import load
    >>> suited(load("int8"), "vnni").passes[0].bits
    8
    """
    wanted = target(name)
    return replace(recipe, passes=tuple(_fitted(p, wanted) for p in recipe.passes))


def _fitted(step: Pass, wanted: Target) -> Pass:
    settings: dict[str, Any] = {}
    if getattr(step, "bits", 0) in (7, 8):
        settings["bits"] = wanted.bits
    if step.name == "static_int8":
        settings["signed"] = wanted.signed
    return replace(step, **settings)


def answering(model: Path | bytes, name: str, wanted: str) -> OnnxPredictor | IntegerPredictor:
    """An `.onnx` as CPUs of the target `wanted` answer it, whichever this machine has.

    Files for CPUs that clip have weights that do not. For others onnxruntime sums exactly where it
    can; a file whose layers share weights it cannot load so, which is computed here.
    """
    import onnx

    if CPUS.get(wanted, True):
        return OnnxPredictor(model, name)
    try:
        return OnnxPredictor(model, name, exact=True)
    except ModelError:
        content = model if isinstance(model, bytes) else model.read_bytes()
        return IntegerPredictor(onnx.load_from_string(content), name, clipping=False)


def spread(model: Any, test: Data, subject: str) -> tuple[Measurement, ...]:
    """What each kind of CPU would get right with an onnx.ModelProto, and how far they lie apart.

    Of a file without sums of integers nothing is told: it answers alike everywhere. Where sums may
    clip, a large net is asked fewer rows, from all over those given. Measurements
    `accuracy target:CPU`, %, `target_spread`, points, and `target_agreement`, % of rows to which
    all give the same class. Where a sum that may clip is made inside the runtime
    nothing is known of AVX2, and the last two are left out.
    """
    answers: dict[bool, Any] = {}
    found, exact = [], IntegerPredictor(model, subject, clipping=False)
    if not exact.sums:
        return ()
    test = test.spread(_ROWS)
    if needed := exact.products(test.x[: max(exact.at_once, 1)]) / max(exact.at_once, 1):
        test = test.spread(max(int(_PRODUCTS / needed), _FEWEST))
    for cpu, clipping in CPUS.items():
        if clipping and exact.unknown:
            continue
        if clipping not in answers:
            same = clipping and not exact.clips
            predict = IntegerPredictor(model, subject, clipping=clipping) if not same else exact
            answers[clipping] = predict(test.x)
        right = metrics.accuracy(answers[clipping], test.y)
        name = f"accuracy target:{cpu}"
        found.append(
            Measurement(
                subject, name, 100 * right.value, "%", right.n, 100 * right.low, 100 * right.high
            )
        )
    if not exact.unknown:
        values = [m.value for m in found]
        n = len(test)
        found.append(Measurement(subject, "target_spread", max(values) - min(values), "points", n))
        same_class = answers[True].argmax(axis=1) == answers[False].argmax(axis=1)
        agreed = 100 * float(np.mean(same_class))
        found.append(Measurement(subject, "target_agreement", agreed, "%", n))
    return tuple(found)


def elsewhere(
    files: Mapping[str, Path], test: Data, known: Cache | None = None
) -> tuple[Measurement, ...]:
    """`spread` of each of these files, by name; computed once for a cache."""
    import onnx

    found: list[Measurement] = []
    for done, (name, path) in enumerate(files.items()):
        tell("other CPUs", done, len(files))
        content = path.read_bytes()

        def work(content: bytes = content) -> Facts:
            told = spread(onnx.load_from_string(content), test, "")
            return {"found": [asdict(m) for m in told]}

        key = key_of("targets", content, data_key(test))
        kept = known.recalled(key, work) if known else work()
        found += [Measurement(**{**m, "subject": name}) for m in kept["found"]]
    tell("other CPUs", len(files), len(files))
    return tuple(found)
