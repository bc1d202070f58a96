"""Raw arrays -> checked Splits: one meaning of classes, a stratified split, no row in two parts."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.data.words import fitted, reworded
from toolkit.errors import DataError
from toolkit.glossary import Data, Fit, Floats, Ints, Kind, Splits
from toolkit.shapes import COLOURS

_APART = 20
MOST_CLASSES = 10_000
"""More distinct labels than this is a regression target or an identifier."""

TEST, VALIDATION, CALIBRATION = 0.25, 0.10, 0.05
"""Shares of all rows. The last two are taken from the training rows when a test part is given."""

MOST_VALIDATION, MOST_CALIBRATION = 10_000, 1_000
"""Rows beyond these change an estimate of loss or of a range too little to miss in training."""


@dataclass(frozen=True, eq=False)
class Raw:
    """What a source gives: x (n, ...), y (n,) or one-hot (n, k), in the source's own dtypes.

    Texts are x (n,) of str objects.
    """

    name: str
    x: NDArray[Any]
    y: NDArray[Any]
    x_test: NDArray[Any] | None = None
    y_test: NDArray[Any] | None = None
    x_validation: NDArray[Any] | None = None
    y_validation: NDArray[Any] | None = None
    classes: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)
    categories: dict[int, tuple[str, ...]] = field(default_factory=dict)


def split(raw: Raw, *, seed: int = 0) -> Splits:
    """Check the arrays and part them, stratified by class, the same for the same seed.

    Raises DataError for NaN, infinities, an empty set, lengths or shapes that do not fit, labels
    outside the classes, fewer than two classes.
    """
    texts = raw.x if raw.x.dtype == object else None
    x, kind = _rows(raw.x, "x", fill="missing" in raw.facts)
    labels, classes = _classes(raw)
    y = _indices(labels, raw, classes, "y")
    _paired(x, y, "training")
    if raw.features and (kind != "tabular" or len(raw.features) != x.shape[1]):
        raise DataError(
            f"{len(raw.features)} feature names for rows of shape {x.shape[1:]}",
            "one name a column",
            "correct the feature names",
        )
    names = raw.features or _columns(x, kind)
    data = Data(x, y, classes, names, kind, raw.categories, texts=texts)
    held = _given(raw, data, raw.x_validation, raw.y_validation, "validation")
    test = _given(raw, data, raw.x_test, raw.y_test, "test")
    told: dict[str, Any] = {}
    if test is None and held is not None:
        # training has seen no row of it, though it may have chosen by them
        test, held, told = held, None, {"tested_by": "validation part"}
    train, validation, calibration, test = _parted(data, held, test, seed)
    if len(calibration) == 0 and len(train) > 1:
        # every class is too small to give a row; ranges of values need not all of them
        order = np.random.default_rng(seed).permutation(len(train))
        taken = max(1, round(CALIBRATION * len(train)))
        calibration = train.rows(np.sort(order[:taken]))
        train = train.rows(np.sort(order[taken:]))
    for part, name in ((train, "training"), (validation, "validation"), (test, "test")):
        if len(part) == 0:
            raise DataError(
                f"{len(y)} rows of {len(classes)} classes leave the {name} part empty",
                "at least 20 rows a class",
                "give more rows",
            )
    fit_parts = (train, validation, calibration)
    untested = [name for i, name in enumerate(classes) if not (test.y == i).any()]
    if untested:
        told["untested"] = untested
    seen = _repeated(fit_parts, test)
    facts = {"seed": seed, "scale": 1.0, "offset": 0.0, **seen, **told, **raw.facts}
    if "missing" in raw.facts:
        train, validation, calibration, test = _filled(train, validation, calibration, test)
    splits = Splits(raw.name, Fit(train, validation, calibration), test, _hash(raw), facts)
    if train.texts is None:
        return splits
    return reworded(splits, fitted(train.texts.tolist()))


def _given(raw: Raw, data: Data, x: Any, y: Any, part: str) -> Data | None:
    """A part that the source tells apart from the training rows, checked; None without one."""
    if x is None or y is None:
        return None
    rows, _ = _rows(x, f"x_{part}")
    labels = _indices(_flat(y), raw, data.classes, f"y_{part}")
    _paired(rows, labels, part)
    if rows.shape[1:] != data.x.shape[1:]:
        raise DataError(
            f"{part} rows of shape {rows.shape[1:]} beside training rows of {data.x.shape[1:]}",
            "equal shapes",
            "check the file",
        )
    return replace(data, x=rows, y=labels, texts=None if data.texts is None else x)


def _parted(data: Data, validation: Data | None, test: Data | None, seed: int) -> list[Data]:
    """Training, validation, calibration and test rows; what is not given comes out of `data`."""
    if test is None:
        shares = (1 - TEST - VALIDATION - CALIBRATION, VALIDATION, CALIBRATION, TEST)
        return _parts(data, shares, seed)
    held = min(VALIDATION, MOST_VALIDATION / len(data))
    ranges = min(CALIBRATION, MOST_CALIBRATION / len(data))
    if validation is not None:
        train, calibration = _parts(data, (1 - ranges, ranges), seed)
        return [train, validation, calibration, test]
    train, validation, calibration = _parts(data, (1 - held - ranges, held, ranges), seed)
    return [train, validation, calibration, test]


def scaled(splits: Splits, scale: float, offset: float = 0.0) -> Splits:
    """The same splits with every x multiplied by `scale`, then `offset` added.

    Raises DataError for texts, whose values are indices of words, for tables with columns of
    categories, whose values are codes, and for what is not finite.
    """
    if splits.test.kind == "text" or not np.isfinite([scale, offset]).all() or scale == 0:
        raise DataError(
            f"scale {scale:g} and offset {offset:g} for {splits.test.kind} data",
            "finite numbers, a scale other than 0, and no texts",
            "leave them out",
        )
    if splits.test.categories:
        named = splits.test.features[min(splits.test.categories)]
        raise DataError(
            f"scale {scale:g} and offset {offset:g} for a table with categories, as in '{named}'",
            "columns of numbers",
            "scale numbers in the file, or write categories as numbers",
        )

    def times(data: Data) -> Data:
        if hasattr(data.x, "times"):
            return replace(data, x=data.x.times(scale, offset))
        x = (data.x * np.float32(scale) + np.float32(offset)).astype(np.float32)
        fill = {column: value * scale + offset for column, value in data.fill.items()}
        return replace(data, x=x, fill=fill)

    fit = splits.fit
    # what a device must do is what was done to the values as they were read
    before, shift = splits.facts.get("scale", 1.0), splits.facts.get("offset", 0.0)
    return replace(
        splits,
        fit=Fit(times(fit.train), times(fit.validation), times(fit.calibration)),
        test=times(splits.test),
        facts={**splits.facts, "scale": before * scale, "offset": shift * scale + offset},
    )


def _repeated(fit: tuple[Data, ...], test: Data) -> dict[str, int]:
    """How many rows repeat an earlier one, and how many test rows a row that was trained on."""
    trained = [key for data in fit for key in _keys(data)]
    tested = _keys(test)
    seen = set(trained)
    return {
        "duplicates": len(trained) + len(tested) - len(seen | set(tested)),
        "test_rows_trained_on": sum(key in seen for key in tested),
    }


def _keys(data: Data) -> list[Any]:
    """What tells each row from every other."""
    if data.texts is not None:
        return list(data.texts)
    if hasattr(data.x, "digests"):
        return list(data.x.digests())
    return [hashlib.blake2b(row.tobytes(), digest_size=16).digest() for row in data.x]


def _filled(train: Data, *others: Data) -> list[Data]:
    """Missing numbers replaced by the median of the training rows, 0 where none has one."""
    missing = [np.isnan(part.x) for part in (train, *others)]
    known = [column[~gap] for column, gap in zip(train.x.T, missing[0].T, strict=True)]
    middle = np.array([np.median(v) if len(v) else 0.0 for v in known], np.float32)
    columns = np.flatnonzero(np.any([gaps.any(axis=0) for gaps in missing], axis=0))
    fill = {int(i): float(middle[i]) for i in columns}
    return [
        replace(part, x=np.where(gaps, middle, part.x), fill=fill)
        for part, gaps in zip((train, *others), missing, strict=True)
    ]


_CHANNELS = (1, *COLOURS)


def _rows(x: NDArray[Any], name: str, *, fill: bool = False) -> tuple[Floats, Kind]:
    if hasattr(x, "digests"):
        # pictures that stay in their files
        return x, "image"
    if x.dtype == object:
        # texts become indices when the training part has told the vocabulary
        return np.zeros((len(x), 1), np.float32), "text"
    if x.dtype.kind not in "biuf":
        raise DataError(f"{name} holds {x.dtype}", "numbers", "encode text and categories first")
    if x.ndim < 2 or 0 in x.shape:
        raise DataError(
            f"{name} has the shape {x.shape}",
            "rows of columns (n, features) or pictures (n, height, width[, channels])",
            "give at least one row and one value a row",
        )
    values = np.ascontiguousarray(x, dtype=np.float32)
    if values.ndim == 3:
        values = values[..., None]
    if values.ndim == 4 and values.shape[1] in _CHANNELS and values.shape[3] > max(_CHANNELS):
        # channels first: height and width are told from them by all that looks at pictures
        values = np.ascontiguousarray(np.moveaxis(values, 1, 3))
    finite = np.isfinite(values) | (np.isnan(values) if fill else False)
    bad = np.asarray(~finite.reshape(len(values), -1).all(axis=1))
    if bad.any():
        raise DataError(
            f"{name} has NaN or infinite values in {bad.sum()} of {len(bad)} rows, "
            f"first in row {int(np.argmax(bad))}",
            "finite numbers",
            "fill in or drop those rows",
        )
    return values, "tabular" if values.ndim == 2 else "image"


def _columns(x: Floats, kind: Kind) -> tuple[str, ...]:
    return tuple(f"feature {i}" for i in range(x.shape[1])) if kind == "tabular" else ()


def _flat(y: NDArray[Any]) -> NDArray[Any]:
    """Labels as (n,): one-hot rows become their index, a single column loses its axis."""
    y = np.asarray(y)
    if y.dtype.kind == "S":
        y = np.char.decode(y, "utf-8", "replace")
    if y.ndim == 2 and y.shape[1] > 1:
        if y.dtype.kind not in "biuf" or not (np.isin(y, (0, 1)).all() and (y.sum(1) == 1).all()):
            raise DataError(
                f"labels of shape {y.shape} are not one-hot", "one class a row", "check the labels"
            )
        return np.asarray(y.argmax(axis=1))
    if y.ndim > 2:
        raise DataError(
            f"labels have the shape {y.shape}", "(n,), (n, 1) or one-hot (n, k)", "check the labels"
        )
    return y.reshape(-1)


def _seen(y: NDArray[Any] | None) -> list[Any]:
    return [] if y is None else np.unique(_flat(y)).tolist()


def _classes(raw: Raw) -> tuple[NDArray[Any], tuple[str, ...]]:
    labels = _flat(raw.y)
    if len(labels) == 0:
        raise DataError("the data set is empty", "at least 20 rows a class", "give rows")
    if raw.classes:
        return labels, raw.classes
    if labels.dtype.kind == "f":
        if not np.isfinite(labels).all() or (labels != np.round(labels)).any():
            raise DataError(
                f"label {labels[np.argmax(labels != np.round(labels))]} is not a class",
                "whole numbers or names",
                "this looks like a regression target: give class labels",
            )
        labels = labels.astype(np.int64)
    known = np.unique(labels)
    if np.ndim(raw.y) == 2 and np.shape(raw.y)[1] > 1 and len(known) > 1:
        known = np.arange(np.shape(raw.y)[1])  # a class may have no row
    if labels.dtype.kind in "iu" and known[0] == 0 and known[-1] < MOST_CLASSES:
        every = {*known.tolist(), *(v for y in (raw.y_test, raw.y_validation) for v in _seen(y))}
        # 0 and 255 are two classes, and not 256 of which most are missing
        apart = len(every) == 2 and known[-1] >= _APART
        known = known if apart else np.arange(int(known[-1]) + 1)
    if not 2 <= len(known) <= MOST_CLASSES:
        raise DataError(
            f"{len(known)} distinct labels", f"2 to {MOST_CLASSES} classes", "check the label array"
        )
    return labels, tuple(str(value) for value in known)


def _indices(labels: NDArray[Any], raw: Raw, classes: tuple[str, ...], name: str) -> Ints:
    """Map labels to indices into `classes`; labels are indices already when names were given."""
    if labels.dtype.kind == "f" and (labels == np.round(labels)).all():
        labels = labels.astype(np.int64)
    if raw.classes and labels.dtype.kind in "biu":
        index = labels.astype(np.int64)
        outside = (index < 0) | (index >= len(classes))
    else:
        place = {value: i for i, value in enumerate(classes)}
        index = np.array([place.get(str(value), -1) for value in labels], np.int64)
        outside = index < 0
    if outside.any():
        shown = ", ".join(classes[:10]) + (", ..." if len(classes) > 10 else "")
        raise DataError(
            f"{name} has the label {labels[np.argmax(outside)]} in row {int(np.argmax(outside))}",
            f"one of the {len(classes)} classes {shown}",
            "correct the labels or the class names",
        )
    return index


def _paired(x: Floats, y: Ints, part: str) -> None:
    if len(x) != len(y):
        raise DataError(
            f"{len(x)} {part} rows but {len(y)} labels", "one label a row", "check the arrays"
        )


def _parts(data: Data, shares: tuple[float, ...], seed: int) -> list[Data]:
    """Part the rows by class, each part's share of a class exact to one row."""
    rng = np.random.default_rng(seed)
    picked: list[list[Ints]] = [[] for _ in shares]
    for label in range(len(data.classes)):
        rows = rng.permutation(np.flatnonzero(data.y == label))
        ends = np.round(np.cumsum((0.0, *shares)) * len(rows)).astype(int)
        for part, (start, end) in enumerate(pairwise(ends)):
            picked[part].append(rows[start:end])
    return [data.rows(np.sort(np.concatenate(rows))) for rows in picked]


def _hash(raw: Raw) -> str:
    digest = hashlib.sha256()
    held = (raw.x_validation, raw.y_validation)
    for array in (raw.x, raw.y, raw.x_test, raw.y_test, *held):
        if array is not None:
            digest.update(f"{array.dtype}{array.shape}".encode())
            if hasattr(array, "digests"):
                digest.update(b"".join(array.digests()))
            elif array.dtype == object:
                digest.update("\n".join(array.tolist()).encode("utf-8", "surrogatepass"))
            else:
                digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
