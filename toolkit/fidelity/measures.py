"""How alike two attributions of one row are, and a model's reasons over all rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from toolkit.errors import MatchError
from toolkit.glossary import Attribution, Doubles, Measurement
from toolkit.means import LEAST, averaged
from toolkit.told import WHOLE, told

FIGURES = ("cosine", "spearman", "top3", "rank3", "signed_top3", "sign", "moved", "shift")

_TOP = 3
_NOTHING = 1e-12

Pair = tuple[Attribution, Attribution]
"""The base's attribution of a row, and another model's of the same."""


def compare(one: Attribution, other: Attribution) -> dict[str, float]:
    """How alike two attributions of one row are, as `FIGURES` names it.

    cosine, and spearman, its rank correlation, of the values. top3: shared share of the three
    largest in size that are not zero; of them rank3 those in the same place, signed_top3 those
    with the same sign (Krishna et al. 2022). sign: share of equal signs, weighted by the size in
    `one`. moved: share of the attribution of both that would have to be moved or resized to make
    them equal, 0 for the same and 1 for those that share nothing. shift: change of the probability
    of the target. When one of the two is zero everywhere they share nothing.
    Raises MatchError when they explain different rows, targets or players.
    """
    a, b = _beside(one, other)
    size = np.abs(a)
    nothing = float(not np.any(b))
    alike = float(size[np.sign(a) == np.sign(b)].sum())
    signs = min(alike / float(size.sum()), 1.0) if size.any() else nothing
    ours, theirs = foremost(a), foremost(b)
    most = max(len(ours), len(theirs))
    shared = set(ours) & set(theirs)
    places = sum(i == j for i, j in zip(ours, theirs, strict=False))
    total = float(size.sum() + np.abs(b).sum())
    return {
        "cosine": _cosine(a, b),
        "spearman": _cosine(_ranks(a), _ranks(b)),
        "top3": len(shared) / most if most else 1.0,
        "rank3": places / most if most else 1.0,
        "signed_top3": sum(a[i] * b[i] > 0 for i in shared) / most if most else 1.0,
        "sign": signs,
        "moved": min(float(np.abs(a - b).sum()) / total, 1.0) if total > _NOTHING else 0.0,
        "shift": abs(other.prediction - one.prediction),
    }


def paired(
    attributions: Sequence[Attribution],
    base: str,
    other: str,
    rows: Sequence[int] | None = None,
) -> Iterator[tuple[str, list[Pair]]]:
    """Each method with the pairs of both models' attributions, of all rows or of `rows`."""
    wanted = None if rows is None else set(rows)
    for method in dict.fromkeys(a.method for a in attributions):
        ours = {a.row: a for a in attributions if (a.method, a.subject) == (method, base)}
        theirs = {a.row: a for a in attributions if (a.method, a.subject) == (method, other)}
        pairs = [
            (ours[row], theirs[row])
            for row in ours
            if row in theirs and (wanted is None or row in wanted)
        ]
        if pairs:
            yield method, pairs


def reasons(
    attributions: Sequence[Attribution],
    base: str,
    other: str,
    *,
    rows: Sequence[int] | None = None,
    groups: Mapping[str, Sequence[int]] | None = None,
    seed: int = 0,
) -> tuple[Measurement, ...]:
    """Figures of `compare` over `rows` (None: all that both explain), for each method.

    Measurements of `other` named "reason_cosine shapley": the mean with a bootstrap-t 95 % interval
    over rows, and "reason_cosine_p5 shapley", the 5th percentile over rows. groups: "class:3" ->
    its rows; "reason_cosine shapley class:3" is given where at least `LEAST` of them are explained.
    """
    found = []
    for method, pairs in paired(attributions, base, other, rows):
        compared = {one.row: compare(one, its) for one, its in pairs}
        for name in FIGURES:
            values = np.array([figures[name] for figures in compared.values()])
            least = -1.0 if name in ("cosine", "spearman") else 0.0
            found.append(mean(other, f"reason_{name} {method}", values, seed, least=least))
        cosines = np.array([figures["cosine"] for figures in compared.values()])
        worst = float(np.quantile(cosines, 0.05))
        found.append(Measurement(other, f"reason_cosine_p5 {method}", worst, "", len(cosines)))
        for group, members in (groups or {}).items():
            its = np.array([compared[row]["cosine"] for row in members if row in compared])
            if len(its) >= LEAST:
                found.append(mean(other, f"reason_cosine {method} {group}", its, seed))
    return tuple(found)


def mean(
    subject: str, name: str, values: Doubles, seed: int, *, least: float = -1.0
) -> Measurement:
    """The mean of one value a row, with a bootstrap-t 95 % interval over rows if there are enough.

    least: the smallest value there can be; the largest is 1.
    """
    n = len(values)
    if n < LEAST:
        return Measurement(subject, name, float(values.mean()), "", n)
    return averaged(subject, name, values, least=least, most=1.0, seed=seed)


def likeness(one: Attribution, other: Attribution) -> float:
    """The cosine of `compare` alone, which raises what that raises: pages ask it of many rows."""
    return _cosine(*_beside(one, other))


def _beside(one: Attribution, other: Attribution) -> tuple[Doubles, Doubles]:
    """The values of both as far as they are told, f64 (p,), the same where they hardly differ."""
    if (one.row, one.target, len(one.values)) != (other.row, other.target, len(other.values)):
        raise MatchError(
            f"row {one.row} target {one.target} beside row {other.row} target {other.target}",
            "attributions of the same row, target and players",
            "explain both models together",
        )
    a, b = told(one.values), told(other.values)
    return (a, a) if np.linalg.norm(a - b) < WHOLE else (a, b)


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


def foremost(a: Doubles, most: int = _TOP) -> list[int]:
    """The `most` largest in size of values f64 (p,), those that moved something, largest first.

    >>> foremost(np.array([0.1, -0.5, 0.0]))
    [1, 0]
    """
    a = told(a)
    largest = np.argsort(-np.abs(a), kind="stable")[:most]
    # a player that moved nothing is no reason, however few others there are
    return [int(i) for i in largest if abs(a[i]) > _NOTHING]
