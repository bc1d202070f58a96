"""Figures of predictions against labels, with their intervals and paired tests."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from toolkit.glossary import Floats, Ints

Z = 1.959963984540054
"""The normal quantile of a two-sided 95 % interval."""

Z_ONE_SIDED = 1.6448536269514722


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval and the number of rows behind it."""

    value: float
    low: float
    high: float
    n: int


def share(hits: int, n: int) -> Estimate:
    """A share of rows with Wilson's 95 % interval (Wilson 1927), all in 0..1.

    >>> estimate = share(81, 263)  # example of Newcombe 1998, method 3
    >>> round(estimate.low, 4), round(estimate.high, 4)
    (0.2553, 0.3662)
    """
    p, z2 = hits / n, Z * Z
    middle = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = Z / (1 + z2 / n) * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n))
    return Estimate(p, max(0.0, min(p, middle - half)), min(1.0, max(p, middle + half)), n)


def accuracy(p: Floats, y: Ints) -> Estimate:
    """The share of rows whose most probable class is the label. p: f32 (n, k); y: i64 (n,)."""
    return share(int((p.argmax(axis=1) == y).sum()), len(y))


def agreement(p: Floats, q: Floats) -> Estimate:
    """The share of rows to which two models give the same class."""
    return share(int((p.argmax(axis=1) == q.argmax(axis=1)).sum()), len(p))


@dataclass(frozen=True)
class Drop:
    """How much accuracy is lost on the same rows, in 0..1; negative where it is gained.

    upper: one-sided 95 % bound. p_value: McNemar's exact test. lost, won: rows that only the
    base, or only the other model, gets right.
    """

    value: float
    low: float
    high: float
    upper: float
    p_value: float
    lost: int
    won: int
    n: int


def accuracy_drop(base: Floats, other: Floats, y: Ints, *, z: float = Z) -> Drop:
    """The paired difference of two accuracies (interval: Bonett and Price 2012).

    z: the normal quantile of the interval from `low` to `high`; another than that of 95 % where
    many differences are looked at together.

    >>> y = np.zeros(4, np.int64)
    >>> right, wrong = np.float32([[1, 0]] * 4), np.float32([[0, 1]] * 4)
    >>> accuracy_drop(right, wrong, y).value, accuracy_drop(right, right, y).p_value
    (1.0, 1.0)
    """
    first, second = base.argmax(axis=1) == y, other.argmax(axis=1) == y
    n, lost, won = len(y), int((first & ~second).sum()), int((second & ~first).sum())
    # one row is added to either cell, so that no loss in few rows is not taken for certainty
    p, q = (lost + 1) / (n + 2), (won + 1) / (n + 2)
    error = math.sqrt((p + q - (p - q) ** 2) / (n + 2))
    middle = p - q
    return Drop(
        (lost - won) / n,
        max(-1.0, middle - z * error),
        min(1.0, middle + z * error),
        min(1.0, middle + Z_ONE_SIDED * error),
        _mcnemar(lost, won),
        lost,
        won,
        n,
    )


def _mcnemar(lost: int, won: int) -> float:
    """The exact two-sided p-value of `lost` against `won` under even odds."""
    from scipy.special import bdtr

    # a sum of exact integers takes seconds for thousands of rows
    return min(1.0, 2 * float(bdtr(min(lost, won), lost + won, 0.5)))


def median_ranks(n: int) -> tuple[int, int]:
    """Ranks, from 0, of n sorted values between which the median lies in at least 95 % of cases.

    The sign test's interval, which supposes no distribution; all of the values for n below 6.

    >>> median_ranks(31), median_ranks(4)
    ((9, 21), (0, 3))
    """
    low, tail = -1, 0
    while low + 1 < n / 2 and 2 * (tail + math.comb(n, low + 1)) <= 0.05 * 2**n:
        low += 1
        tail += math.comb(n, low)
    low = max(low, 0)
    return low, n - 1 - low


def calibration_error(p: Floats, y: Ints, bins: int = 15) -> float:
    """The expected calibration error in 0..1 over bins of equal width (Naeini et al. 2015).

    >>> calibration_error(np.float32([[0.75, 0.25]] * 4), np.array([0, 0, 0, 1]))
    0.0
    """
    gaps, place = _gaps(p, y, bins)
    return float(np.abs(np.bincount(place, gaps)).sum() / len(y))


def reliability(p: Floats, y: Ints, bins: int = 10) -> tuple[tuple[float, Estimate], ...]:
    """How sure, on average, and the share of right answers, of each bin of equal width with rows.

    Both in 0..1, the surest last; the share with Wilson's interval (Wilson 1927).

    >>> ((sure, right),) = reliability(np.float32([[0.75, 0.25]] * 4), np.array([0, 0, 0, 1]))
    >>> sure, right.value, right.n
    (0.75, 0.75, 4)
    """
    sure = p.max(axis=1).astype(np.float64)
    right = p.argmax(axis=1) == y
    place = np.minimum((sure * bins).astype(np.int64), bins - 1)
    return tuple(
        (float(sure[inside].mean()), share(int(right[inside].sum()), int(inside.sum())))
        for inside in (place == i for i in range(bins))
        if inside.any()
    )


_DRAWN = 2**20
"""Values that are drawn at a time."""


def calibration_change(
    base: Floats, other: Floats, y: Ints, *, bins: int = 15, draws: int = 400, seed: int = 0
) -> Estimate:
    """How much larger the calibration error of `other` is than that of `base`, on the same rows.

    Its interval is of a paired bootstrap (Efron 1979): both are computed on the same drawn rows.
    """
    n = len(y)
    told = [_gaps(p, y, bins) for p in (base, other)]
    rng, errors = np.random.default_rng(seed), np.empty((2, draws))
    step = max(_DRAWN // max(n, 1), 1)
    for i in range(0, draws, step):
        # a few draws at a time: all of a million rows would not fit into memory
        rows = rng.integers(0, n, (min(step, draws - i), n))
        first = bins * np.arange(len(rows))[:, None]
        for one, (gaps, place) in zip(errors, told, strict=True):
            cells = (first + place[rows]).ravel()
            sums = np.bincount(cells, gaps[rows].ravel(), len(rows) * bins)
            one[i : i + step] = np.abs(sums.reshape(-1, bins)).sum(axis=1) / n
    low, high = np.quantile(errors[1] - errors[0], (0.025, 0.975))
    value = calibration_error(other, y, bins) - calibration_error(base, y, bins)
    return Estimate(value, float(low), float(high), n)


def _gaps(p: Floats, y: Ints, bins: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Of each row being right (1 or 0) less how sure it was, and the bin of how sure."""
    sure = p.max(axis=1).astype(np.float64)
    right = (p.argmax(axis=1) == y).astype(np.float64)
    return right - sure, np.minimum((sure * bins).astype(np.int64), bins - 1)


def confusion(p: Floats, y: Ints) -> Ints:
    """Counts i64 (k, k): rows the true class, columns the predicted one."""
    k = p.shape[1]
    return np.bincount(y * k + p.argmax(axis=1), minlength=k * k).reshape(k, k).astype(np.int64)


def informedness(counts: Ints) -> Estimate | None:
    """The mean of the classes' shares of right answers, 0 where answers tell nothing of the row.

    counts: those of `confusion`. 1 is all right; answering always the same, or at random, comes to
    0 however rare the other classes are (Powers 2011; balanced accuracy, adjusted for chance). The
    95 % interval puts together Wilson's of each class (MOVER, Donner and Zou 2012). None where all
    rows are of one class.

    >>> found = informedness(np.array([[90, 2], [4, 4]]))
    >>> round(found.value, 3), round(found.low, 3)
    (0.478, 0.188)
    """
    classes = [share(int(row[c]), int(row.sum())) for c, row in enumerate(counts) if row.any()]
    k = len(classes)
    if k < 2:
        return None
    right = sum(e.value for e in classes) / k
    below = math.sqrt(sum((e.value - e.low) ** 2 for e in classes)) / k
    above = math.sqrt(sum((e.high - e.value) ** 2 for e in classes)) / k
    value, low, high = ((p * k - 1) / (k - 1) for p in (right, right - below, right + above))
    return Estimate(value, low, high, int(counts.sum()))
