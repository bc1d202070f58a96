"""Max-sensitivity: how far reasons move when the row hardly does (Yeh et al. 2019)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from toolkit.explainers import Explainer, Players
from toolkit.glossary import Attribution, Doubles, Floats, Measurement, Predictor
from toolkit.means import averaged
from toolkit.progress import tell
from toolkit.told import told

NEARBY, RADIUS = 10, 0.02
"""Rows around each row, and how far off they are, of the spread of each value."""


def max_sensitivity(own: Doubles, nearby: Doubles) -> float | None:
    """The largest distance of `nearby` f64 (m, p) from `own` f64 (p,), of the length of `own`.

    The paper's figure is not divided by the length; so the reasons of two models can be compared.
    None where `own` has no length and something nearby has: no share of nothing can be told.

    >>> max_sensitivity(np.array([3.0, 4.0]), np.array([[3.0, 4.0], [3.0, 5.0]]))
    0.2
    """
    own, nearby = told(own), told(nearby)
    size = float(np.linalg.norm(own))
    far = float(np.linalg.norm(nearby - own, axis=1).max())
    if far == 0:
        return 0.0
    return far / size if size > 0 else None


def around(players: Players, rng: np.random.Generator) -> Floats:
    """One row near the row of these players, f32 (...).

    Each number moves evenly by at most `RADIUS` of its spread: over the table, or between the
    darkest and brightest of the picture. Categories stay, and columns of two values, as those are
    into which categories are spread.
    """
    x = players.x
    table = players.table
    if table is None:
        spread = np.asarray(max(x.max() - x.min(), np.ptp(players.background)), np.float64)
    else:
        some = np.asarray(table.x[:: -(-len(table) // 10_000)], np.float64)
        low, high = some.min(axis=0), some.max(axis=0)
        two = ((some == low) | (some == high)).all(axis=0)
        spread = np.asarray(np.where(two, 0, some.std(axis=0)))
        spread[list(table.categories)] = 0
    return np.asarray(x + RADIUS * spread * rng.uniform(-1, 1, x.shape), np.float32)


def sensitivities(
    predict: Predictor,
    explainers: Sequence[Explainer],
    attributions: Sequence[Attribution],
    players: dict[int, Players],
    *,
    seed: int = 0,
) -> tuple[Measurement, ...]:
    """Mean max-sensitivity over rows with 95 % intervals, "max_sensitivity shapley", of one model.

    Each row is explained `NEARBY` times more, with the seed of its own explanation, so that chance
    counts for nothing; this costs as many times what explaining did. Words cannot move a little:
    of texts there are no such figures.
    """
    ways = {e.method: e for e in explainers}
    found: dict[str, list[float]] = {}
    for done, a in enumerate(attributions):
        own = players[a.row]
        if own.segments is None and own.table is None:
            continue
        rng = np.random.default_rng([seed, a.row])
        moved = [replace(own, x=around(own, rng)) for _ in range(NEARBY)]
        nearby = [
            ways[a.method](predict, m, a.target, row=a.row, seed=a.seed).values for m in moved
        ]
        far = max_sensitivity(a.values, np.stack(nearby))
        if far is not None:
            found.setdefault(f"max_sensitivity {a.method}", []).append(far)
        tell("sensitivity", done + 1, len(attributions))
    return tuple(averaged(predict.name, name, values, least=0) for name, values in found.items())
