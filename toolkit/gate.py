"""The gate: do reasons agree enough for a build to go on? As sentences, JSON and JUnit XML."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from toolkit.errors import RecipeError
from toolkit.files import write_bytes
from toolkit.run import Run

ROWS = 8
"""Rows below which the interval of an agreement is worth nothing."""

_UNSEEN = 0.05
"""How likely it may be that rows which would fail a model are not among those compared."""


@dataclass(frozen=True)
class Verdict:
    """Whether one model passes by one method, and why in a sentence.

    value: its place between random reasons (0) and the base beside itself (1); low: the lower end
    of its 95 % interval, which must reach `least`. None where it could not be told. why: the
    sentence without the models.
    """

    subject: str
    method: str
    passed: bool
    value: float | None
    low: float | None
    least: float
    why: str
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
        guess = next((s for s in (run.base, m.subject) if run.guesses(s)), None)
        rows = enough(least)
        if guess is not None:
            value = None if place is None else place.value
            said = f"{guess} is not clearly better than guessing, and a guess has no reasons"
        elif place is None:
            said = "random attributions are as alike as the base's own: there is no scale"
        elif place.low is None or place.n < rows:
            value = place.value
            said = f"{place.n} rows are too few for {least:g}, {rows} are needed"
        else:
            value, low = place.value, place.low
            passes = "reaches" if low >= least else "does not reach"
            said = (
                f"the agreement of reasons is {value:.3f} (95 %: {low:.3f} to {place.high:.3f}; "
                f"0 random, 1 the base beside itself): its lower end {passes} {least:g}"
            )
        passed = low is not None and low >= least
        sentence = f"{m.subject} beside {run.base} by {method}: {said}."
        found.append(Verdict(m.subject, method, passed, value, low, least, said, sentence))
    return tuple(found)


def enough(least: float) -> int:
    """The rows that a limit needs, so that what would fail it is likely to be among them.

    Were a share of 1 - `least` of all rows decided for random reasons, and the others for the
    base's, the mean would be at the limit; of so many rows one of them is seen in 95 of 100 draws.

    >>> [enough(least) for least in (0.5, 0.8, 0.9, 0.95)]
    [8, 14, 29, 59]
    """
    if not 0 < least < 1:
        return ROWS
    return max(ROWS, math.ceil(math.log(_UNSEEN) / math.log(least)))


def checked(least: float, rows: int) -> None:
    """Raise RecipeError for a limit or a number of rows with which no verdict can be given."""
    if not 0 <= least < 1:
        raise RecipeError(
            f"--min-agreement {least:g}",
            "0 (as random) to below 1 (the base beside itself)",
            "correct it",
        )
    if rows < enough(least):
        raise RecipeError(
            f"--min-agreement {least:g} over {rows} rows",
            f"at least {enough(least)}, or rows that would fail it may not be among them",
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
