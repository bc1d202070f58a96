"""Pictures that stay in their files: an array in all that reading rows needs, in bounded memory."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.data.decoding import pixels
from toolkit.errors import MatchError
from toolkit.glossary import Floats

_THREADS = 4


@dataclass(frozen=True)
class Pictures:
    """Rows f32 (n, ...) that are decoded when an index or a slice asks for them.

    Values are scale * pixel + offset. form: the shape of one row, (height, width, channels) or
    another with as many values.
    """

    files: tuple[Path, ...]
    size: tuple[int, int]
    channels: int
    form: tuple[int, ...] = ()
    scale: float = 1.0
    offset: float = 0.0

    dtype = np.dtype(np.float32)

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, ...), as of an array."""
        return (len(self.files), *(self.form or (*self.size, self.channels)))

    @property
    def ndim(self) -> int:
        """The number of axes, rows included."""
        return len(self.shape)

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: Any) -> Floats:
        """Decode the rows of an index, a slice, a mask or several indices."""
        if isinstance(index, int | np.integer):
            return np.asarray(self[index : index + 1 or None][0])
        files = self.rows(index).files
        with ThreadPoolExecutor(_THREADS) as pool:
            found = list(pool.map(lambda path: pixels(path, self.size, self.channels), files))
        x = np.stack(found).astype(np.float32) if found else np.zeros((0, *self.shape[1:]))
        if (self.scale, self.offset) != (1.0, 0.0):
            x = x * np.float32(self.scale) + np.float32(self.offset)
        return np.asarray(x, np.float32).reshape(len(files), *self.shape[1:])

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        """All rows in memory; numpy calls it."""
        return self[:].astype(dtype or np.float32)

    def rows(self, index: Any) -> Pictures:
        """Some of the rows, still in their files."""
        if isinstance(index, slice):
            return replace(self, files=self.files[index])
        picked = np.arange(len(self.files))[index]
        return replace(self, files=tuple(self.files[i] for i in picked))

    def shaped(self, form: tuple[int, ...]) -> Pictures:
        """The same values in rows of another shape. Raises MatchError for another number."""
        if np.prod(form) != np.prod(self.shape[1:]):
            raise MatchError(f"rows of shape {self.shape[1:]}", f"{form}", "give --size")
        return replace(self, form=tuple(form))

    def times(self, scale: float, offset: float) -> Pictures:
        """Every value multiplied by `scale`, then `offset` added."""
        return replace(self, scale=self.scale * scale, offset=self.offset * scale + offset)

    def digests(self) -> list[bytes]:
        """What tells each row's file from every other: the SHA-256 of its bytes."""
        return [_digest(path, path.stat().st_mtime_ns) for path in self.files]


@lru_cache(maxsize=2**20)
def _digest(path: Path, changed: int) -> bytes:  # noqa: ARG001  # asks anew when the file changes
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").digest()
