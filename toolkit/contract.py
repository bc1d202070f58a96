"""Whether rows mean to a model what they meant in its training: their range, their classes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from toolkit.errors import MatchError
from toolkit.glossary import Data, Finding, Floats, Predictor
from toolkit.metrics import Drop, accuracy, accuracy_drop

SURE = 2.0
"""Points of accuracy by which a wrong range of values is surely told."""

ROWS, _VALUES = 2000, 2**25
_RANGES = {
    "divided by 255": (1 / 255, 0.0, "--scale 0.00392157"),
    "brought to -1..1": (2 / 255, -1.0, "--scale 0.00784314 --offset -1"),
    "times 255": (255.0, 0.0, "--scale 255"),
}


def suspected(predict: Predictor, rows: Data, *, head: str = "") -> tuple[Finding, ...]:
    """What is likely wrong between a model and data: U1 the range, U2 the order of the classes,
    U3 linear units that are no logits.

    rows: training rows. head: of the model, where it is known. Raises MatchError when the model is
    surely better, by more than `SURE` points, with pictures in another range.
    """
    rows = _spread(rows)
    x = np.asarray(rows.x, np.float32)
    given = predict(x)
    found: list[Finding] = []
    if rows.kind == "image":
        found += _range(predict, x, rows, given)
    elif rows.kind == "tabular":
        found += _standardised(predict, x, rows, given)
    found = found or _order(predict.name, given, rows)
    return tuple(found or (_linear(predict.name, given, rows) if head == "logits" else ()))


def other_range(predict: Predictor, rows: Data) -> tuple[float, float] | None:
    """The scale and offset that pictures surely need for this model, or None.

    rows: training rows.
    """
    if rows.kind != "image":
        return None
    rows = _spread(rows)
    x = np.asarray(rows.x, np.float32)
    found = _better_range(predict, x, rows, predict(x))
    return (found.scale, found.offset) if found and 100 * found.gain.low > SURE else None


def _range(predict: Predictor, x: Floats, rows: Data, given: Floats) -> list[Finding]:
    best = _better_range(predict, x, rows, given)
    if best is None:
        return []
    right = 100 * accuracy(given, rows.y).value
    if 100 * best.gain.low > SURE:
        raise MatchError(
            f"{predict.name} is right in {right:.0f} % of rows as given, "
            f"in {100 * best.right:.0f} % {best.name}",
            "values in the range the model was trained on",
            f"add {best.fix}",
        )
    if best.gain.low <= 0:
        return []
    return [
        Finding.of(
            "U1",
            "warning",
            predict.name,
            "{name} is right in {given:.0f} % of rows as given, in {other:.0f} % with values times "
            "{scale:.3g} plus {offset:g}.",
            "If it was trained so, add {fix}.",
            name=predict.name,
            given=right,
            other=100 * best.right,
            scale=best.scale,
            offset=best.offset,
            fix=best.fix,
        )
    ]


@dataclass(frozen=True)
class _Range:
    """Another range of values, how often the model is right in it, and what that gains."""

    name: str
    scale: float
    offset: float
    fix: str
    right: float
    gain: Drop


def _better_range(predict: Predictor, x: Floats, rows: Data, given: Floats) -> _Range | None:
    """The range in which the model is right most often, if it does more than answer one class."""
    wide = float(np.abs(x).max()) > 1.0
    found: list[_Range] = []
    for name, (scale, offset, fix) in _RANGES.items():
        if wide == (scale > 1):
            continue
        p = predict((x * np.float32(scale) + np.float32(offset)).astype(np.float32))
        right = accuracy(p, rows.y)
        # better only because it answers one class alone is no better
        if right.low > np.bincount(rows.y).max() / len(rows):
            gain = accuracy_drop(p, given, rows.y)
            found.append(_Range(name, scale, offset, fix, right.value, gain))
    return max(found, key=lambda one: one.right, default=None)


def _spread(rows: Data) -> Data:
    """Some rows from all over a set, which may be sorted by class."""
    most = min(ROWS, max(_VALUES // math.prod(rows.x.shape[1:]), 64))
    return rows.spread(most)


def _standardised(predict: Predictor, x: Floats, rows: Data, given: Floats) -> list[Finding]:
    spread = x.std(axis=0)
    p = predict(((x - x.mean(axis=0)) / np.where(spread > 0, spread, 1)).astype(np.float32))
    gain = accuracy_drop(p, given, rows.y)
    if 100 * gain.low <= SURE:
        return []
    return [
        Finding.of(
            "U1",
            "warning",
            predict.name,
            "{name} is right in {given:.0f} % of rows as given, in {other:.0f} % with each column "
            "standardised.",
            "It was probably trained on standardised columns: give them so, or put the scaling "
            "into the model.",
            name=predict.name,
            given=100 * accuracy(given, rows.y).value,
            other=100 * accuracy(p, rows.y).value,
        )
    ]


def _linear(name: str, given: Floats, rows: Data) -> list[Finding]:
    """Whether linear units, read as logits, tell nothing of the classes."""
    right = accuracy(given, rows.y)
    if right.low > np.bincount(rows.y).max() / len(rows):
        return []
    return [
        Finding.of(
            "U3",
            "warning",
            name,
            "{name} ends in {units} linear units, which are read as logits, and is right "
            "in {right:.0f} % of rows, no better than guessing.",
            "If it is a regressor, its figures mean nothing here: give a classifier.",
            name=name,
            units=given.shape[1],
            right=100 * right.value,
        )
    ]


def _order(name: str, given: Floats, rows: Data) -> list[Finding]:
    """Whether another order of the classes would fit the answers surely and far better."""
    k = given.shape[1]
    counts = np.zeros((k, k))
    np.add.at(counts, (rows.y, given.argmax(axis=1)), 1)
    place = counts.argmax(axis=1)
    if len(set(place.tolist())) < k:
        return []
    right = accuracy_drop(given[:, place], given, rows.y)
    # the best of all orders is better by chance alone: ask for a large and sure gain
    if 100 * right.low <= 10 * SURE:
        return []
    i = int(np.flatnonzero(place != np.arange(k))[0])
    return [
        Finding.of(
            "U2",
            "warning",
            name,
            "In another order of the classes {name} would be right in {other:.0f} % of rows "
            "instead of {given:.0f} %: its output {place} is probably what the data calls "
            "'{label}'.",
            "Rename or sort the classes of the data as they were in training.",
            name=name,
            other=100 * accuracy(given[:, place], rows.y).value,
            given=100 * accuracy(given, rows.y).value,
            place=int(place[i]),
            label=rows.classes[i],
        )
    ]
