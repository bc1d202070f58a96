"""How well a linear model stands for the model around a row, and how stable it is: LIME's facts."""

from __future__ import annotations

from collections.abc import Sequence

from toolkit.glossary import Attribution, Measurement
from toolkit.metrics import averaged

FACTS = ("r2", "stability")


def surrogates(attributions: Sequence[Attribution]) -> tuple[Measurement, ...]:
    """Means of "r2 lime" and "stability lime" over rows with 95 % intervals, of each model."""
    found: dict[tuple[str, str], list[float]] = {}
    for a in attributions:
        for fact in FACTS:
            if fact in a.facts:
                found.setdefault((a.subject, f"{fact} {a.method}"), []).append(a.facts[fact])
    return tuple(averaged(subject, name, values) for (subject, name), values in found.items())
