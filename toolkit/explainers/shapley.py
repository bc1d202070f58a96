"""Shapley values with standard errors: exact where it is cheap, else from pairs of coalitions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from toolkit.errors import RecipeError
from toolkit.explainers.base import Estimate, Explainer, derived
from toolkit.explainers.duels import Ask, Solved, Table, least, solve
from toolkit.explainers.players import Players
from toolkit.glossary import Floats, Predictor
from toolkit.shapes import in_shape

_FIRST = 64
_GROWTH = 4


@dataclass(frozen=True, kw_only=True)
class Shapley(Explainer):
    """What each player adds to the probability, averaged over all orders of arrival (Shapley 1953).

    samples: coalitions, each asked with every background row; many players are asked more, as many
    as their errors need. evaluations: rows the model may be asked for a row explained, instead.
    tolerance: when given, asking stops as soon as all standard errors are within it.
    repeats: 1 takes the standard error from leaving out a part of the coalitions after another;
    more share the coalitions among independent designs, whose spread gives it.
    The values sum to the prediction less the base, and no player is dropped.
    """

    method: ClassVar[str] = "shapley"
    fewest: ClassVar[int] = 1

    repeats: int = 1
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
        first = players[0]
        p, b = len(first), len(first.background)
        needed = least(p, b)
        if self.evaluations is not None and self.evaluations < needed * self.repeats:
            raise RecipeError(
                f"{self.evaluations} evaluations for {p} players and {b} background rows",
                f"at least {needed * self.repeats}",
                "allow more, group players, or give fewer background rows",
            )
        most = self.evaluations or max(self.samples * b, needed * self.repeats)
        table = _table(players, targets)

        def ask(x: Floats) -> Floats:
            return predict(in_shape(x.reshape(-1, *first.x.shape), predict.shape))

        rounds = []
        for number in range(self.repeats):
            own = seed if number == 0 else derived(seed, number)
            share = most // self.repeats, needed
            rounds.append(_until(ask, table, share, self.tolerance, own))
            if not rounds[0].sampled.any():
                break  # exact: there is nothing to repeat
        facts = {"players": p, "background": b}
        found = []
        for row in range(len(players)):
            ones = [one for one in rounds if one is rounds[0] or rounds[0].sampled[row]]
            asked = int(sum(one.asked[row] for one in ones))
            sampled = int(rounds[0].sampled[row])
            more = {"samples": -(-asked // b), "exact": sampled == 0, "sampled": sampled}
            values = np.stack([one.values[row] for one in ones])
            error = rounds[0].variance[row] ** 0.5 if len(ones) == 1 else None
            base, prediction = float(rounds[0].base[row]), float(rounds[0].prediction[row])
            found.append(Estimate(values, base, facts | more, error, prediction, asked))
        return found


def _until(
    ask: Ask, table: Table, most: tuple[int, int], tolerance: float | None, seed: int
) -> Solved:
    """All answers at once, or four times as many each time until within tolerance.

    most: the answers that a row may have, and that the first round has at least.
    """
    rows = len(table.x)
    if tolerance is None:
        return solve(ask, table, np.full(rows, most[0]), seed)
    size = max(most[1], most[0] // _FIRST)
    allowed = np.full(rows, size if size * (1 + _GROWTH) <= most[0] else most[0])
    found = solve(ask, table, allowed, seed)
    spent = found.asked.copy()
    while True:
        within = (found.variance <= tolerance**2).all(axis=1)
        enough = most[0] - spent >= _GROWTH * size
        going = np.flatnonzero(~within & enough & (allowed == size))
        if len(going) == 0:
            return replace(found, asked=spent)
        size *= _GROWTH
        left = most[0] - spent[going]
        # what would not leave enough for a larger round is the last
        allowed[going] = np.where(left < size * (1 + _GROWTH), left, size)
        some = replace(table, x=table.x[going], targets=table.targets[going])
        fresh = solve(ask, some, allowed[going], seed)
        spent[going] += fresh.asked
        found = found.with_rows(going, fresh)


def _alike(one: Players, other: Players) -> bool:
    """Whether two rows have the same players and background, so that they can be asked together."""
    return one.background is other.background and one.groups is other.groups


def _table(players: Sequence[Players], targets: Sequence[int]) -> Table:
    first = players[0]
    flat = first.background.reshape(len(first.background), -1)
    background, counts = np.unique(flat, axis=0, return_counts=True)
    return Table(
        np.stack([one.x.reshape(-1) for one in players]),
        np.asarray(targets, np.int64),
        first.groups.reshape(-1),
        background,
        counts / len(flat),
        len(first),
    )
