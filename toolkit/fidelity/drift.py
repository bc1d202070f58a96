"""Silent drift: the same answer for other reasons, beyond what the method's noise explains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from toolkit import metrics
from toolkit.fidelity.difference import difference
from toolkit.fidelity.measures import likeness, paired
from toolkit.glossary import Attribution, Doubles, Drift, Floats, Measurement
from toolkit.told import WHOLE

ALIKE = 0.9
"""The cosine below which reasons are others, if noise cannot explain it."""

FALSE = 0.05
"""The share of false discoveries that is let through (Benjamini and Hochberg 1995)."""

DRAWS = 1999

_EQUAL = 1e-9


def drifts(
    attributions: Sequence[Attribution],
    base: str,
    other: str,
    answers: Mapping[int, tuple[int, int]],
    *,
    seed: int = 0,
) -> tuple[Drift, ...]:
    """Every row that both models answer alike, tested for other reasons; the worst come first.

    answers: row -> the class that the base and the other model give. The cosine of a row is set
    beside `DRAWS` cosines or more that the noise of the paired difference would leave of equal
    reasons; p-values over all rows are held to a share of `FALSE` false discoveries. A row has
    drifted when it passes that and its cosine is below `ALIKE`. Needs the attributions of the
    difference.
    """
    found = []
    for method, pairs in paired(attributions, base, other):
        noise = {
            a.row: a
            for a in attributions
            if (a.method, a.subject) == (method, difference(base, other))
        }
        same = [pair for pair in pairs if len(set(answers[pair[0].row])) == 1]
        if not same:
            continue
        cosines = np.array([likeness(one, its) for one, its in same])
        p = np.array([_chance(one, noise[one.row], its, seed, len(same)) for one, its in same])
        told = discoveries(p, FALSE) & (cosines < ALIKE)
        found += [
            Drift(other, method, pair[0].row, float(c), float(value), bool(drifted))
            for pair, c, value, drifted in zip(same, cosines, p, told, strict=True)
        ]
    return tuple(sorted(found, key=lambda d: (not d.drifted, d.cosine)))


def drifted(found: Sequence[Drift], rows: Sequence[int] | None = None) -> tuple[Measurement, ...]:
    """The share, in 0..1, of rows with the same answer that have drifted, with Wilson's interval.

    Named "reason_drift shapley", of the other model, over all rows or over `rows`.
    """
    wanted = None if rows is None else set(rows)
    counted = [d for d in found if wanted is None or d.row in wanted]
    made = []
    for subject, method in dict.fromkeys((d.subject, d.method) for d in counted):
        its = [d.drifted for d in counted if (d.subject, d.method) == (subject, method)]
        e = metrics.share(sum(its), len(its))
        made.append(Measurement(subject, f"reason_drift {method}", e.value, "", e.n, e.low, e.high))
    return tuple(made)


def discoveries(p: Doubles, share: float) -> np.ndarray:
    """Which p-values stand when a `share` of false ones is let through, bool (n,).

    >>> discoveries(np.array([0.01, 0.9, 0.03]), 0.05).tolist()
    [True, False, True]
    """
    order = np.argsort(p, kind="stable")
    passed = np.flatnonzero(p[order] <= share * np.arange(1, len(p) + 1) / len(p))
    told = np.zeros(len(p), bool)
    if len(passed):
        told[order[: passed[-1] + 1]] = True
    return told


def answers_of(base: Floats, other: Floats) -> list[tuple[int, int]]:
    """The classes that two models give, a pair a row; both f32 (n, k)."""
    both = zip(base.argmax(axis=1).tolist(), other.argmax(axis=1).tolist(), strict=True)
    return [(int(one), int(its)) for one, its in both]


def _chance(one: Attribution, noise: Attribution, its: Attribution, seed: int, tests: int) -> float:
    """How often equal reasons would look as unlike as these, by the noise of the difference.

    Where none of the draws does, more are drawn, so that one row among `tests` can be told.
    """
    seen = likeness(one, its)
    if 1 - seen < _EQUAL:
        return 1.0
    if not noise.stderr.any():
        # exact values: a difference is a difference
        return 0.0
    rng, ours = np.random.default_rng((seed, one.row)), float(np.linalg.norm(one.values))
    shape = (DRAWS, len(one.values))
    few = noise.degrees
    drawn = unlike = 0
    while not unlike and (1 + drawn) * FALSE < max(tests, 1):
        noises = rng.standard_normal(shape) if few is None else rng.standard_t(few, shape)
        others = one.values - noise.stderr * noises
        sizes = np.linalg.norm(others, axis=1)
        if ours < WHOLE:
            # the base has no reasons that others could be like: are these more than noise?
            unlike = int((sizes >= np.linalg.norm(its.values)).sum())
        else:
            cosines = others @ one.values / (ours * np.where(sizes > 0, sizes, 1))
            unlike = int((cosines <= seen).sum())
        drawn += DRAWS
    return (1 + unlike) / (1 + drawn)
