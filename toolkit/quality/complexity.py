"""Complexity: over how many players an attribution spreads (Bhatt et al. 2020)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from toolkit.glossary import Attribution, Doubles, Measurement
from toolkit.means import averaged
from toolkit.told import told


def complexity(values: Doubles) -> float:
    """The entropy of the shares of |values|, in nats: 0 for one player, ln p for p alike.

    >>> complexity(np.array([0.0, -2.0])), round(complexity(np.array([1.0, -1.0, 1.0])), 4)
    (0.0, 1.0986)
    """
    size = np.abs(told(values))
    # where nothing moved there is nothing to read
    share = size[size > 0] / size.sum() if size.any() else np.ones(1)
    return float(-(share * np.log(share)).sum()) + 0.0


def complexities(attributions: Sequence[Attribution]) -> tuple[Measurement, ...]:
    """Mean complexity over rows with 95 % intervals, "complexity shapley", of each model."""
    found: dict[tuple[str, str], list[float]] = {}
    for a in attributions:
        found.setdefault((a.subject, a.method), []).append(complexity(a.values))
    return tuple(
        averaged(s, f"complexity {m}", values, least=0) for (s, m), values in found.items()
    )
