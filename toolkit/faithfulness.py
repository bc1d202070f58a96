"""Are reasons any good? Deletion and insertion beside a random order (Petsiuk et al. 2018)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from toolkit.explainers.players import Players
from toolkit.glossary import Attribution, Doubles, Measurement, Predictor
from toolkit.metrics import Z
from toolkit.progress import tell

RANDOM_ORDERS = 10


def curve(
    predict: Predictor, players: Players, target: int, order: Sequence[int], *, deletion: bool
) -> Doubles:
    """The probability of `target`, f64 (p + 1,), while players leave (or join) in `order`."""
    p = len(players)
    rank = np.empty(p, int)
    rank[list(order)] = np.arange(p)
    joined = rank[None, :] < np.arange(p + 1)[:, None]
    return players.value(predict, ~joined if deletion else joined, target)


def area(values: Doubles) -> float:
    """The area under a curve over 0..1, by trapezoids.

    >>> area(np.array([1.0, 0.5, 0.0]))
    0.5
    """
    return float((values[:-1] + values[1:]).mean() / 2)


def faithfulness(
    predict: Predictor,
    attributions: Sequence[Attribution],
    players: dict[int, Players],
    *,
    seed: int = 0,
) -> tuple[Measurement, ...]:
    """Mean areas under the deletion and insertion curves of one model, with 95 % intervals.

    Named "deletion_shapley", "insertion_shapley" and, as the yardstick, "deletion_random" and
    "insertion_random". Good reasons: low deletion, high insertion. players: those of each row.
    """
    rng = np.random.default_rng(seed)
    areas: dict[str, list[float]] = {}
    seen: set[int] = set()
    for done, a in enumerate(attributions):
        orders = {a.method: [np.argsort(-a.values, kind="stable")]}
        if a.row not in seen:
            seen.add(a.row)
            orders["random"] = [rng.permutation(len(a.values)) for _ in range(RANDOM_ORDERS)]
        for name, several in orders.items():
            for way in ("deletion", "insertion"):
                found = [
                    area(
                        curve(
                            predict,
                            players[a.row],
                            a.target,
                            order.tolist(),
                            deletion=way == "deletion",
                        )
                    )
                    for order in several
                ]
                areas.setdefault(f"{way}_{name}", []).append(float(np.mean(found)))
        tell("faithfulness", done + 1, len(attributions))
    return tuple(_mean(predict.name, name, values) for name, values in areas.items())


def _mean(subject: str, name: str, values: list[float]) -> Measurement:
    mean, n = float(np.mean(values)), len(values)
    if n < 2:
        return Measurement(subject, name, mean, "", n)
    half = Z * float(np.std(values, ddof=1)) / n**0.5
    return Measurement(subject, name, mean, "", n, mean - half, mean + half)
