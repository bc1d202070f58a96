"""Means over rows, and how far off they may be by chance."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from toolkit.glossary import Doubles, Ints, Measurement

LEAST = 5
"""Rows below which nothing can be resampled, and nothing is said of a class or slice."""

_RESAMPLES, _STEADY = 2000, 0.2


def averaged(
    subject: str,
    name: str,
    values: Sequence[float] | Doubles,
    *,
    least: float = -np.inf,
    most: float = np.inf,
    seed: int = 0,
) -> Measurement:
    """The mean over rows as a measurement, with its 95 % interval within least..most.

    Bootstrap-t from `LEAST` rows on, Student's of two and more, none of one. least, most: the
    smallest and the largest value that a row can have.

    >>> found = averaged("base", "complexity lime", [1.0, 2.0, 3.0], least=0)
    >>> found.value, found.low, round(found.high, 3)
    (2.0, 0.0, 4.484)
    """
    rows = np.asarray(values, np.float64)
    mean, n = float(rows.mean()), len(rows)
    if n < 2:
        return Measurement(subject, name, mean, "", n)
    if n < LEAST:
        half = float(mean_error(rows))
        low, high = mean - half, mean + half
    else:
        drawn = rows[resamples(n, seed)]
        errors = drawn.std(axis=1, ddof=1) / n**0.5
        error = float(rows.std(ddof=1)) / n**0.5
        low, high = studentised(mean, error, drawn.mean(axis=1), errors)
    # rounding must not push the value out of its own interval
    low, high = float(min(max(low, least), mean)), float(max(min(high, most), mean))
    return Measurement(subject, name, mean, "", n, low, high)


def mean_error(values: Doubles, share: float = 0.95) -> Doubles:
    """Half of Student's interval of the means of columns f64 (n, ...), of which NaN are not there.

    >>> mean_error(np.array([1.0, 2.0, 3.0])).round(3).item()
    2.484
    """
    from scipy.special import stdtrit

    n = np.sum(~np.isnan(values), axis=0)
    quantile = stdtrit(n - 1, (1 + share) / 2)
    return np.asarray(quantile * np.nanstd(values, axis=0, ddof=1) / np.sqrt(n), np.float64)


def studentised(
    value: float, error: float, values: Doubles, errors: Doubles
) -> tuple[float, float]:
    """The 95 % interval by bootstrap-t (Efron 1981): how far off resamples are, in their errors.

    values, errors: f64 (b,), of resamples. Likenesses crowd below 1 with a tail to the left, where
    percentiles of few rows hold too seldom (benchmarks/intervals.py).
    """
    if error == 0:
        return value, value
    # a resample of equal rows has no error of its own
    t = (values - value) / np.maximum(errors, _STEADY * error)
    low, high = np.quantile(t, (0.025, 0.975))
    # rounding must not push the value out of its own interval
    return min(value - float(high) * error, value), max(value - float(low) * error, value)


def error_of_ratio(over: Doubles, under: Doubles) -> Doubles:
    """Standard errors of ratios of means over rows f64 (..., n), by the delta method: f64 (...).

    >>> error_of_ratio(np.array([1.0, 2.0]), np.array([2.0, 2.0])).item()
    0.25
    """
    wide = under.mean(axis=-1, keepdims=True)
    off = (over - over.mean(axis=-1, keepdims=True) / wide * under) / wide
    return np.asarray(off.std(axis=-1, ddof=1) / off.shape[-1] ** 0.5, np.float64)


def resamples(n: int, seed: int) -> Ints:
    """Rows drawn again with replacement: i64 (2000, n), the same for the same seed."""
    return np.random.default_rng(seed).integers(0, n, (_RESAMPLES, n))
