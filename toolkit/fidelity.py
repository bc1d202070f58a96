"""Base against compressed: do both decide for the same reasons? Figures over paired rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from toolkit.errors import MatchError
from toolkit.glossary import Attribution, Doubles, Measurement

FIGURES = ("cosine", "spearman", "top3", "sign")
_BOOTSTRAPS = 2000
_NOTHING = 1e-12


def compare(one: Attribution, other: Attribution) -> dict[str, float]:
    """How alike two attributions of one row are, each figure 1 when they are the same.

    cosine: of the values. spearman: rank correlation of the values. top3: shared share of the
    three largest in size that are not zero. sign: share of equal signs, weighted by the size in
    `one`. When one of the two is zero everywhere they share nothing.
    Raises MatchError when they explain different rows, targets or players.
    """
    if (one.row, one.target, len(one.values)) != (other.row, other.target, len(other.values)):
        raise MatchError(
            f"row {one.row} target {one.target} beside row {other.row} target {other.target}",
            "attributions of the same row, target and players",
            "explain both models together",
        )
    a, b = one.values, other.values
    size = np.abs(a)
    nothing = float(not np.any(b))
    signs = float(size[np.sign(a) == np.sign(b)].sum() / size.sum()) if size.any() else nothing
    ours, theirs = _top(a), _top(b)
    return {
        "cosine": _cosine(a, b),
        "spearman": _cosine(_ranks(a), _ranks(b)),
        "top3": len(ours & theirs) / max(len(ours), len(theirs)) if ours or theirs else 1.0,
        "sign": signs,
    }


def reasons(
    attributions: Sequence[Attribution], base: str, other: str, *, seed: int = 0
) -> tuple[Measurement, ...]:
    """Figures of `compare` over all rows, for each method.

    Measurements of `other` named "reason_cosine shapley": the mean with a bootstrap 95 % interval
    over rows, and "reason_cosine_p5 shapley", the 5th percentile over rows.
    """
    found = []
    for method in dict.fromkeys(a.method for a in attributions):
        ours = {a.row: a for a in attributions if (a.method, a.subject) == (method, base)}
        theirs = {a.row: a for a in attributions if (a.method, a.subject) == (method, other)}
        rows = [compare(ours[row], theirs[row]) for row in ours if row in theirs]
        if not rows:
            continue
        for name in FIGURES:
            values = np.array([row[name] for row in rows])
            low, high = _bootstrap(values, seed)
            found.append(
                Measurement(
                    other,
                    f"reason_{name} {method}",
                    float(values.mean()),
                    "",
                    len(values),
                    low,
                    high,
                )
            )
        cosines = [row["cosine"] for row in rows]
        found.append(
            Measurement(
                other,
                f"reason_cosine_p5 {method}",
                float(np.quantile(cosines, 0.05)),
                "",
                len(cosines),
            )
        )
    return tuple(found)


def floor(
    first: Sequence[Attribution], again: Sequence[Attribution], *, seed: int = 0
) -> tuple[Measurement, ...]:
    """The same model against itself with other seeds: what noise alone does to the cosine.

    Measurements named "reason_floor shapley", of the model itself.
    """
    found = []
    for method in dict.fromkeys(a.method for a in first):
        ours = {a.row: a for a in first if a.method == method}
        theirs = {a.row: a for a in again if a.method == method}
        values = np.array([compare(ours[r], theirs[r])["cosine"] for r in ours if r in theirs])
        if len(values) == 0:
            continue
        low, high = _bootstrap(values, seed)
        subject = next(iter(ours.values())).subject
        found.append(
            Measurement(
                subject, f"reason_floor {method}", float(values.mean()), "", len(values), low, high
            )
        )
    return tuple(found)


def _cosine(a: Doubles, b: Doubles) -> float:
    size, its = float(np.linalg.norm(a)), float(np.linalg.norm(b))
    # two models that both find nothing agree; one that finds something where the other does not
    # shares nothing with it
    if size < _NOTHING or its < _NOTHING:
        return 1.0 if size < _NOTHING and its < _NOTHING else 0.0
    return float(np.clip(a @ b / (size * its), -1, 1))


def _ranks(a: Doubles) -> Doubles:
    """Ranks with ties shared, centred, so that their cosine is Spearman's correlation."""
    _, place, counts = np.unique(np.round(a, 12), return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    ranks = (ends - (counts - 1) / 2)[place]
    return np.asarray(ranks - ranks.mean(), np.float64)


def _top(a: Doubles) -> set[int]:
    largest = np.argsort(-np.abs(a), kind="stable")[:3]
    # a player that moved nothing is no reason, however few others there are
    return set(largest[np.abs(a[largest]) > _NOTHING].tolist())


def _bootstrap(values: Doubles, seed: int) -> tuple[float, float]:
    rng = np.random.default_rng(seed)
    means: Any = values[rng.integers(0, len(values), (_BOOTSTRAPS, len(values)))].mean(axis=1)
    return float(np.quantile(means, 0.025)), float(np.quantile(means, 0.975))
