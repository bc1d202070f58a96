"""What accuracy alone hides: each class, each slice of the rows, and answers that flip."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Mapping, Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from toolkit import metrics
from toolkit.errors import DataError, near
from toolkit.glossary import Data, Floats, Ints, Measurement

MOST = 100
"""Classes, or values of a column, that are told one by one; of more the largest."""

LEAST_ROWS = 5
"""A group of fewer rows says nothing by itself."""

Groups = dict[str, NDArray[np.bool_]]
"""The end of a measurement's name, such as `class:cat` -> which rows belong to it, bool (n,)."""


def behaviour(
    answers: Mapping[str, Floats],
    test: Data,
    slices: Sequence[str] = (),
    held: Sequence[str] = (),
) -> tuple[Measurement, ...]:
    """Accuracy, points lost and flips of every class and slice; the first subject is the base.

    answers: subject -> f32 (n, k) probabilities of the rows of `test`. slices: columns of a table;
    each category is a slice, of numbers each quarter. held: patterns such as `class:*` of groups
    that are told however small and many they are. `flips` is the share of rows whose answer is
    another than the base's; `calibration_error_change` stands beside it. `right bin:3` is the share
    of right answers among those of which the model was as sure as `sure bin:3` says.
    `accuracy_drop` of a group has an interval that holds for all groups of a kind together
    (Bonferroni), so that the worst of many is not taken for a loss by chance.
    Raises DataError for a column that is not there.
    """
    found: list[Measurement] = []
    kinds = [by_class(test, held), *(by_column(test, column, held) for column in slices)]
    base = next(iter(answers.values()))
    for name, p in answers.items():
        beside = None if p is base else base
        if beside is not None:
            found.append(_flips(name, "", beside, p))
            off = metrics.calibration_change(beside, p, test.y)
            found.append(
                Measurement(
                    name, "calibration_error_change", off.value, "", off.n, off.low, off.high
                )
            )
        for i, (sure, right) in enumerate(metrics.reliability(p, test.y)):
            found.append(
                _points(name, f"right bin:{i}", "%", right.value, right.n, right.low, right.high)
            )
            found.append(Measurement(name, f"sure bin:{i}", 100 * sure, "%", right.n))
        for groups in kinds:
            for end, rows in groups.items():
                other = None if beside is None else beside[rows]
                found += _group(name, f" {end}", p[rows], other, test.y[rows], many=len(groups))
    return tuple(found)


def by_class(test: Data, held: Sequence[str] = ()) -> Groups:
    """The rows of each true class."""
    return _largest({f"class:{c}": test.y == k for k, c in enumerate(test.classes)}, held)


def by_column(test: Data, column: str, held: Sequence[str] = ()) -> Groups:
    """The rows of each category of a column, or of each quarter of its numbers.

    Equal numbers are never parted, so there may be fewer than four.
    Raises DataError when the data has no such column.

    >>> x = np.float32([[1], [2], [3], [4], [5], [6], [7], [8]])
    >>> people = Data(np.repeat(x, 5, axis=0), np.zeros(40, int), ("a", "b"), ("age",))
    >>> list(by_column(people, "age"))
    ['slice:age=to 2.75', 'slice:age=to 4.5', 'slice:age=to 6.25', 'slice:age=above 6.25']
    """
    place = column_of(test, column)
    values = test.x[:, place]
    if place in test.categories:
        names = test.categories[place]
        if not np.isin(values, np.arange(len(names))).all():
            raise DataError(
                f"column '{column}' was scaled", "categories as they are", "leave --scale out"
            )
        each = {f"slice:{column}={n}": values == i for i, n in enumerate(names)}
        return _largest(each, held)
    ends = np.unique(np.quantile(values, (0.25, 0.5, 0.75)))
    ends = ends[ends < values.max()]
    # as many digits as tell them apart, and from the values beside them
    digits = next(d for d in range(4, 18) if len({f"{end:.{d}g}" for end in ends}) == len(ends))
    groups, low = {}, -np.inf
    for high in ends:
        groups[f"slice:{column}=to {high:.{digits}g}"] = (values > low) & (values <= high)
        low = high
    last = f"above {low:.{digits}g}" if len(ends) else "all"
    groups[f"slice:{column}={last}"] = values > low
    return _largest(groups, held)


def column_of(test: Data, column: str) -> int:
    """The place of a column. Raises DataError when there is none of that name."""
    if column not in test.features:
        raise DataError(
            f"no column '{column}' to slice by",
            near(column, test.features) if test.features else "a column of a table",
            "correct the name",
        )
    return test.features.index(column)


def _largest(groups: Groups, held: Sequence[str]) -> Groups:
    """The groups with enough rows; where there are too many, the largest, in their order.

    Those of which something is demanded are among them as soon as they have a row.
    """
    sizes = {end: int(rows.sum()) for end, rows in groups.items()}
    kept = sorted((end for end in groups if sizes[end] >= LEAST_ROWS), key=lambda e: -sizes[e])
    told = {*kept[:MOST], *(end for p in held for end in fnmatch.filter(groups, p) if sizes[end])}
    return {end: groups[end] for end in groups if end in told}


def _group(
    subject: str, end: str, p: Floats, base: Floats | None, y: Ints, *, many: int
) -> Iterator[Measurement]:
    """The figures of one of `many` groups of rows."""
    right = metrics.accuracy(p, y)
    yield _points(subject, f"accuracy{end}", "%", right.value, right.n, right.low, right.high)
    if base is not None:
        z = NormalDist().inv_cdf(1 - 0.025 / many)
        drop = metrics.accuracy_drop(base, p, y, z=z)
        name = f"accuracy_drop{end}"
        yield _points(subject, name, "points", drop.value, drop.n, drop.low, drop.high)
        yield _flips(subject, end, base, p)


def _flips(subject: str, end: str, base: Floats, p: Floats) -> Measurement:
    changed = metrics.share(int((base.argmax(axis=1) != p.argmax(axis=1)).sum()), len(p))
    name = f"flips{end}"
    return _points(subject, name, "%", changed.value, changed.n, changed.low, changed.high)


def _points(  # noqa: PLR0917
    subject: str, name: str, unit: str, value: float, n: int, low: float, high: float
) -> Measurement:
    return Measurement(subject, name, 100 * value, unit, n, 100 * low, 100 * high)
