"""Rows that are read in chunks, as often as need be: of parts in memory, of files of any length."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.data import tables, unlabelled
from toolkit.errors import DataError
from toolkit.glossary import Data, Floats, Splits

_CHUNK = 2**14

Marks = NDArray[np.uint64]


@dataclass(frozen=True, eq=False)
class Source:
    """Rows f32 (rows, ...) that stay where they are.

    name: of the part or the file. sha256: of their values, or of the pictures they are decoded
    from. read(size): chunks of `size` rows in order, the last may be shorter. marks: u64 (rows,),
    by which a row of a file is known again; None of what is not read from a file twice.
    """

    name: str
    rows: int
    sha256: str
    read: Callable[[int], Generator[Floats]]
    marks: Marks | None = None

    def again(self, size: int) -> Generator[Floats]:
        """The rows once more. Raises DataError where they are no longer those of the first time."""
        start = 0
        for x in self.read(size):
            if self.marks is not None and not np.array_equal(
                self.marks[start : start + len(x)], marks_of(x)
            ):
                raise self._changed()
            start += len(x)
            yield x
        if start != self.rows:
            raise self._changed()

    def _changed(self) -> DataError:
        return DataError(
            f"{self.name} changed while its rows were explained",
            "the rows that were there when it was first read",
            "explain a copy that nobody writes to",
        )


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
    told, rows, marks = hashlib.sha256(), 0, []
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
            marks.append(marks_of(x))
            rows += len(x)
    if rows == 0:
        raise DataError(f"{name} has no rows", "one or more", "check it")
    return Source(name, rows, told.hexdigest(), read, np.concatenate(marks))


def marks_of(x: Floats) -> Marks:
    """A number for each row f32 (n, ...), another one for other bits but once in 2^32: u64 (n,)."""
    flat = np.ascontiguousarray(x, np.float32).reshape(len(x), math.prod(x.shape[1:]))
    bits = flat.view(np.uint32)
    # a sum of products with drawn odd numbers (Dietzfelbinger 1996)
    factors = np.random.default_rng(0).integers(0, 2**63, bits.shape[1], np.uint64) << 1 | 1
    return np.asarray((bits.astype(np.uint64) * factors).sum(axis=1), np.uint64)
