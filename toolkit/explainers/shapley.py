"""Shapley values with standard errors: exact where it is cheap, else from pairs of coalitions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar

import numpy as np

from toolkit.errors import RecipeError
from toolkit.explainers.base import Estimate, Explainer
from toolkit.explainers.duels import Solved, Table, least, solve
from toolkit.explainers.players import Players
from toolkit.glossary import Floats, Ints, Predictor
from toolkit.shapes import in_shape

_FIRST = 64
_GROWTH = 4
_MANY = 200
"""Degrees of freedom from which on Student's t is the normal distribution, to a hundredth."""


@dataclass(frozen=True, kw_only=True)
class Shapley(Explainer):
    """What each player adds to the probability, averaged over all orders of arrival (Shapley 1953).

    samples: coalitions, each asked with every background row; many players are asked more, as many
    as their errors need. evaluations: rows the model may be asked for a row explained, instead.
    tolerance: when given, asking stops as soon as all standard errors are within it. Standard
    errors tell how much the values move when coalitions are left out.
    The values sum to the prediction less the base, and no player is dropped.
    """

    method: ClassVar[str] = "shapley"

    evaluations: int | None = None

    def __post_init__(self) -> None:
        """Refuse settings with which nothing can be estimated."""
        super().__post_init__()
        if self.evaluations is not None and self.evaluations < 1:
            raise RecipeError(f"{self.evaluations} evaluations", "1 or more", "leave it out")

    def estimate(self, predict: Predictor, players: Players, target: int, seed: int) -> Estimate:
        """Estimate one row."""
        return self.estimates(predict, [players], [target], seed)[0]

    def estimates(
        self, predict: Predictor, players: Sequence[Players], targets: Sequence[int], seed: int
    ) -> list[Estimate]:
        """Rows that share players and background are asked together, in large batches."""
        found: list[Estimate] = []
        begin = 0
        for end in range(1, len(players) + 1):
            if end == len(players) or not _alike(players[begin], players[end]):
                found += self._together(predict, players[begin:end], targets[begin:end], seed)
                begin = end
        return found

    def _together(
        self, predict: Predictor, players: Sequence[Players], targets: Sequence[int], seed: int
    ) -> list[Estimate]:
        first, table = players[0], _table(players, targets)
        needed, b = least(table), len(first.background)
        if self.evaluations is not None and self.evaluations < needed.max():
            raise RecipeError(
                f"{self.evaluations} evaluations for {len(first)} players and {b} background rows",
                f"at least {needed.max()}",
                "allow more, group players, or give fewer background rows",
            )

        def ask(x: Floats) -> Floats:
            return predict(in_shape(x, predict.shape))

        most = np.maximum(self.evaluations or self.samples * b, needed)
        asking = partial(solve, ask, unmade=getattr(predict, "masked", None), seed=seed)
        found = _until(asking, table, (most, needed), self.tolerance)
        return [
            Estimate(
                found.values[row][None],
                float(found.base[row]),
                {
                    "samples": -(-int(found.asked[row]) // b),
                    "exact": not found.sampled[row],
                    "players": len(first),
                    "background": b,
                    "sampled": int(found.sampled[row]),
                },
                np.sqrt(found.variance[row]),
                float(found.prediction[row]),
                int(found.asked[row]),
                int(found.degrees[row]) if 0 < found.degrees[row] < _MANY else None,
            )
            for row in range(len(players))
        ]


def _until(
    solved: Callable[..., Solved], table: Table, most: tuple[Ints, Ints], tolerance: float | None
) -> Solved:
    """All answers at once, or four times as many each time until within tolerance.

    solved: (table, evaluations) -> what `solve` gives. most: i64 (r,) each, the answers that a row
    may have, and that it needs at least.
    """
    limit, needed = most
    if tolerance is None:
        return solved(table, limit)
    size = np.maximum(needed, limit // _FIRST)
    # what would not leave enough for a larger round is the last
    allowed = np.where(limit < size * (1 + _GROWTH), limit, size)
    found = solved(table, allowed)
    spent = found.asked.copy()
    while True:
        within = (found.variance <= tolerance**2).all(axis=1)
        going = np.flatnonzero(~within & (allowed == size) & (limit - spent >= _GROWTH * size))
        if len(going) == 0:
            return replace(found, asked=spent)
        size[going] *= _GROWTH
        left = (limit - spent)[going]
        allowed[going] = np.where(left < size[going] * (1 + _GROWTH), left, size[going])
        some = replace(table, x=table.x[going], targets=table.targets[going])
        fresh = solved(some, allowed[going])
        spent[going] += fresh.asked
        found = found.with_rows(going, fresh)


def _alike(one: Players, other: Players) -> bool:
    """Whether two rows have the same players and background, so that they can be asked together."""
    return one.background is other.background and one.groups is other.groups


def _table(players: Sequence[Players], targets: Sequence[int]) -> Table:
    first = players[0]
    flat = first.background.reshape(len(first.background), -1)
    # of one row there is nothing to find, and values as fields of a record are slow to compare
    background, counts = flat, np.ones(1, np.int64)
    if len(flat) > 1:
        background, counts = np.unique(flat, axis=0, return_counts=True)
    return Table(
        np.stack([one.x.reshape(-1) for one in players]),
        np.asarray(targets, np.int64),
        first.groups.reshape(-1),
        background,
        counts / len(flat),
        len(first),
        first.x.shape,
        alike=first.x.ndim == 3,
    )
