"""Rows without labels, to learn from a teacher alone: as the rows of a data set, checked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from toolkit.data import images, npz, tables, texts
from toolkit.data.streams import Pictures
from toolkit.data.words import encoded
from toolkit.errors import DataError
from toolkit.glossary import Data, Floats
from toolkit.shapes import in_shape

_CHUNK = 2**16


def rows(spec: str | Path, like: Data, *, scale: float = 1.0, offset: float = 0.0) -> Floats:
    """Read rows f32 (n, ...) of the same kind and shape as those of `like`; labels are ignored.

    An `.npz` or `.npy` of numbers, a folder of pictures in any order (left in its files when
    large), a table with the columns of `like`, a `.txt` of one text a line. scale, offset: as for
    the data itself. Raises DataError or MatchError for rows that do not fit.
    """
    path = Path(spec)
    if not path.exists():
        raise DataError(
            f"no unlabelled rows at {path}",
            "an .npz, .npy, table, .txt or folder of pictures",
            "check --unlabelled",
        )
    if like.kind == "text":
        if like.words is None or path.suffix.lower() != ".txt":
            raise DataError(f"{path} as unlabelled texts", "a .txt, one text a line", "write one")
        return encoded(texts.lines(path), like.words)
    x: Any
    if path.is_dir():
        x = images.unsorted(path, tuple(like.x.shape[1:]))
    elif path.suffix.lower() in tables.TABLES:
        none = np.zeros((0, len(like.features)), np.float32)
        x = np.concatenate([none, *tables.chunks(path, like, _CHUNK, scale=scale, offset=offset)])
        scale, offset = 1.0, 0.0  # is done
    else:
        x = npz.rows(path)
    if isinstance(x, Pictures):
        return x.times(scale, offset)  # type: ignore[return-value]
    if x.dtype.kind not in "biuf" or len(x) == 0 or not np.isfinite(x).all():
        raise DataError(f"{path} as unlabelled rows", "finite numbers, one row or more", "check it")
    values: Floats = x.astype(np.float32)
    if (scale, offset) != (1.0, 0.0):
        values = values * np.float32(scale) + np.float32(offset)
    return values


def fitting(x: Any, like: Data) -> Any:
    """Unlabelled rows in the shape of labelled ones. Raises MatchError, or DataError for NaN."""
    fits = in_shape(x, tuple(like.x.shape[1:]))
    if isinstance(fits, np.ndarray) and not np.isfinite(fits).all():
        raise DataError(
            "unlabelled rows hold NaN or infinite values", "finite numbers", "drop them"
        )
    return fits
