"""Rows that are read in chunks, as often as need be: of parts in memory, of files of any length."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.data import tables, unlabelled
from toolkit.errors import DataError
from toolkit.glossary import Data, Floats, Splits

_CHUNK = 2**14


@dataclass(frozen=True, eq=False)
class Source:
    """Rows f32 (rows, ...) that stay where they are.

    name: of the part or the file. sha256: of their values, or of the pictures they are decoded
    from. read(size): chunks of `size` rows in order, the last may be shorter.
    """

    name: str
    rows: int
    sha256: str
    read: Callable[[int], Generator[Floats]]


def of_splits(splits: Splits) -> tuple[Source, ...]:
    """Every part of a data set; a row's place is its place in its part.

    >>> from toolkit.data import load
    >>> [(s.name, s.rows) for s in of_splits(load("wine"))]
    [('train', 107), ('validation', 18), ('calibration', 8), ('test', 45)]
    """
    parts = {**vars(splits.fit), "test": splits.test}
    return tuple(
        of_rows(name, parts[name].x) for name in ("train", "validation", "calibration", "test")
    )


def of_rows(name: str, x: Any) -> Source:
    """An array, or pictures that stay in their files, which are known by the bytes of these.

    Raises DataError for no rows and for a row that is not finite.
    """

    def read(size: int) -> Generator[Floats]:
        for i in range(0, len(x), size):
            yield np.asarray(x[i : i + size], np.float32)

    if hasattr(x, "digests"):
        told = hashlib.sha256(b"".join(x.digests())).hexdigest()
        return Source(name, len(x), told, read)
    return _checked(name, read)


def of_file(path: Path, like: Data, *, scale: float = 1.0, offset: float = 0.0) -> Source:
    """The rows of a file, in the columns, words or shape of `like`; labels are ignored.

    A table is read through once now, so that a bad row is told before work begins, and again
    later; memory is that of a chunk. Other files are those that `unlabelled.rows` reads.
    Raises DataError or MatchError for rows that do not fit.
    """
    if path.suffix.lower() not in tables.TABLES or not path.is_file() or like.kind == "text":
        x = unlabelled.rows(path, like, scale=scale, offset=offset)
        return of_rows(path.name, unlabelled.fitting(x, like))

    def read(size: int) -> Generator[Floats]:
        yield from tables.chunks(path, like, size, scale=scale, offset=offset)

    return _checked(path.name, read)


def _checked(name: str, read: Callable[[int], Generator[Floats]]) -> Source:
    """Count and digest rows. Raises DataError for none, and for one that is not finite."""
    told, rows = hashlib.sha256(), 0
    with closing(read(_CHUNK)) as chunks:
        for x in chunks:
            bad = ~np.isfinite(x).all(axis=tuple(range(1, x.ndim)))
            if bad.any():
                raise DataError(
                    f"row {rows + int(bad.argmax())} of {name} has NaN or infinite values",
                    "finite numbers",
                    "fill in or drop such rows",
                )
            told.update(f"{x.shape[1:]}".encode())
            told.update(np.ascontiguousarray(x).tobytes())
            rows += len(x)
    if rows == 0:
        raise DataError(f"{name} has no rows", "one or more", "check it")
    return Source(name, rows, told.hexdigest(), read)
