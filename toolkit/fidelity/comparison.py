"""All that is told of two models' reasons: figures on their scale, drift, what carries over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from toolkit.explainers.players import Players
from toolkit.fidelity.drift import drifted, drifts
from toolkit.fidelity.gained import gained
from toolkit.fidelity.measures import reasons
from toolkit.fidelity.scale import place
from toolkit.fidelity.transfer import transfer
from toolkit.glossary import Attribution, Data, Drift, Finding, Measurement, Predictor
from toolkit.means import LEAST

WORST = 10
"""Drifted rows that are shown side by side."""


@dataclass(frozen=True, eq=False)
class Asked:
    """What was asked of the base and of every other model, and what they answered.

    attributions: of all models and of their differences. again: the base's under another seed.
    players: those of each row. answers: (subject, row) -> the class given. rows: those that the
    figures are taken over. groups: "class:3" -> its rows among them.
    """

    attributions: Sequence[Attribution]
    again: Sequence[Attribution]
    players: Mapping[int, Players]
    answers: Mapping[tuple[str, int], int]
    rows: Sequence[int]
    groups: Mapping[str, Sequence[int]]


def compared(
    base: Predictor, other: Predictor, asked: Asked, *, seed: int = 0
) -> tuple[tuple[Measurement, ...], tuple[Drift, ...], tuple[Finding, ...]]:
    """Figures of `other` beside `base`, rows with the same answer tested for drift, findings."""
    said = {
        row: (asked.answers[base.name, row], asked.answers[other.name, row])
        for row in asked.players
    }
    drifting = drifts(asked.attributions, base.name, other.name, said, seed=seed)
    risen, said_of = gained(
        asked.attributions, base.name, other.name, asked.players, rows=asked.rows
    )
    found = (
        *place(asked.attributions, asked.again, base.name, other.name, rows=asked.rows, seed=seed),
        *reasons(
            asked.attributions,
            base.name,
            other.name,
            rows=asked.rows,
            groups=asked.groups,
            seed=seed,
        ),
        *drifted(drifting, asked.rows),
        *risen,
        *transfer(base, other, asked.attributions, asked.players, rows=asked.rows, seed=seed),
    )
    return found, drifting, said_of


def groups_of(data: Data, rows: Sequence[int]) -> dict[str, tuple[int, ...]]:
    """The rows of each class, "class:NAME", and of each value of a column of categories,
    "slice:COLUMN=VALUE", where there are at least `LEAST`.
    """
    found: dict[str, list[int]] = {}
    for row in rows:
        found.setdefault(f"class:{data.classes[int(data.y[row])]}", []).append(row)
        for column, values in data.categories.items():
            code = int(data.x[row].reshape(-1)[column])
            value = values[code] if 0 <= code < len(values) else str(code)
            found.setdefault(f"slice:{data.features[column]}={value}", []).append(row)
    return {name: tuple(its) for name, its in found.items() if len(its) >= LEAST}
