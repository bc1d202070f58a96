"""The figures a verdict stands on, large: size, accuracy, speed, reasons of the chosen file."""

from __future__ import annotations

from dataclasses import dataclass

from toolkit.glossary import NOTICEABLE, Measurement
from toolkit.report.quantities import interval, number, places, similarity, with_unit
from toolkit.report.strings import say
from toolkit.report.words import ends, name_of, turned
from toolkit.run import Run


@dataclass(frozen=True)
class Tile:
    """One figure: large, what it counts, and how sure it is."""

    figure: str
    about: str
    known: str


def tiles(run: Run) -> list[Tile]:
    """The figures of the chosen candidate; none where nothing was chosen or measured."""
    if run.chosen is None:
        return []
    found = (_size(run, run.chosen), _loss(run, run.chosen), _speed(run, run.chosen))
    return [tile for tile in (*found, _reasons(run, run.chosen)) if tile is not None]


def _size(run: Run, subject: str) -> Tile | None:
    base, small = run.measured(run.base, "bytes"), run.measured(subject, "bytes")
    if base is None or small is None or not small.value:
        return None
    ratio = base.value / small.value
    about = say("times smaller") if ratio >= 1 else say("times larger")
    sizes = f"{with_unit(base.value, 'B')} → {with_unit(small.value, 'B')}"
    return Tile(number(max(ratio, 1 / ratio), 1), about, sizes)


def _loss(run: Run, subject: str) -> Tile | None:
    drop = run.measured(subject, "accuracy_drop")
    if drop is None or drop.low is None or drop.high is None:
        return None
    digits = places(drop.value, drop.low, drop.high)
    if drop.high < 0:
        about = say("points of accuracy gained")
        return Tile(number(-drop.value, digits), about, f"95 %: {turned(drop)}")
    lost = drop.low > 0
    about = say("points of accuracy lost") if lost else say("points lost, within chance")
    return Tile(number(drop.value, digits), about, f"95 %: {ends(drop)}")


def _speed(run: Run, subject: str) -> Tile | None:
    ratio = run.measured(subject, "latency_ratio")
    if ratio is None or not ratio.low or not ratio.high:
        return None
    if ratio.low > NOTICEABLE:
        known = interval(ratio.low, ratio.high, 2)
        return Tile(number(ratio.value, 2), say("times slower"), f"95 %: {known}")
    surely = ratio.high < 1 / NOTICEABLE
    about = say("times faster") if surely else say("times as fast, about the same")
    known = interval(1 / ratio.high, 1 / ratio.low, 2)
    return Tile(number(1 / ratio.value, 2), about, f"95 %: {known}")


def _reasons(run: Run, subject: str) -> Tile | None:
    """Rows decided for the same reasons where that was counted, else the mean cosine."""
    drift = _first(run, subject, "reason_drift ")
    if drift is not None:
        known = f"{name_of(drift.name.split(' ')[1])}, n = {number(drift.n, 0)}"
        if drift.low is not None and drift.high is not None:
            kept = interval(100 * (1 - drift.high), 100 * (1 - drift.low), 0)
            known += f", 95 %: {kept}"
        about = say("of 100 rows keep their answer for the same reasons")
        return Tile(number(100 * (1 - drift.value), 0), about, known)
    cosine = _first(run, subject, "reason_cosine ")
    if cosine is None:
        return None
    known = name_of(cosine.name.split(" ")[1])
    if cosine.low is not None and cosine.high is not None:
        both = say("{low} to {high}", low=similarity(cosine.low), high=similarity(cosine.high))
        known += f", 95 %: {both}"
    return Tile(similarity(cosine.value), say("likeness of reasons; 1 is the same"), known)


def _first(run: Run, subject: str, name: str) -> Measurement | None:
    """The first measurement whose name begins so and ends with a method."""
    found = (m for m in run.measurements if m.subject == subject and m.name.startswith(name))
    return next((m for m in found if m.name.count(" ") == 1), None)
