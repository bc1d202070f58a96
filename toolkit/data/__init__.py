"""load(spec): a named set or a file -> Splits, checked, in raw values. To add a source: a file
here that gives `Raw` arrays, and a line in `load`.
"""

from __future__ import annotations

from pathlib import Path

from toolkit.data import images, named, npz, tables
from toolkit.data.splits import scaled, split
from toolkit.errors import DataError, near
from toolkit.glossary import Splits

__all__ = ["NAMED", "load", "scaled"]

TABLES = (".csv", ".tsv", ".data", ".parquet")
"""Files that are read as tables; all others are taken for an `.npz`."""

NAMED: tuple[str, ...] = tuple(sorted(named.SETS))
"""The names `load` knows; digits, breast_cancer and wine need no network."""


def load(
    spec: str | Path,
    *,
    scale: float = 1.0,
    seed: int = 0,
    label: str = "",
    size: tuple[int, int] | None = None,
) -> Splits:
    """Load a named set, a file or a folder of pictures into parts that share no row.

    A file is an `.npz`, `.csv` or `.parquet`, or the pair `X.npy,Y.npy`; a folder has one folder a
    class. scale: every value of x is multiplied by it (0.003922 turns 0..255 into 0..1). label:
    the label column of a table; without it the usual names, then the last column, are taken.
    size: (height, width) of pictures; without it the commonest.
    Raises DataError in one line for a missing or unreadable source, NaN, an empty set, labels
    outside the classes.

    >>> digits = load("digits")
    >>> digits.test.x.shape, len(digits.test.classes)
    ((450, 8, 8, 1), 10)
    """
    text = str(spec)
    if text in named.SETS:
        raw = named.SETS[text]()
    elif text.count(".npy,") == 1 and text.endswith(".npy"):
        x, y = text.split(".npy,")
        raw = npz.read_pair(Path(f"{x}.npy"), Path(y))
    elif Path(text).is_file():
        path = Path(text)
        raw = tables.read(path, label) if path.suffix.lower() in TABLES else npz.read(path)
    elif Path(text).is_dir():
        raw = images.read(Path(text), size)
    elif Path(text).suffix or "/" in text:
        raise DataError(
            f"no data file at {text}",
            f"an .npz, .csv or .parquet file, a folder of pictures, or one of {', '.join(NAMED)}",
            "check the path",
        )
    else:
        raise DataError(
            f"unknown data set '{text}'",
            near(text, NAMED),
            "or give an .npz, .csv or .parquet file",
        )
    splits = split(raw, seed=seed)
    return splits if scale == 1.0 else scaled(splits, scale)
