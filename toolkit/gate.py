"""The gate: do reasons agree enough for a build to go on? As sentences, JSON and JUnit XML."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from toolkit.errors import RecipeError
from toolkit.files import write_bytes
from toolkit.run import Run

ROWS = 8
"""Rows below which the interval of an agreement is worth nothing."""


@dataclass(frozen=True)
class Verdict:
    """Whether one model passes by one method, and why in a sentence.

    value: its place between random reasons (0) and the base beside itself (1); low: the lower end
    of its 95 % interval, which must reach `least`. None where it could not be told.
    """

    subject: str
    method: str
    passed: bool
    value: float | None
    low: float | None
    least: float
    sentence: str


def verdicts(run: Run, least: float) -> tuple[Verdict, ...]:
    """A verdict for every compared model and method; what cannot be told does not pass."""
    found = []
    for m in run.measurements:
        kind, _, method = m.name.partition(" ")
        if kind != "reason_cosine" or " " in method:
            continue
        place = run.measured(m.subject, f"reason_place {method}")
        value = low = None
        guess = next((s for s in (run.base, m.subject) if _guesses(run, s)), None)
        if guess is not None:
            value = None if place is None else place.value
            said = f"{guess} is not clearly better than guessing, and a guess has no reasons"
        elif place is None:
            said = "random attributions are as alike as the base's own: there is no scale"
        elif place.low is None or place.n < ROWS:
            value, said = place.value, f"{place.n} rows are too few for an interval"
        else:
            value, low = place.value, place.low
            passes = "reaches" if low >= least else "does not reach"
            said = (
                f"the agreement of reasons is {value:.3f} (95 %: {low:.3f} to {place.high:.3f}; "
                f"0 random, 1 the base beside itself): its lower end {passes} {least:g}"
            )
        passed = low is not None and low >= least
        sentence = f"{m.subject} beside {run.base} by {method}: {said}."
        found.append(Verdict(m.subject, method, passed, value, low, least, sentence))
    return tuple(found)


def _guesses(run: Run, subject: str) -> bool:
    """Whether a model is not clearly better than guessing, where that was measured."""
    right, classes = run.measured(subject, "accuracy"), len(run.data.get("classes", ()))
    return bool(right and classes and right.low is not None and right.low <= 100 / classes)


def checked(least: float, rows: int) -> None:
    """Raise RecipeError for a limit or a number of rows with which no verdict can be given."""
    if not 0 <= least <= 1:
        raise RecipeError(
            f"--min-agreement {least:g}",
            "0 (as random) to 1 (the base beside itself)",
            "correct it",
        )
    if rows < ROWS:
        raise RecipeError(
            f"--min-agreement over {rows} rows",
            f"at least {ROWS}, for an interval",
            "give more rows",
        )


def junit(found: tuple[Verdict, ...], path: Path) -> Path:
    """Write the verdicts as JUnit XML, one test case a model and method; whole or not at all."""
    failures = sum(not v.passed for v in found)
    suite = ElementTree.Element(
        "testsuite", name="reasons", tests=str(len(found)), failures=str(failures), errors="0"
    )
    for v in found:
        case = ElementTree.SubElement(suite, "testcase", classname=v.subject, name=v.method)
        if v.passed:
            ElementTree.SubElement(case, "system-out").text = v.sentence
        else:
            ElementTree.SubElement(case, "failure", message=v.sentence)
    return write_bytes(path, ElementTree.tostring(suite, "utf-8", xml_declaration=True))
