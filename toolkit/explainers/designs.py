"""Which coalitions of k players are asked where not all are: pairs of one and its complement.

Shapley values depend on the odd part of a game alone, v(S) - v(not S), so coalitions are always
asked in such pairs (Covert and Lee 2021). Pairs are shared out evenly among the sizes, which are
the leverage scores of the regression (Musco and Witter 2025), drawn without replacement within a
size, and small sizes are asked in full. One shuffle of the players is cut into several coalitions
of a size, so that every player is there about as often as any other.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from math import comb

import numpy as np
from numpy.typing import NDArray

from toolkit.explainers.players import Coalitions
from toolkit.glossary import Doubles, Ints


@dataclass(frozen=True, eq=False)
class Design:
    """m coalitions, each of which stands for itself and its complement.

    shown: bool (m, k). weights: f64 (m,), of the KernelSHAP regression, which make the sample
    stand for all pairs of its size. bunches: i64, where the coalitions of one shuffle begin;
    strata: i64 (bunches,), the size they are of; rest: f64 (strata,), the share of the pairs of
    a size that was not drawn.
    """

    shown: Coalitions
    weights: Doubles
    bunches: Ints
    strata: Ints
    rest: Doubles

    @cached_property
    def together(self) -> tuple[Ints, Ints, Doubles]:
        """Two coalitions of one shuffle, or one twice: i64 (t,), i64 (t,), and f64 (t,), how often
        their product counts in the variance of a sum over shuffles drawn without replacement.
        """
        m, size = len(self.shown), np.diff(self.bunches, append=len(self.shown))
        # how many of its shuffle there are from each on
        after = np.repeat(self.bunches + size, size) - np.arange(m)
        first = np.repeat(np.arange(m), after)
        second = first + np.arange(len(first)) - np.repeat(after.cumsum() - after, after)
        counts = self._squares[np.repeat(self.strata, size)[first]]
        return first, second, np.where(first == second, counts, 2 * counts)

    @cached_property
    def means(self) -> list[tuple[slice, float]]:
        """The coalitions of each size, and how often the square of their sum is taken off again.

        A size of which one shuffle was drawn has no spread of its own: it counts in full.
        """
        first = np.searchsorted(self.strata, np.arange(len(self.rest) + 1))
        ends = np.append(self.bunches, len(self.shown))[first].tolist()
        each = zip(ends, ends[1:], np.diff(first), self._squares, strict=False)
        return [(slice(i, j), float(counts / n)) for i, j, n, counts in each if n > 1]

    @cached_property
    def degrees(self) -> int:
        """Of freedom that the variance of a sum over shuffles has."""
        drawn = np.bincount(self.strata, minlength=len(self.rest))
        return int(np.maximum(drawn - 1, 1)[self.rest > 0].sum())

    @cached_property
    def _squares(self) -> Doubles:
        """How often the square of a shuffle's sum counts: f64 (strata,)."""
        drawn = np.bincount(self.strata)
        return np.asarray(self.rest * drawn / np.maximum(drawn - 1, 1))


def sizes(k: int) -> Doubles:
    """Of how many pairs the smaller coalition has 1, 2, ... k // 2 players: f64 (k // 2,).

    >>> sizes(4).tolist()
    [4.0, 3.0]
    """
    halved = [ways(k, s) // (2 if 2 * s == k else 1) for s in range(1, k // 2 + 1)]
    return np.array(halved, np.float64)


def ways(k: int, s: int) -> int:
    """How many coalitions of s of k players there are, but no more than a float holds: 2^1000."""
    return min(comb(k, s), 2**1000)


def drawn(k: int, pairs: int, rng: np.random.Generator) -> Design:
    """Draw `pairs` pairs of coalitions of k players, or all of them where there are no more."""
    shown, weights, bunches, strata = [], [], [], []
    rest: list[float] = []
    counts, there = _shared(k, pairs), sizes(k)
    begin = 0
    for place in np.flatnonzero(counts):
        size, count = int(place) + 1, int(counts[place])
        found, starts = _of_size(k, size, count, there[place], rng)
        mass = (k - 1) / (size * (k - size)) * (0.5 if 2 * size == k else 1.0)
        shown.append(found)
        weights.append(np.full(count, mass / count))
        bunches.append(starts + begin)
        strata.append(np.full(len(starts), len(rest)))
        rest.append(1 - count / there[place])
        begin += count
    return Design(
        np.concatenate(shown),
        np.concatenate(weights),
        np.concatenate(bunches),
        np.concatenate(strata),
        np.array(rest),
    )


def _shared(k: int, pairs: int) -> Ints:
    """How many pairs of each size: equal shares, and no more than there are."""
    there = sizes(k)
    pairs = int(min(pairs, there.sum()))
    share = np.ones(len(there))
    if k % 2 == 0:
        # a pair of half the players is one of size k / 2, where others are of s and of k - s
        share[-1] = 0.5
    counts = np.zeros(len(there))
    while (left := pairs - counts.sum()) > 1e-9:
        free = counts < there
        counts += left * share * free / (share * free).sum()
        counts = np.minimum(counts, there)
    whole = np.floor(counts + 1e-9)
    for place in np.argsort(whole - counts, kind="stable")[: round(pairs - whole.sum())]:
        whole[place] += 1
    return whole.astype(np.int64)


def _of_size(
    k: int, size: int, count: int, there: float, rng: np.random.Generator
) -> tuple[Coalitions, Ints]:
    """`count` different coalitions, bool (count, k), and where those of each shuffle begin."""
    if there <= max(4 * count, 64):
        found = _all_of_size(k, size)
        if count < len(found):
            found = found[np.sort(rng.permutation(len(found))[:count])]
        return found, np.arange(count)
    parts = k // size
    known: Coalitions = np.zeros((0, k), bool)
    bunch: Ints = np.zeros(0, np.int64)
    while len(known) < count:
        shuffles = -(-(count - len(known)) // parts)
        order = np.argsort(rng.random((shuffles, k)), axis=1)[:, : parts * size]
        fresh = np.zeros((shuffles * parts, k), bool)
        np.put_along_axis(fresh, order.reshape(-1, size), True, axis=1)
        if 2 * size == k:
            # of the two halves the one that holds the first player
            fresh ^= ~fresh[:, :1]
        last = int(bunch[-1]) + 1 if len(bunch) else 0
        known = np.concatenate([known, fresh])
        bunch = np.concatenate([bunch, last + np.repeat(np.arange(shuffles), parts)])
        first = np.sort(np.unique(_packed(known), return_index=True)[1])
        known, bunch = known[first], bunch[first]
    bunch = bunch[:count]
    return known[:count], np.flatnonzero(np.diff(bunch, prepend=-1))


def _all_of_size(k: int, size: int) -> Coalitions:
    chosen = np.array(list(combinations(range(k), size)), np.int64)
    if 2 * size == k:
        chosen = chosen[chosen[:, 0] == 0]
    found = np.zeros((len(chosen), k), bool)
    np.put_along_axis(found, chosen, True, axis=1)
    return found


def _packed(shown: Coalitions) -> NDArray[np.void]:
    """Each coalition as one value that can be compared."""
    packed = np.ascontiguousarray(np.packbits(shown, axis=1))
    return packed.view(np.dtype((np.void, packed.shape[1]))).ravel()
