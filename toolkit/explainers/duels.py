"""The game of a row against a background, as one small game against each background row.

The value of a coalition is a mean over background rows and Shapley values are linear, so they are
the mean of the values of the games against single rows; in each of those only the players in which
the two rows differ play (others are worth nothing). So d of them need 2^d coalitions, however many
columns there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.explainers.exact import worth
from toolkit.explainers.regression import Smoother, smoother, weighed
from toolkit.glossary import Doubles, Floats, Ints
from toolkit.masked import Masked, Masks, by_rows

Ask = Callable[[Floats], Floats]
"""f32 (n, *shape) -> f32 (n, k): the probabilities of rows."""

Unmade = Callable[[Masked], Floats]
"""The same of rows with hidden players, (n, k), n counted by coalition and then by game."""

MOST = 20
"""Against more differing players all coalitions would not fit into memory."""

_ROWS, _VALUES = 2**14, 2**16
"""Rows that are asked together, and values of the pairs of rows they are made of."""

_KRIGED, _PAIRS = 2**26, 2**12
_WEIGHED = 2**8
"""More pairs take longer to be weighed by what each patch may do than it saves."""


@dataclass(frozen=True, eq=False)
class Table:
    """Rows that share players and background.

    x: f32 (r, values). targets: i64 (r,), the class explained of each. groups: i64 (values,), the
    player of each value. background: f32 (b, values), no two alike. shares: f64 (b,), how often
    each was there, summing to 1. players: p. shape: of a row. alike: values have one unit, as
    pixels have.
    """

    x: Floats
    targets: Ints
    groups: Ints
    background: Floats
    shares: Doubles
    players: int
    shape: tuple[int, ...]
    alike: bool = False


@dataclass(frozen=True, eq=False)
class Solved:
    """values, variance: f64 (r, p). base, prediction: f64 (r,). asked: i64 (r,), rows for each.

    sampled: i64 (r,), background rows against which not every coalition was asked. degrees: i64
    (r,), of freedom of `variance`.
    """

    values: Doubles
    variance: Doubles
    base: Doubles
    prediction: Doubles
    asked: Ints
    sampled: Ints
    degrees: Ints

    def with_rows(self, places: Ints, fresh: Solved) -> Solved:
        """The same with the results of some rows put at `places`."""
        merged = {}
        for field in fields(self):
            merged[field.name] = getattr(self, field.name).copy()
            merged[field.name][places] = getattr(fresh, field.name)
        return Solved(**merged)


def solve(
    ask: Ask, table: Table, evaluations: Ints, seed: int, unmade: Unmade | None = None
) -> Solved:
    """Shapley values of every row for its target, f64, from about `evaluations` answers each.

    evaluations: i64 (r,). Games are asked in full from the smallest on, as far as they reach; what
    is left is shared equally among the others, of which none gets fewer pairs than `fewest(d, b)`.
    unmade: who answers rows that are told and not made; by itself they are made and asked.
    Each row's result is the same, to the bit, in whatever company it comes.
    """
    r = len(table.x)
    rows = np.concatenate([table.x, table.background]).reshape(-1, *table.shape)
    ends = ask(rows).astype(np.float64)
    unmade = unmade or partial(by_rows, ask)
    prediction = ends[np.arange(r), table.targets]
    nobody = ends[r:, table.targets].T  # f64 (r, b)
    differ = _differing(table)
    plays = differ.sum(axis=2)
    pairs = _allotted(plays, evaluations)
    sampled = pairs < whole(plays)
    # weighing answers by their likeness to all others is worth its time where they are few
    work = sampled.sum(axis=1)[:, None] * pairs**2
    kriged = sampled & (work <= _KRIGED) & (pairs <= _PAIRS)
    values, variance = np.zeros((2, r, table.players))
    degrees = np.zeros(r, np.int64)
    # games of one kind are asked together: as many players, as many pairs, the same way
    kinds = ((plays << 24) + pairs << 1) + kriged
    for kind in np.unique(kinds[plays > 0]).tolist():
        k, count, kriging = kind >> 25, kind >> 1 & 2**24 - 1, bool(kind & 1)
        row, rival = np.nonzero(kinds == kind)
        who = np.nonzero(differ[row, rival])[1].reshape(-1, k)
        if count == whole(k):
            method, shown = None, None
        else:
            # every game draws on the same design under other names
            names = np.random.default_rng([seed, k]).permuted(
                np.tile(np.arange(k), (len(table.background), 1)), axis=1
            )
            who = np.take_along_axis(who, names[rival], axis=1)
            method = smoother(k, count, seed, kriging=kriging)
            shown = np.concatenate([method.shown, ~method.shown])
            np.add.at(degrees, row, method.design.degrees)
        step = max(min(_ROWS // max(2 * count, 1), _VALUES // table.x.shape[1]), 1)
        for i in range(0, len(row), step):
            part = slice(i, i + step)
            a, b, them = row[part], rival[part], who[part]
            made = _made(table, (a, b), them, shown)
            said = _answers(unmade, made, table.targets[a], 2 * count)
            share = table.shares[b, None]
            if method is None:
                both = nobody[a, b][:, None], said, prediction[a][:, None]
                found = worth(np.concatenate(both, axis=1))
            else:
                odd, total = said[:, :count] - said[:, count:], prediction[a] - nobody[a, b]
                if kriging and table.alike and len(table.background) == 1 and count <= _WEIGHED:
                    found, spread = _weighed(method, table, (a, them), odd, total)
                else:
                    found, spread = method.values(odd, total)
                np.add.at(variance, (a[:, None], them), share**2 * spread)
            np.add.at(values, (a[:, None], them), share * found)
    return Solved(
        values,
        variance,
        (table.shares * nobody).sum(axis=1),
        prediction,
        2 * pairs.sum(axis=1) + len(table.background) + 1,
        sampled.sum(axis=1),
        degrees,
    )


def _weighed(
    method: Smoother, table: Table, games: tuple[Ints, Ints], odd: Doubles, total: Doubles
) -> tuple[Doubles, Doubles]:
    """Values and variances of games, each smoothed by how far its players' values are apart.

    games: the row of each, i64 (games,), and its players, i64 (games, k).
    """
    values, variance = np.empty((2, *games[1].shape))
    for i, (row, them) in enumerate(zip(*games, strict=True)):
        apart = table.x[row].astype(np.float64) - table.background[0]
        distance = np.sqrt(np.bincount(table.groups, apart**2, minlength=table.players)[them])
        values[i], variance[i] = weighed(method, distance, odd[i], total[i])
    return values, variance


def whole(k: Any) -> Any:
    """How many pairs a game of k players has, nobody and everybody aside: i64, of i64.

    >>> whole(np.arange(5)).tolist()
    [0, 0, 1, 3, 7]
    """
    return _WHOLE[np.minimum(k, len(_WHOLE) - 1)]


_WHOLE = np.array([0, *(2 ** (k - 1) - 1 for k in range(1, 50))], np.int64)


def fewest(k: Any, games: int) -> Any:
    """The fewest pairs from which the values of k players, and their errors, can be told.

    games: that share the row. The error of one alone is not evened out by others, and wants more.
    """
    return np.minimum(np.maximum(2 * k, _FEW if games > 1 else 2 * _FEW), whole(k))


_FEW = 32
"""Pairs: with fewer, intervals hold too few of the exact values (`benchmarks/few_answers.py`)."""


def least(table: Table) -> Ints:
    """The answers that each row cannot do without: i64 (r,)."""
    plays = _differing(table).sum(axis=2)
    lowest = fewest(plays, plays.shape[1])
    return np.asarray(2 * lowest.sum(axis=1) + plays.shape[1] + 1, np.int64)


def _allotted(plays: Ints, evaluations: Ints) -> Ints:
    """The pairs of each row's games: i64 (r, b). The smallest are asked in full first."""
    r, b = plays.shape
    full, lowest = whole(plays), fewest(plays, b)
    left = np.maximum(evaluations - b - 1 - 2 * lowest.sum(axis=1), 0) // 2
    wanted = np.minimum(np.sort(full - lowest, axis=1), 2**40)
    spent = np.concatenate([np.zeros((r, 1), np.int64), np.cumsum(wanted, axis=1)], axis=1)
    # the largest number that all games can have beyond their least, of which some need less
    shares = (left[:, None] - spent[:, :-1]) // np.arange(b, 0, -1)
    each = np.where(shares <= wanted, shares, 0).max(axis=1)
    each = lowest + np.where(spent[:, -1] <= left, wanted[:, -1], each)[:, None]
    enough = (full <= each) & (plays <= MOST)
    # a table of 2^n rows and columns is slow: they share their places in the cache
    some = each - (each % 256 == 255)
    if b > 1:
        # few different numbers, so that rows share their designs
        some = _STEPS[np.searchsorted(_STEPS, np.maximum(each, 1), side="right") - 1]
    some = np.minimum(np.clip(some, lowest, _STEPS[-1]), full)
    return np.asarray(np.where(enough, full, some), np.int64)


_STEPS = (2 ** (np.arange(4 * 14 + 1) / 4)).astype(np.int64)
"""Up to 2^14: more pairs of a sampled game would not fit into memory."""


def _differing(table: Table) -> NDArray[np.bool_]:
    """Which players differ between each row and each background row: bool (r, b, p)."""
    apart: NDArray[np.bool_] = table.x[:, None] != table.background
    if np.array_equal(table.groups, np.arange(table.players)):
        return apart
    order = np.argsort(table.groups, kind="stable")
    starts = np.searchsorted(table.groups[order], np.arange(table.players))
    return np.asarray(np.logical_or.reduceat(apart[:, :, order], starts, axis=2), bool)


def _answers(unmade: Unmade, rows: Iterator[Masked], targets: Ints, m: int) -> Doubles:
    """What each of m coalitions gets in each game: f64 (games, m). targets: i64 (games,)."""
    games = np.arange(len(targets))
    out = np.empty((len(targets), m))
    begin = 0
    for some in rows:
        said = unmade(some)
        end = begin + some.masks.count
        out[:, begin:end] = said.reshape(-1, len(games), said.shape[1])[:, games, targets].T
        begin = end
    return out


def _made(
    table: Table, pair: tuple[Ints, Ints], who: Ints, shown: NDArray[np.bool_] | None
) -> Iterator[Masked]:
    """The coalitions `shown`, or all but nobody and everybody, in order, some at a time.

    pair: the row and the background row of each game. who: i64 (games, k), its players.
    """
    row, rival = pair
    games, k = who.shape
    place = np.full((games, table.players), k)
    np.put_along_axis(place, who, np.arange(k)[None], axis=1)
    place = place[:, table.groups]
    x, other = table.x[row], table.background[rival]
    every = Masks(k, 1, 2**k - 2) if shown is None else Masks(k, 0, len(shown), shown)
    for masks in every.parts(max(_ROWS // games, 2)) if every.count else ():
        yield Masked(x, other, place, masks, table.shape)
