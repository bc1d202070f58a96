"""Do two methods name the same reasons? Agreement of the foremost k (Krishna et al. 2022)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from toolkit.fidelity import foremost
from toolkit.glossary import Attribution, Doubles, Measurement
from toolkit.means import averaged

FOREMOST = 5


def agreement(one: Doubles, other: Doubles, k: int = FOREMOST) -> dict[str, float]:
    """Shares of the k largest in size: f64 (p,) twice -> figures from 0 to 1.

    feature: named by both. rank: at the same place in both. sign: named by both with the same sign.
    A player that moved nothing is named by nobody; of fewer than k all that moved are compared, and
    two that name nothing agree.

    >>> import numpy as np
    >>> agreement(np.array([0.5, -0.4, 0.1]), np.array([0.5, 0.1, 0.4]), k=2)
    {'feature': 0.5, 'rank': 0.5, 'sign': 0.5}
    """
    a, b = (foremost(v, k) for v in (one, other))
    most, both = max(len(a), len(b)), sorted({*a} & {*b})
    if not most:
        return dict.fromkeys(("feature", "rank", "sign"), 1.0)
    return {
        "feature": len(both) / most,
        "rank": sum(i == j for i, j in zip(a, b, strict=False)) / most,
        "sign": sum(bool(one[i] * other[i] > 0) for i in both) / most,
    }


def agreements(attributions: Sequence[Attribution]) -> tuple[Measurement, ...]:
    """Mean agreement of every two methods over rows, of each model, with 95 % intervals.

    Named "method_agreement feature shapley~lime", and "rank" and "sign" in place of "feature".
    """
    rows: dict[tuple[str, int], list[Attribution]] = {}
    for a in attributions:
        rows.setdefault((a.subject, a.row), []).append(a)
    found: dict[tuple[str, str], list[float]] = {}
    for (subject, _), several in rows.items():
        for one, other in combinations(several, 2):
            for figure, value in agreement(one.values, other.values).items():
                name = f"method_agreement {figure} {one.method}~{other.method}"
                found.setdefault((subject, name), []).append(value)
    return tuple(averaged(s, name, values, least=0, most=1) for (s, name), values in found.items())
