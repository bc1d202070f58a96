"""Columns that hold one category together, found by their names and proven by their rows."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from toolkit.glossary import Data

_ROWS = 32_768
_ENDS = re.compile(r"=|_")


def onehot(table: Data) -> dict[str, tuple[int, ...]]:
    """Groups of columns of a table: "job" -> those named job=admin or job_admin, and the like.

    Only where it is sure: two columns or more that share the beginning of their names, each with
    two values at most, of which in every row exactly one column has the higher.

    >>> x = np.float32([[1, 0, 3], [0, 1, 4], [1, 0, 5]])
    >>> onehot(Data(x, np.arange(3), ("a", "b", "c"), ("sex_f", "sex_m", "age_now")))
    {'sex': (0, 1)}
    """
    if table.kind != "tabular" or len(table) == 0:
        return {}
    rows = np.linspace(0, len(table) - 1, min(len(table), _ROWS)).astype(int)
    x = np.asarray(table.x[rows])
    low, high = x.min(axis=0), x.max(axis=0)
    there = (x == high) & (high > low)
    binary = ((x == low) | (x == high)).all(axis=0)
    found: dict[str, tuple[int, ...]] = {}
    taken: set[int] = set()
    for begin, places in _alike(table.features):
        columns = list(places)
        if taken & set(places) or not binary[columns].all():
            continue
        if (there[:, columns].sum(axis=1) == 1).all():
            found[begin] = places
            taken |= set(places)
    return found


def _alike(names: tuple[str, ...]) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Beginnings that several names share, the shortest first, and the columns that have them."""
    places: dict[tuple[str, str], list[int]] = {}
    for i, name in enumerate(names):
        for end in _ENDS.finditer(name):
            if end.start() and end.end() < len(name):
                places.setdefault((name[: end.start()], end.group()), []).append(i)
    for (begin, _), columns in sorted(places.items(), key=lambda one: len(one[0][0])):
        if len(columns) > 1:
            yield begin, tuple(columns)
