"""One row of a table in the middle of its samples, which several rows can share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from toolkit.explainers.columns import Column, coded, label, seen
from toolkit.explainers.players import Players
from toolkit.explainers.surrogate import sums
from toolkit.glossary import Doubles, Floats

_WIDTH = 0.75


class Row:
    """What the linear model around one row is fitted to, added up as samples come.

    groups: f64 (r, p + 2, p + 2), the sums of each group of samples. ahead: f64 (p,), what is seen
    of the row beside what is seen of the average row, `usual`. index, asked: how stable its
    foremost players are, and the rows that it was asked for, after the last step.
    """

    def __init__(
        self, every: Sequence[Column], players: Players, target: int, answer: Floats, groups: int
    ) -> None:
        """Of the row of these players; answer: f32 (1, k), what the model says of it."""
        row = players.x.reshape(-1).astype(np.float64)
        self.every, self.target = every, target
        self.codes = coded(every, row[None])
        self.usual = np.array([c.usual(v) for c, v in zip(every, row, strict=True)])
        # of a part in which no row of the table lies no sample can tell anything: without this the
        # row itself, alone in it, would
        self._drawn = np.array([c.kept for c in every]) | (self.usual > 0)
        own = self._seen(self.codes)
        self.ahead = own[0] - self.usual
        self.prediction = float(answer[0, target])
        self._own = own
        self.index, self.asked = 0.0, 0
        # lime's first sample is the row itself; here each group has its part of it
        self.groups = np.repeat(self.sums(self.codes, answer)[None] / groups, groups, axis=0)
        values = players.table.categories if players.table else {}
        named = zip(players.names, every, row, strict=True)
        self.labels = [label(n, c, v, values.get(j, ())) for j, (n, c, v) in enumerate(named)]

    def sums(self, codes: Doubles, answers: Floats) -> Doubles:
        """The sums of samples with these codes, f64 (n, p), and answers, f32 (n, k)."""
        z = self._seen(codes)
        far = ((z - self._own) ** 2).sum(axis=1)
        near = np.exp(-far / (2 * _WIDTH**2 * len(self.every)))
        return sums(z, answers[:, self.target].astype(np.float64), near)

    def _seen(self, codes: Doubles) -> Doubles:
        return np.asarray(seen(self.every, codes, self.codes) * self._drawn)
