"""LIME: a linear model of the answers around one row (Ribeiro et al. 2016)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from toolkit.errors import RecipeError
from toolkit.explainers import columns, neighbours
from toolkit.explainers.base import Estimate, Explainer, derived
from toolkit.explainers.players import Players, among
from toolkit.explainers.surrogate import fit, pseudo, stability, sums
from toolkit.explainers.tables import Row
from toolkit.glossary import Doubles, Facts, Floats, Predictor
from toolkit.shapes import in_shape

TABLE, OTHER = 32_768, 4096
"""Samples by default: of tables, whose models answer at once, and of pictures and texts."""

TOP = 5
"""The foremost players whose change between two runs tells how stable an explanation is."""

STABLE = 0.9
"""The share (Jaccard index) of foremost players that two runs of a stable one have in common."""

DOUBLINGS = 4
"""How often the samples of a stable explanation may double."""

DRAWS = "random draws from each column of the table"
"""What plain columns are compared with: nothing of a row is hidden."""

_ENUMERATED = 20


@dataclass(frozen=True, kw_only=True)
class Lime(Explainer):
    """The weights of a linear model fitted to the answers around the row, in probability.

    samples: 0 is `TABLE` for tables and `OTHER` for pictures and texts. repeats: groups of samples
    whose spread gives the standard error. bins: parts of equal share
    into which numbers are cut, 4 being lime's quartiles; 0 leaves them numbers. stable: double the
    samples, up to `DOUBLINGS` times, until the foremost players of two halves are the same.

    Pictures, texts and groups of columns: the weight of a patch, word or group that is there and
    not hidden; where all combinations are no more than the samples, all are asked. Tables: the
    weight of lying in the bin or category of the row, times the share of rows that do not; so it
    says what the column adds beside the average row, and stands beside a Shapley value. Kernel,
    distances and distributions are lime's. No feature is left out, and the same seed draws the same
    samples for every model. Facts: `r2` of the linear model, `stability` (mean Jaccard index of the
    foremost `TOP` in two halves of the samples), `stable`, the raw `weights` and their `labels`.
    """

    method: ClassVar[str] = "lime"
    samples: int = 0
    repeats: int = 8
    bins: int = 4
    stable: bool = False

    def __post_init__(self) -> None:
        """Refuse settings with which nothing can be estimated."""
        super().__post_init__()
        if self.repeats < 2:
            raise RecipeError(f"lime with {self.repeats} repeats", "2 and more", "correct it")
        if 0 < self.samples < 20 * self.repeats:
            raise RecipeError(
                f"lime with {self.samples} samples in {self.repeats} repeats",
                f"at least {20 * self.repeats} samples, 20 a repeat",
                "ask for more samples",
            )
        if self.bins < 0 or self.bins == 1:
            raise RecipeError(
                f"lime with bins={self.bins}", "0, or 2 and more", "leave it at 4, for quartiles"
            )

    def estimates(
        self, predict: Predictor, players: Sequence[Players], targets: Sequence[int], seed: int
    ) -> list[Estimate]:
        """Fit linear models to `repeats` groups of samples, drawn independently.

        Rows of one table share their samples, for which the model is asked once.
        """
        tables = {id(one.table): one.table for one in players if one.columns}
        table = next(iter(tables.values()), None)
        if table is None or len(tables) > 1 or not all(one.columns for one in players):
            return super().estimates(predict, players, targets, seed)
        every, r = columns.columns(table, self.bins), self.repeats

        def ask(rows: Doubles | Floats) -> Floats:
            return predict(in_shape(rows.astype(np.float32), predict.shape))

        # each row by itself, so that its answer is to the bit that of the row explained alone
        around = [
            Row(every, one, target, ask(one.x.reshape(1, -1)), r)
            for one, target in zip(players, targets, strict=True)
        ]
        left = around
        for size, total, generators in self._steps(self.samples or TABLE, seed):
            for i, rng in enumerate(generators):
                drawn = columns.rows(every, neighbours.spread(size, len(every), rng))
                answers, codes = ask(drawn), columns.coded(every, drawn)
                for row in left:
                    row.groups[i] += row.sums(codes, answers)
            for row in left:
                row.index, row.asked = stability(row.groups, row.ahead, TOP), total + 1
            left = [row for row in left if row.index < STABLE]
            if not left:
                break
        return [_of_row(row) for row in around]

    def estimate(self, predict: Predictor, players: Players, target: int, seed: int) -> Estimate:
        """Patches, words or groups that are there or not; of plain columns its row alone."""
        if players.columns:
            return self.estimates(predict, [players], [target], seed)[0]
        p, samples = len(players), self.samples or OTHER
        of_words = players.segments is None and players.table is None
        # with a weight in the fit of what never differs, that would be what samples make of it
        differs = players.differing()

        def asked(z: Doubles) -> tuple[Doubles, Doubles, Doubles]:
            # picked columns would lie one after the other in memory, and be added otherwise
            seen = np.ascontiguousarray(z[:, differs])
            return seen, players.value(predict, z > 0, target), neighbours.nearness(z)

        alone = sums(*asked(np.ones((1, p))))
        if p <= _ENUMERATED and 2**p <= samples:
            z, share = neighbours.every(p, of_words=of_words)
            z, y, near = asked(z)
            found = fit(sums(z, y, near * share * samples) + alone)
            weights = among(differs, found.weights)
            facts = {**_facts(weights, found.r2, 1.0, 2**p + 1), "exact": True}
            return Estimate(weights[None], float(found.intercept), facts)
        draw = neighbours.words if of_words else neighbours.patches
        # lime's first sample is the row itself; here each group has its part of it
        groups = np.repeat(alone[None] / self.repeats, self.repeats, axis=0)
        index, used = 0.0, 0
        for size, total, generators in self._steps(samples, seed):
            for i, rng in enumerate(generators):
                groups[i] += sums(*asked(draw(size, p, rng)))
            index, used = stability(groups, np.ones(differs.sum()), TOP), total + 1
            if index >= STABLE:
                break
        weights, intercepts = pseudo(groups)
        whole = fit(groups.sum(axis=0))
        facts = {**_facts(among(differs, whole.weights), whole.r2, index, used), "exact": False}
        return Estimate(among(differs, weights), float(intercepts.mean()), facts)

    def _steps(
        self, samples: int, seed: int
    ) -> Iterator[tuple[int, int, list[np.random.Generator]]]:
        """Samples a group in each step, all samples after it, and a generator for each group."""
        size = total = samples // self.repeats
        for step in range(1 + (DOUBLINGS if self.stable else 0)):
            drawn = [np.random.default_rng([derived(seed, i), step]) for i in range(self.repeats)]
            yield size, total * self.repeats, drawn
            size, total = total, 2 * total


def _of_row(row: Row) -> Estimate:
    weights, intercepts = pseudo(row.groups)
    whole = fit(row.groups.sum(axis=0))
    facts = {**_facts(whole.weights, whole.r2, row.index, row.asked), "exact": False}
    return Estimate(
        weights * row.ahead,
        float(intercepts.mean() + weights.mean(axis=0) @ row.usual),
        {**facts, "labels": row.labels, "hidden": DRAWS},
        prediction=row.prediction,
        evaluations=row.asked,
    )


def _facts(weights: Doubles, r2: Doubles, index: float, asked: int) -> Facts:
    return {
        "r2": float(r2),
        "stability": index,
        "stable": index >= STABLE,
        "samples": asked,
        "weights": weights.tolist(),
    }
