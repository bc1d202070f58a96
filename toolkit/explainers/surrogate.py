"""A linear model fitted to weighted answers, from sums alone, so that samples can be added up."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations, islice

import numpy as np

from toolkit.glossary import Doubles
from toolkit.seeding import in_one_order

PENALTY = 1e-3
"""Ridge penalty; lime's own of 1 shrinks weights by a share that depends on the samples."""

_SPLITS = 35


@dataclass(frozen=True, eq=False)
class Surrogate:
    """answer = intercept + z @ weights, one or a stack of them (...).

    weights: f64 (..., p). intercept: f64 (...). r2: f64 (...), weighted; 1 for constant answers.
    """

    weights: Doubles
    intercept: Doubles
    r2: Doubles


@in_one_order()
def sums(z: Doubles, y: Doubles, w: Doubles) -> Doubles:
    """Weighted sums of squares and products of (1, z, y): f64 (p + 2, p + 2).

    z: f64 (n, p), what the linear model sees. y: f64 (n,), answers. w: f64 (n,), weights.
    """
    every = np.column_stack([np.ones(len(z)), z, y])
    return np.asarray(every.T @ (every * w[:, None]), np.float64)


@in_one_order()
def fit(total: Doubles, penalty: float = PENALTY) -> Surrogate:
    """Ridge regression with a free intercept, from `sums`, a stack of them or several added.

    >>> z = np.array([[0.0], [1.0], [2.0]])
    >>> found = fit(sums(z, 1 + 2 * z[:, 0], np.ones(3)), penalty=0)
    >>> float(found.intercept.round(6)), found.weights.round(6).tolist(), float(found.r2.round(6))
    (1.0, [2.0], 1.0)
    """
    size = total[..., 0, 0]
    mean = total[..., 0, 1:] / size[..., None]
    centred = total[..., 1:, 1:] - size[..., None, None] * mean[..., None] * mean[..., None, :]
    squares, products, spread = centred[..., :-1, :-1], centred[..., :-1, -1], centred[..., -1, -1]
    ridge = penalty * np.eye(squares.shape[-1])
    weights = np.asarray(np.linalg.solve(squares + ridge, products[..., None])[..., 0], np.float64)
    explained = ((2 * products - (squares @ weights[..., None])[..., 0]) * weights).sum(axis=-1)
    # answers that do not change leave nothing to explain; what is left of them is rounding
    moved = spread > 1e-12 * total[..., -1, -1] + 1e-300
    r2 = np.where(moved, explained / np.where(moved, spread, 1), 1.0)
    return Surrogate(weights, mean[..., -1] - (weights * mean[..., :-1]).sum(axis=-1), r2)


@in_one_order()
def pseudo(groups: Doubles) -> tuple[Doubles, Doubles]:
    """Weights f64 (r, p) and intercepts f64 (r,), one a group, whose means are the fit of all.

    The delete-a-group jackknife (Quenouille 1956): each group counts as what it adds to the fit of
    all, so that the spread tells the standard error of that fit. The bias that it would take away
    is left in: where samples are hardly more than players, taking it away multiplies the noise.
    groups: f64 (r, p + 2, p + 2), the sums of r groups drawn independently.
    """
    total, r = groups.sum(axis=0), len(groups)
    whole, less = fit(total), fit(total - groups)
    return (
        whole.weights + (r - 1) * (less.weights.mean(axis=0) - less.weights),
        whole.intercept + (r - 1) * (less.intercept.mean() - less.intercept),
    )


@in_one_order()
def stability(groups: Doubles, scale: Doubles, top: int) -> float:
    """How alike the foremost players of two halves of the samples are: mean Jaccard index, 0..1.

    Two runs of half the samples each, so that it errs to the low side. scale: f64 (p,), what a
    weight is multiplied by before players are ranked. top: how many are compared.
    """
    r, total = len(groups), groups.sum(axis=0)
    # the first group is in the first half: each split is met once
    splits = ((0, *rest) for rest in combinations(range(1, r), r // 2 - 1))
    halves = np.stack([groups[list(half)].sum(axis=0) for half in islice(splits, _SPLITS)])
    ones, twos = fit(halves).weights * scale, fit(total - halves).weights * scale
    alike = [jaccard(foremost(a, top), foremost(b, top)) for a, b in zip(ones, twos, strict=True)]
    return float(np.mean(alike))


def foremost(values: Doubles, top: int) -> frozenset[int]:
    """The `top` players with the largest values in size; one that moved nothing is no reason.

    >>> sorted(foremost(np.array([0.1, -0.5, 0.0, 0.3]), 3))
    [0, 1, 3]
    """
    first = np.argsort(-np.abs(values), kind="stable")[:top]
    return frozenset(first[np.abs(values[first]) > 1e-9].tolist())


def jaccard(one: frozenset[int], two: frozenset[int]) -> float:
    """What two sets share of all that is in either; 1 when both are empty.

    >>> round(jaccard(frozenset({1, 2}), frozenset({2, 3})), 3)
    0.333
    """
    return len(one & two) / len(one | two) if one or two else 1.0
