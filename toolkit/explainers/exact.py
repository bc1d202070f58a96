"""Shapley values of small games, of which every coalition was asked."""

from __future__ import annotations

from functools import lru_cache
from math import comb

import numpy as np

from toolkit.glossary import Doubles, Ints


def worth(table: Doubles) -> Doubles:
    """Shapley values of r games whose every coalition was asked: f64 (r, 2^k) -> f64 (r, k).

    Player j is bit j of a coalition's number. By Shapley's formula, with each player's half of
    the table summed while the others are folded away, so that k sums cost as much as one.

    >>> worth(np.array([[0.0, 1.0, 2.0, 5.0]])).tolist()
    [[2.0, 3.0]]
    """
    k = int(table.shape[1]).bit_length() - 1
    size = _counted(k)
    # joining s others: one of k (k - 1 over s) orders
    joining = np.array([1 / (k * comb(k - 1, s)) for s in range(k)] + [0.0])
    leaving = np.concatenate([[0.0], joining[:k]])
    everyone = (joining[size] * table).sum(axis=1)
    folded = (joining + leaving)[size] * table
    found = np.empty((len(table), k))
    for j in reversed(range(k)):
        half = folded.shape[1] // 2
        found[:, j] = folded[:, half:].sum(axis=1) - everyone
        folded = folded[:, :half] + folded[:, half:]
    return found


@lru_cache(maxsize=24)
def _counted(k: int) -> Ints:
    """How many players each coalition has: i64 (2^k,)."""
    size = np.zeros(1, np.int64)
    for _ in range(k):
        size = np.concatenate([size, size + 1])
    return size
