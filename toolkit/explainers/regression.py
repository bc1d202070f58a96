"""Shapley values and their standard errors from the answers to a design: two linear smoothers.

Least squares is KernelSHAP over pairs (Covert and Lee 2021). Kriging takes the game to be a draw
from a Gaussian process, a sum of products of 1, 3, ... 9 players' signs (the odd part): where
coalitions are scarce, what three players do together is no longer mistaken for what one does. Where
it is known beforehand that some players can do little, as patches of a picture that hardly differ
from what hides them, products vary with the weights of their players. What it expects is wrong in
the same direction in every game of a model, so its mistakes do not average out over a background.
They are taken off by the difference estimator of survey sampling (Saerndal, Swensson and Wretman
1992): asked pairs stand for those of their size that were not asked with how far they lie from what
is expected of them without their own shuffle. All give the values of a linear game without error
and sum to prediction less base. Standard errors are those of leaving out one shuffle after another.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import comb
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.explainers.designs import Design, drawn, sizes, ways
from toolkit.explainers.players import Coalitions
from toolkit.glossary import Doubles, Ints
from toolkit.seeding import in_one_order

PRIOR = {3: 1.0, 5: 0.1, 7: 0.02, 9: 0.005}
"""How much products of so many signs vary, each degree as a whole; single signs as they like."""

NOISE = 0.02
"""What products of more than nine signs add, for each coalition by itself."""

TOGETHER, EQUALLY, MORE_NOISE = 2.5, 0.2, 0.1
"""The sum of all players' weights, the part of it that is shared out equally, and what products
that the weights are wrong about add."""

_LARGE = 2**22
"""A table of more numbers, 32 MiB, is made for some players after others."""

_SHARED = 2**12
"""OpenBLAS shares sums of more than 10,000 products among threads."""

Blocks = list[tuple[Ints, NDArray[Any]]]

KEPT = 2**28
"""Bytes of smoothers that stay in memory; one of 4,096 pairs has 128 MiB."""


@dataclass(frozen=True, eq=False)
class Smoother:
    """Values are linear in the answers: gain f64 (k, m) of the pairs, share f64 (k,) of the sum.

    influence: f64 (k, m), how far each value moves with how far an answer is off. others: f64
    (m, m + 1), which gives that from all answers and the sum; None where it is what the fit leaves.
    """

    design: Design
    signs: Doubles
    gain: Doubles
    share: Doubles
    influence: Doubles
    others: Doubles | None = None

    @property
    def nbytes(self) -> int:
        """The memory of its tables, of which the square one outweighs the rest."""
        tables = self.signs, self.gain, self.influence, self._moved, self.others
        return sum(t.nbytes for t in tables if t is not None)

    @property
    def shown(self) -> Coalitions:
        """The coalitions to ask, bool (m, k); their complements are asked as well."""
        return self.design.shown

    def values(self, pairs: Doubles, total: Doubles) -> tuple[Doubles, Doubles]:
        """Shapley values and their variances, f64 (r, k) each, of r games.

        pairs: f64 (r, m), v(S) - v(not S). total: f64 (r,), v(all) - v(none).
        Each sum runs along the pairs of its own game, so that no value depends on its company.
        """
        found = _dots(self.gain, pairs) + self.share * total[:, None]
        left = self._left_out(pairs, total, found)
        return found, _variance(self.design, self.influence, left, self._moved)

    @cached_property
    def _moved(self) -> Doubles | None:
        """What `_moving` gives of all players, where that is not large."""
        large = len(self.influence) * len(self.design.together[0]) > _LARGE
        return None if large else _moving(self.design, self.influence)

    def _left_out(self, pairs: Doubles, total: Doubles, found: Doubles) -> Doubles:
        """How far each answer lies from what the others say of it: f64 (r, m)."""
        if self.others is None:
            return np.asarray(pairs - np.einsum("mj,rj->rm", self.signs, found))
        both = np.concatenate([pairs, total[:, None]], axis=1)
        return _dots(self.others, both)


def _dots(table: Doubles, rows: Doubles) -> Doubles:
    """Each row of rows (r, m) times each of a table (k, m): f64 (r, k), by sums of one row alone.

    A long sum BLAS would share among as many threads as there are.
    """
    if rows.shape[1] > _SHARED:
        return np.asarray(np.einsum("jm,rm->rj", table, rows))
    return np.asarray(np.vecdot(table[None], rows[:, None]))


def _moving(design: Design, influence: Doubles) -> Doubles:
    """How far two answers of one shuffle move the variances together: f64 (k, t)."""
    first, second, counts = design.together
    wide = influence.astype(np.float64, copy=False)
    # taken, so that each player's lie side by side in memory
    found = np.take(wide, first, axis=1)
    found *= np.take(wide, second, axis=1)
    found *= counts
    return found


def _variance(
    design: Design, influence: Doubles, left: Doubles, moved: Doubles | None = None
) -> Doubles:
    """Variances, f64 (r, k), of values that move by `influence`, f64 (k, m), times what is `left`,
    f64 (r, m): sums of squares of whole shuffles, multiplied out so that they are one product.

    moved: what `_moving` gives, where it is kept; else it is made for some players after others.
    """
    first, second, _ = design.together
    both = np.take(left, first, axis=1)
    both *= np.take(left, second, axis=1)
    step = max(_LARGE // len(first), 1)
    parts = [influence[i : i + step] for i in range(0, len(influence), step)]
    some = (_moving(design, part) for part in parts) if moved is None else (moved,)
    variance = np.concatenate([_dots(one, both) for one in some], axis=1)
    for its, counts in design.means:
        variance -= counts * _dots(influence[:, its], left[:, its]) ** 2
    return np.asarray(np.maximum(variance, 0.0))


_kept: dict[tuple[int, int, int, bool], Smoother] = {}
_lock = Lock()


def smoother(k: int, pairs: int, seed: int, *, kriging: bool) -> Smoother:
    """The design of `pairs` pairs of k players that `seed` draws, ready to be used.

    Those used last are kept, up to `KEPT` bytes of them: texts have as many games as lengths.
    """
    key = k, pairs, seed, kriging
    with _lock:
        found = _kept.pop(key, None)
        if found is not None:
            _kept[key] = found
            return found
    found = _made(*key)
    with _lock:
        _kept[key] = found
        over = sum(s.nbytes for s in _kept.values()) - KEPT
        while over > 0:
            over -= _kept.pop(next(iter(_kept))).nbytes
    return found


def _made(k: int, pairs: int, seed: int, kriging: bool) -> Smoother:
    design = drawn(k, pairs, np.random.default_rng([seed, k, pairs]))
    signs = np.where(design.shown, 1.0, -1.0)
    with in_one_order():
        return (_kriging if kriging else _least_squares)(design, signs)


def _least_squares(design: Design, signs: Doubles) -> Smoother:
    """Argmin of sum w (y - signs . phi)^2 among the phi that sum to the total."""
    weighted = signs.T * design.weights
    inverse = np.linalg.inv(weighted @ signs)
    free = inverse @ weighted
    one = inverse.sum(axis=1)
    share = one / one.sum()
    gain = np.ascontiguousarray(free - np.outer(share, free.sum(axis=0)))
    # of what is left, an answer that determines its own fit hides the more
    hidden = np.maximum(1 - (signs.T * gain).sum(axis=0), 1e-3)
    return Smoother(design, signs, gain, share, gain / hidden)


def _kriging(design: Design, signs: Doubles) -> Smoother:
    """The mean of the Shapley values given the answers, corrected by what the answers differ."""
    m, k = signs.shape
    ends = _with_all(signs)
    apart = np.rint((k - ends @ ends.T) / 2).astype(np.int64)
    absent = (ends < 0).sum(axis=1)
    others = absent[None, :] - (ends.T < 0)
    covariance = np.zeros((m + 1, m + 1))
    cross = np.zeros((k, m + 1))
    for degree, size in PRIOR.items():
        if degree > k:
            continue
        # of a product of d signs each of its players gets 2 / d, and 1 in k / d holds a player
        covariance += 4 * size * _products(k, degree)[apart]
        cross += 4 * size / k * ends.T * _products(k - 1, degree - 1)[others]
    found = _corrected(design, ends, (covariance, cross), NOISE)
    left = np.ascontiguousarray(_alone(found.root.T @ found.root[:, :m], found.blocks).T)
    return Smoother(design, signs, found.weights[:, :m], found.weights[:, m], found.influence, left)


def weighed(
    plain: Smoother, effect: Doubles, pairs: Doubles, total: float
) -> tuple[Doubles, Doubles]:
    """One game's values and variances, f64 (k,), where not all players are able to do as much.

    effect: f64 (k,), at least 0, how much each may do, in any unit; no answer may be in it, so that
    the values stay linear in the answers. pairs: f64 (m,). The product of some players' signs
    varies by the product of their weights. What is used once is made in single precision; values of
    a linear game are exact in double.
    """
    design = plain.design
    share = effect / effect.sum() if effect.any() else np.full(len(effect), 1 / len(effect))
    weights = np.minimum(TOGETHER * (EQUALLY / len(effect) + (1 - EQUALLY) * share), 0.9)
    ends, told = _with_all(plain.signs), np.append(pairs, total)
    single = ends.astype(np.float32)
    with in_one_order():
        found = _corrected(design, single, _by_weight(single, weights), MORE_NOISE)
        # what single players do leaves nothing, in whatever precision
        rest = told - ends @ (_squares(ends) @ told)
        left = _alone(((found.root @ rest) @ found.root)[None, :-1], found.blocks)
        values = found.weights @ told
    return values, _variance(design, found.influence, left)[0]


def _with_all(signs: NDArray[Any]) -> NDArray[Any]:
    """The signs of the coalitions asked, and of everybody: (m + 1, k)."""
    return np.concatenate([signs, np.ones_like(signs[:1])])


def _by_weight(ends: NDArray[Any], weights: Doubles) -> tuple[NDArray[Any], NDArray[Any]]:
    """Covariances of the answers and of the values with these, all products of three and more.

    The sum over all sets of players of the products of w, s and t is the product of 1 + w s t;
    its odd part is a hyperbolic sine. The share 1 / |T| of a set is the integral of x^(|T| - 1).
    In the precision of `ends`.
    """
    kind = ends.dtype
    grown, shrunk = np.log1p(weights), np.log1p(-weights)
    scale, slope = np.exp((grown + shrunk).sum() / 2), (grown - shrunk) / 2
    size = 4 / (scale * np.sinh(slope.sum()) - weights.sum())
    covariance = np.exp((ends * slope.astype(kind)) @ ends.T)
    covariance -= 1 / covariance
    covariance *= kind.type(size * scale / 2)
    covariance -= (ends * (size * weights).astype(kind)) @ ends.T
    cross = np.zeros(ends.T.shape, kind)
    for x, part in zip(*_INTEGRAL, strict=True):
        # of the other players an even number, but for none
        grown, shrunk = np.log1p(x * weights), np.log1p(-x * weights)
        slopes, middle = ends * ((grown - shrunk) / 2).astype(kind), (grown + shrunk) / 2
        power = np.exp(slopes.sum(axis=1, keepdims=True) - slopes)
        even = (power + 1 / power) * (np.exp(middle.sum() - middle) / 2).astype(kind) - 1
        cross += (even * ends * (part * size * weights).astype(kind)).T
    return covariance, cross


def _nodes() -> tuple[Doubles, Doubles]:
    """Gauss and Legendre's places and weights on 0..1, exact for polynomials of degree 11."""
    places, weights = np.polynomial.legendre.leggauss(6)
    return (places + 1) / 2, weights / 2


_INTEGRAL = _nodes()


@dataclass(frozen=True, eq=False)
class _Corrected:
    """What answers and sum are multiplied by, f64 (k, m + 1), and how far off an answer moves it.

    influence: f64 (k, m). root: (m + 1, m + 1), of which root^T root y is what y leaves, inversely
    weighed. blocks: of shuffles of one size the places, i64 (n, size), and what takes their own
    part out of that, (n, size, size).
    """

    weights: Doubles
    influence: Doubles
    root: NDArray[Any]
    blocks: Blocks


def _corrected(
    design: Design, ends: NDArray[Any], likeness: tuple[NDArray[Any], NDArray[Any]], noise: float
) -> _Corrected:
    """The process's mean of the values, and its mistakes taken off, in the precision of `ends`.

    likeness: covariances of the answers and all, (m + 1, m + 1), which is used up, and of the
    values with these, (k, m + 1), but for what single players do, which may be anything.
    """
    from scipy.linalg.lapack import get_lapack_funcs

    (m, k), (covariance, cross), kind = design.shown.shape, likeness, ends.dtype
    covariance.flat[:: m + 2] += kind.type(4 * noise)
    # the two ends are known
    covariance[m, m] -= kind.type(4 * noise * (1 - 1e-3))
    factored, inverted = get_lapack_funcs(("potrf", "trtri"), (covariance,))
    low, wrong = factored(covariance.T, lower=1, clean=1, overwrite_a=1)
    root, singular = inverted(low, lower=1, overwrite_c=1)
    if wrong or singular:
        raise np.linalg.LinAlgError(f"a likeness of {m} pairs of {k} players has no inverse")
    # single signs by generalised least squares (universal kriging), the rest by its likeness
    basis, upper = np.linalg.qr(root @ ends)
    single = basis.T @ root
    root -= basis @ single
    weights = np.linalg.solve(upper, single) + (cross @ root.T) @ root
    blocks = _own(root, design)
    # what a process with noise leaves of each answer, and what it leaves without its shuffle
    part, times = _shares(design)
    over = 4 * noise * part + _alone(part * (times - 1), blocks)
    influence = (weights[:, :m] + part * times) / 2
    weights = weights.astype(np.float64) + (over.astype(kind) @ root[:, :m].T) @ root
    return _Corrected(_linear(weights, ends.astype(np.float64)), influence, root, blocks)


def _linear(weights: Doubles, ends: Doubles) -> Doubles:
    """The nearest weights that sum to the total and tell a linear game without error."""
    k = len(weights)
    over = weights.sum(axis=0)
    over[-1] -= 1
    weights = weights - over / k
    return weights + (np.eye(k) - weights @ ends) @ _squares(ends)


def _squares(ends: Doubles) -> Doubles:
    """Single signs by least squares of the answers and the sum: f64 (k, m + 1)."""
    return np.asarray(np.linalg.solve(ends.T @ ends, ends.T), np.float64)


def _own(root: NDArray[Any], design: Design) -> Blocks:
    """What the answers of a shuffle leave of each other, inverted; those of one size together."""
    ends = np.append(design.bunches[1:], len(design.shown))
    blocks = []
    for size in np.unique(ends - design.bunches).tolist():
        begin = design.bunches[ends - design.bunches == size]
        places = begin[:, None] + np.arange(size)
        columns = root.T[places]
        blocks.append((places, np.linalg.inv(columns @ columns.transpose(0, 2, 1))))
    return blocks


def _alone(left: NDArray[Any], blocks: Blocks) -> NDArray[Any]:
    """What is left of each answer, (r, m), as it is where its own shuffle is not known."""
    out = np.empty_like(left)
    for places, block in blocks:
        out[:, places] = np.einsum("rni,nij->rnj", left[:, places], block)
    return out


def _shares(design: Design) -> tuple[Doubles, Doubles]:
    """What a pair adds to each value by Shapley's formula, f64 (k, m), and how many of its size
    each pair asked stands for, f64 (m,).
    """
    k = design.shown.shape[1]
    size = design.shown.sum(axis=1)
    many = np.array([ways(k, int(s)) for s in size], np.float64)
    part = np.where(design.shown.T, 1 / (size * many), -1 / ((k - size) * many))
    return part, sizes(k)[size - 1] / np.bincount(size)[size]


def _products(k: int, degree: int) -> Doubles:
    """The mean product of `degree` of k signs of which h are minus: f64 (k + 1,), h = 0 to k."""
    return np.array(
        [
            sum((-1) ** j * comb(h, j) * comb(k - h, degree - j) for j in range(degree + 1))
            / comb(k, degree)
            for h in range(k + 1)
        ]
    )
