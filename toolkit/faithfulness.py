"""Are reasons any good? Deletion and insertion beside a random order (Petsiuk et al. 2018)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from toolkit.explainers.hidings import hidings
from toolkit.explainers.players import Players
from toolkit.glossary import Attribution, Doubles, Measurement, Predictor
from toolkit.means import averaged
from toolkit.progress import tell

RANDOM_ORDERS = 10
"""Random orders a row: the mean of their areas is the yardstick of that row."""


def curves(
    predict: Predictor,
    players: Players,
    target: int,
    orders: Sequence[Sequence[int]],
    *,
    deletion: bool,
) -> Doubles:
    """The probability of `target`, f64 (m, p + 1), while players leave (or join) in m orders."""
    p = len(players)
    ranks = np.argsort(np.asarray(orders), axis=1)
    joined = (ranks[:, None, :] < np.arange(p + 1)[:, None]).reshape(-1, p)
    worth = players.value(predict, ~joined if deletion else joined, target)
    return worth.reshape(len(orders), p + 1)


def curve(
    predict: Predictor, players: Players, target: int, order: Sequence[int], *, deletion: bool
) -> Doubles:
    """The same in one order, f64 (p + 1,)."""
    return np.asarray(curves(predict, players, target, [order], deletion=deletion)[0])


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
    "insertion_random"; where players are hidden in a second way, " hidden:mean" or the like is
    added. Good reasons: low deletion, high insertion. "gain_deletion shapley" and "gain_insertion
    shapley" say by how much they beat random orders of the same rows: beyond chance where the low
    end is above 0. players: those of each row.
    """
    rng = np.random.default_rng(seed)
    areas: dict[str, list[float]] = {}
    rows: dict[int, list[Attribution]] = {}
    for a in attributions:
        rows.setdefault(a.row, []).append(a)
    for done, (row, several) in enumerate(rows.items()):
        orders = [np.argsort(-a.values, kind="stable").tolist() for a in several]
        p = len(players[row])
        orders += [rng.permutation(p).tolist() for _ in range(RANDOM_ORDERS)]
        for suffix, hidden in hidings(players[row]).items():
            for way in ("deletion", "insertion"):
                # all attributions of a row explain one class
                target, leave = several[0].target, way == "deletion"
                drawn = curves(predict, hidden, target, orders, deletion=leave)
                found = [area(one) for one in drawn]
                chance = float(np.mean(found[len(several) :]))
                areas.setdefault(f"{way}_random{suffix}", []).append(chance)
                for a, own in zip(several, found, strict=False):
                    areas.setdefault(f"{way}_{a.method}{suffix}", []).append(own)
                    gain = chance - own if leave else own - chance
                    areas.setdefault(f"gain_{way} {a.method}{suffix}", []).append(gain)
        tell("faithfulness", done + 1, len(rows))
    return tuple(
        averaged(predict.name, name, values, least=-1 if name.startswith("gain_") else 0, most=1)
        for name, values in areas.items()
    )
