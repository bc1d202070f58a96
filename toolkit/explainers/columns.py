"""Columns of a table as LIME sees them: bins, categories, or numbers around their mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from toolkit.glossary import Data, Doubles, Ints

_ROWS = 32_768
"""Rows that tell quantiles and frequencies: more of them would change no digit that is shown."""


@dataclass(frozen=True, eq=False)
class Column:
    """The values of one column in m parts: its categories, its bins, or all of it as one part.

    edges: f64 (m - 1,), bins end at these, inclusively; None for categories. share: f64 (m,), of
    rows. mean, spread, low, high: f64 (m,), of the values in a part. kept: whether the linear model
    is given the number itself, and not whether it lies in the part of the row.
    """

    edges: Doubles | None
    share: Doubles
    mean: Doubles
    spread: Doubles
    low: Doubles
    high: Doubles
    kept: bool = False

    def values(self, u: Doubles) -> Doubles:
        """Draw by the inverse of the distribution function: u f64 (n,) in 0..1 -> f64 (n,).

        A part by its share, and in it a normal distribution that is cut off at both ends. A part
        that holds a single value gives it; lime 0.2.0.1 gives 0 there.
        """
        from scipy.special import ndtr, ndtri

        u = _inside(u)
        if self.kept:
            return np.asarray(self.mean[0] + self.spread[0] * ndtri(u))
        ends = np.cumsum(self.share)
        ends /= ends[-1]  # so that no part without a share lies behind the last
        part = np.minimum(np.searchsorted(ends, u, side="right"), len(ends) - 1)
        single = self.spread == 0
        spread = np.where(single, 1, self.spread)
        below = ndtr((self.low - self.mean) / spread)
        within = ndtr((self.high - self.mean) / spread) - below
        place = _inside((u - (ends - self.share)[part]) / self.share[part])
        drawn = self.mean[part] + spread[part] * ndtri(below[part] + within[part] * place)
        return np.where(
            single[part], self.mean[part], np.clip(drawn, self.low[part], self.high[part])
        )

    def part(self, values: Doubles) -> Ints:
        """The part in which each value lies; -1 for a category that no row has."""
        if self.edges is not None:
            return np.searchsorted(self.edges, values).astype(np.int64)
        place = np.minimum(np.searchsorted(self.mean, values), len(self.mean) - 1)
        return np.where(self.mean[place] == values, place, -1).astype(np.int64)

    def code(self, values: Doubles) -> Doubles:
        """The part of each value, or of numbers that are kept their place: f64 (n,)."""
        if self.kept:
            return np.asarray((values - self.mean[0]) / (self.spread[0] or 1.0))
        return self.part(values).astype(np.float64)

    def usual(self, own: float) -> float:
        """The mean over the rows of the table of what the linear model sees beside `own`."""
        part = self.part(np.array([own]))[0]
        return 0.0 if self.kept or part < 0 else float(self.share[part])


def columns(table: Data, bins: int) -> tuple[Column, ...]:
    """The columns of a table: categories as they are, numbers in `bins` of equal share.

    With 0 bins numbers are drawn from a normal distribution and given to the linear model in
    standard deviations from the mean.

    >>> x = np.arange(8, dtype=np.float32)[:, None]
    >>> (one,) = columns(Data(x, np.zeros(8, np.int64), ("a",)), 4)
    >>> one.edges.tolist(), one.part(np.array([0.0, 6.0])).tolist()
    ([1.75, 3.5, 5.25], [0, 3])
    """
    step = -(-len(table) // _ROWS)
    x = np.asarray(table.x[::step], np.float64)
    codes = set(table.categories)
    return tuple(_column(x[:, j], j in codes, bins) for j in range(x.shape[1]))


def _column(values: Doubles, category: bool, bins: int) -> Column:
    if category:
        found, counts = np.unique(values, return_counts=True)
        nothing = np.zeros(len(found))
        return Column(None, counts / len(values), found, nothing, found, found)
    if not bins:
        mean, spread = values.mean(keepdims=True), values.std(keepdims=True)
        ends = values.min(keepdims=True), values.max(keepdims=True)
        return Column(np.zeros(0), np.ones(1), mean, spread, *ends, kept=True)
    edges = np.unique(np.percentile(values, np.linspace(0, 100, bins + 1)[1:-1]))
    part = np.searchsorted(edges, values)
    # a bin that no row lies in has no share, and is never drawn
    members: Sequence[Doubles] = [
        values[part == i] if (part == i).any() else np.zeros(1) for i in range(len(edges) + 1)
    ]
    share = np.bincount(part, minlength=len(members)) / len(values)
    single = np.array([m.min() == m.max() for m in members])
    mean = np.array([m[0] if one else m.mean() for m, one in zip(members, single, strict=True)])
    spread = np.where(single, 0, [m.std() for m in members])
    # a bin begins above the edge before it
    low = np.concatenate([[values.min()], np.nextafter(np.float32(edges), np.float32(np.inf))])
    high = np.concatenate([edges, [values.max()]])
    return Column(edges, share, mean, spread, low, high)


def _inside(u: Doubles) -> Doubles:
    """Keep u off 0 and 1, where a normal distribution has no end."""
    return np.clip(u, 1e-12, 1 - 1e-12)


def label(name: str, column: Column, own: float, values: tuple[str, ...] = ()) -> str:
    """What a column of the row says, as lime writes it: "3.50 < age <= 5.25", "town=Rome"."""
    if column.kept:
        return name
    part = int(column.part(np.array([own]))[0])
    if column.edges is None:
        code = int(own)
        return f"{name}={values[code] if 0 <= code < len(values) else f'{own:g}'}"
    above = f"{column.edges[part - 1]:.2f} < " if 0 < part < len(column.edges) else ""
    if part == len(column.edges) > 0:
        return f"{name} > {column.edges[-1]:.2f}"
    return f"{above}{name} <= {column.edges[part]:.2f}" if len(column.edges) else name


def rows(every: Sequence[Column], u: Doubles) -> Doubles:
    """Rows f64 (n, p) drawn from u f64 (n, p) in 0..1, each column by itself."""
    return np.stack([c.values(u[:, j]) for j, c in enumerate(every)], axis=1)


def coded(every: Sequence[Column], values: Doubles) -> Doubles:
    """The codes of rows, f64 (n, p): parts by number, numbers that are kept as they lie."""
    return np.stack([c.code(values[:, j]) for j, c in enumerate(every)], axis=1)


def seen(every: Sequence[Column], codes: Doubles, own: Doubles) -> Doubles:
    """What the linear model sees of rows: f64 (n, p), from their codes and those of one row (1, p).

    A number that is kept, else 1 in the part in which the one row lies and 0 elsewhere.
    """
    kept = np.array([c.kept for c in every])
    return np.where(kept, codes, codes == own)
