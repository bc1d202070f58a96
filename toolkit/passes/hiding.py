"""Rows with some of their players hidden, as SHAP and LIME ask a model: a student learns to answer
them as its teacher does.

A Shapley value is a mean of differences of such answers. Two models that answer every coalition
within e of each other therefore have values within 2 e of each other, so what is learnt here is
what will be compared.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from toolkit.explainers.players import features, grid, words
from toolkit.glossary import Data, Floats, Ints

_ROWS = 1000


@dataclass(frozen=True, eq=False)
class Hiding:
    """What may be hidden in rows f32 (n, ...), and how often.

    share: of the rows of a batch. groups: i64 (...), the player of each value; None of texts, whose
    players are the words of each row. background: f32 (b, ...), one of which stands in for what is
    hidden. table: the rows it was made from.
    """

    share: float
    groups: Ints | None
    background: Floats
    table: Data

    def __call__(self, x: Floats, rng: np.random.Generator) -> tuple[Floats, np.ndarray]:
        """The rows, and which of them, bool (n,), have something hidden.

        Each number of players is left with equal chance, which is how Shapley values weigh them.
        """
        chosen = rng.random(len(x)) < self.share
        x = np.array(x, np.float32)
        for row in np.flatnonzero(chosen):
            groups, background = self._players(x[row])
            left = rng.permutation(int(groups.max()) + 1)
            hidden = left[rng.integers(0, len(left)) :]
            stand_in = background[rng.integers(0, len(background))]
            x[row] = np.where(np.isin(groups, hidden), stand_in, x[row])
        return x, chosen

    def _players(self, row: Floats) -> tuple[Ints, Floats]:
        if self.groups is not None:
            return self.groups, self.background
        its = words(row, self.table)
        return its.groups, its.background


def hiding(train: Data, share: float, seed: int = 0) -> Hiding:
    """Players as they are explained, of training rows: columns, patches on a grid, words.

    >>> from toolkit.data import load
    >>> train = load("wine").fit.train
    >>> x, hidden = hiding(train, 0.5)(train.x[:10], np.random.default_rng(0))
    >>> bool((x[~hidden] == train.x[:10][~hidden]).all()), hidden.sum() > 0
    (True, np.True_)
    """
    spread = np.linspace(0, len(train) - 1, min(len(train), _ROWS)).astype(int)
    some = train.rows(spread)
    first = np.asarray(some.x[0])
    if train.kind == "text":
        return Hiding(share, None, first[None], some)
    players = features(first, some, seed=seed) if train.kind == "tabular" else grid(first, some)
    return Hiding(share, players.groups, players.background, some)
