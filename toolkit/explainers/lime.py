"""LIME: a linear model of the answers around one row (Ribeiro et al. 2016)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from toolkit.errors import RecipeError
from toolkit.explainers import columns, neighbours
from toolkit.explainers.base import Estimate, Explainer, derived
from toolkit.explainers.players import Players
from toolkit.explainers.surrogate import fit, pseudo, stability, sums
from toolkit.glossary import Doubles, Facts, Predictor

TABLE, OTHER = 32_768, 4096
"""Samples by default: of tables, whose models answer at once, and of pictures and texts."""

TOP = 5
"""The foremost players whose change between two runs tells how stable an explanation is."""

STABLE = 0.9
"""The share (Jaccard index) of foremost players that two runs of a stable one have in common."""

MOST = 16
"""A stable explanation may ask for so many times its samples."""

_ENUMERATED = 20

Around = Callable[[int, np.random.Generator], tuple[Doubles, Doubles, Doubles]]
"""(n, rng) -> what the linear model sees f64 (n, p), answers f64 (n,), weights f64 (n,)."""


@dataclass(frozen=True, kw_only=True)
class Lime(Explainer):
    """The weights of a linear model fitted to the answers around the row, in probability.

    samples: 0 is `TABLE` for tables and `OTHER` for pictures and texts. bins: parts of equal share
    into which numbers are cut, 4 being lime's quartiles; 0 leaves them numbers. stable: double the
    samples, up to `MOST` times, until the foremost players of two halves are the same.

    Pictures and texts: the weight of a patch or word that is there and not hidden; where all
    combinations are no more than the samples, all are asked and no chance is left. Tables: the
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
        if self.samples or self.repeats < 2:
            super().__post_init__()
        if self.bins < 0 or self.bins == 1:
            raise RecipeError(
                f"lime with bins={self.bins}", "0, or 2 and more", "leave it at 4, for quartiles"
            )

    def estimate(self, predict: Predictor, players: Players, target: int, seed: int) -> Estimate:
        """Fit linear models to `repeats` groups of samples, drawn independently."""
        if players.columns:
            return self._table(predict, players, target, seed)
        return self._hidden(predict, players, target, seed)

    def _hidden(self, predict: Predictor, players: Players, target: int, seed: int) -> Estimate:
        """Patches or words that are there or not."""
        p, samples, of_words = len(players), self.samples or OTHER, players.segments is None

        def asked(z: Doubles) -> tuple[Doubles, Doubles, Doubles]:
            return z, players.value(predict, z > 0, target), neighbours.nearness(z)

        alone = sums(*asked(np.ones((1, p))))
        if p <= _ENUMERATED and 2**p <= samples:
            z, share = neighbours.every(p, of_words=of_words)
            z, y, near = asked(z)
            found = fit(sums(z, y, near * share * samples) + alone)
            facts = _facts(found.weights, float(found.r2), 1.0, 2**p)
            return Estimate(found.weights[None], float(found.intercept), {**facts, "exact": True})
        draw = neighbours.words if of_words else neighbours.patches
        groups, facts = self._drawn(
            lambda n, rng: asked(draw(n, p, rng)), alone, np.ones(p), seed, samples
        )
        weights, intercepts = pseudo(groups)
        return Estimate(weights, float(intercepts.mean()), facts)

    def _table(self, predict: Predictor, players: Players, target: int, seed: int) -> Estimate:
        """Columns that lie in the row's part or not, drawn from all training rows."""
        if players.table is None:
            raise TypeError("players of columns without their table")
        every = columns.columns(players.table, self.bins)
        row = players.x.reshape(-1).astype(np.float64)
        own = columns.seen(every, row[None], row)
        usual = np.array([c.usual(v) for c, v in zip(every, row, strict=True)])

        def asked(rows: Doubles) -> tuple[Doubles, Doubles, Doubles]:
            shaped = rows.astype(np.float32).reshape(-1, *players.x.shape)
            z = columns.seen(every, rows, row)
            far = ((z - own) ** 2).sum(axis=1)
            near = np.exp(-far / (2 * 0.75**2 * len(every)))
            return z, predict(shaped)[:, target].astype(np.float64), near

        def around(n: int, rng: np.random.Generator) -> tuple[Doubles, Doubles, Doubles]:
            return asked(columns.rows(every, neighbours.spread(n, len(every), rng)))

        # what is seen of the row, beside what is seen of the average row
        ahead = own[0] - usual
        groups, facts = self._drawn(
            around, sums(*asked(row[None])), ahead, seed, self.samples or TABLE
        )
        weights, intercepts = pseudo(groups)
        values = players.table.categories
        facts["labels"] = [
            columns.label(name, c, v, values.get(j, ()))
            for j, (name, c, v) in enumerate(zip(players.names, every, row, strict=True))
        ]
        base = float(intercepts.mean() + weights.mean(axis=0) @ usual)
        return Estimate(weights * ahead, base, facts)

    def _drawn(
        self, around: Around, alone: Doubles, scale: Doubles, seed: int, samples: int
    ) -> tuple[Doubles, Facts]:
        """Sums of each group, f64 (r, p + 2, p + 2), and how stable their foremost players are."""
        r, most = self.repeats, samples * (MOST if self.stable else 1)
        # lime's first sample is the row itself; here each group has its part of it
        groups = np.repeat(alone[None] / r, r, axis=0)
        size, used, step = samples // r, 0, 0
        while True:
            for i in range(r):
                groups[i] += sums(*around(size, np.random.default_rng([derived(seed, i), step])))
            used, step = used + size * r, step + 1
            index = stability(groups, scale, TOP)
            if index >= STABLE or 2 * used > most:
                break
            size = used // r
        found = fit(groups.sum(axis=0))
        return groups, {**_facts(found.weights, float(found.r2), index, used), "exact": False}


def _facts(weights: Doubles, r2: float, index: float, used: int) -> Facts:
    return {
        "r2": r2,
        "stability": index,
        "stable": index >= STABLE,
        "samples": used + 1,
        "weights": weights.tolist(),
    }
