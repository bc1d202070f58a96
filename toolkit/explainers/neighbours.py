"""Where LIME asks: points of a unit cube for tables, patches or words that are left there."""

from __future__ import annotations

import numpy as np

from toolkit.glossary import Doubles

_WIDTH = 0.25
_SOBOL = 1000


def spread(n: int, p: int, rng: np.random.Generator) -> Doubles:
    """Points of the unit cube, f64 (n, p): scrambled Sobol points (Owen 1998).

    Each is uniform by itself, and together they lie more evenly than chance would have them, so
    that a mean over them errs less. Independent points beyond a thousand columns.

    >>> found = spread(8, 1, np.random.default_rng(0))
    >>> np.bincount((8 * found[:, 0]).astype(int)).tolist()  # one in each eighth
    [1, 1, 1, 1, 1, 1, 1, 1]
    """
    if p > _SOBOL:
        return rng.random((n, p))
    from scipy.stats import qmc

    # made by powers of two, as which they lie evenly
    points = qmc.Sobol(p, rng=rng).random_base2(max(n - 1, 1).bit_length())
    return np.asarray(points[:n], np.float64)


def patches(n: int, p: int, rng: np.random.Generator) -> Doubles:
    """Which of p patches are there, 0 or 1, f64 (n, p): each with even odds, as lime draws them."""
    return rng.integers(0, 2, (n, p)).astype(np.float64)


def words(n: int, p: int, rng: np.random.Generator) -> Doubles:
    """Which of p words are there, 0 or 1, f64 (n, p): 1 to p of them taken away, as lime does it.

    Every number is as likely as any other, and so is every choice of so many words.
    """
    away = rng.integers(1, p + 1, (n, 1))
    place = rng.random((n, p)).argsort(axis=1).argsort(axis=1)
    return (place >= away).astype(np.float64)


def every(p: int, *, of_words: bool) -> tuple[Doubles, Doubles]:
    """All combinations, f64 (2^p, p), and the share in which each would be drawn, f64 (2^p,).

    >>> z, share = every(2, of_words=True)
    >>> z.tolist(), share.tolist()
    ([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], [0.5, 0.25, 0.25, 0.0])
    """
    z = (np.arange(2**p)[:, None] >> np.arange(p) & 1).astype(np.float64)
    if not of_words:
        return z, np.full(2**p, 0.5**p)
    size = z.sum(axis=1).astype(int)
    share = 1 / p / np.bincount(size)[size]
    return z, np.where(size == p, 0, share)


def nearness(z: Doubles) -> Doubles:
    """The weight of each combination, f64 (n,): lime's kernel over the cosine distance to the row.

    >>> nearness(np.array([[1.0, 1.0], [0.0, 0.0]])).round(6).tolist()
    [1.0, 0.000335]
    """
    far = 1 - np.sqrt(z.mean(axis=1))
    return np.asarray(np.exp(-(far**2) / (2 * _WIDTH**2)))
