"""What methods say of themselves: how well a linear model fits and how stable it is (LIME), and how
far values are from summing to what they explain (gradients, deep).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from toolkit.glossary import Attribution, Measurement
from toolkit.means import averaged

FACTS = ("r2", "stability", "gap")


def surrogates(attributions: Sequence[Attribution]) -> tuple[Measurement, ...]:
    """Means of "r2 lime", "stability lime", "gap integrated" over rows with 95 % intervals.

    The share that is explained and the likeness of halves are from 0 to 1, a gap is 0 or more.
    """
    found: dict[tuple[str, str], list[float]] = {}
    for a in attributions:
        for fact in FACTS:
            if fact in a.facts:
                found.setdefault((a.subject, f"{fact} {a.method}"), []).append(a.facts[fact])
    return tuple(
        averaged(subject, name, values, least=0, most=np.inf if name.startswith("gap ") else 1)
        for (subject, name), values in found.items()
    )
