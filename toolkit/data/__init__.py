"""load(spec): a named set or a file -> Splits, checked, in raw values. To add a source: a file
here that gives `Raw` arrays, and a line in `load`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from toolkit.data import images, named, npz, tables, texts, words
from toolkit.data.splits import Raw, scaled, split
from toolkit.data.words import reworded
from toolkit.errors import DataError, near
from toolkit.glossary import Splits

__all__ = ["NAMED", "load", "reworded", "scaled", "words"]

NAMED: tuple[str, ...] = tuple(sorted(named.SETS))
"""The names `load` knows; digits, breast_cancer and wine need no network."""


def load(
    spec: str | Path,
    *,
    scale: float = 1.0,
    offset: float = 0.0,
    seed: int = 0,
    label: str = "",
    text: str = "",
    size: tuple[int, ...] | None = None,
    drop: Sequence[str] = (),
) -> Splits:
    """Load a named set, a file or a folder of pictures into parts that share no row.

    A file is an `.npz`, `.csv` or `.parquet`, or the pair `X.npy,Y.npy`; a folder has one folder a
    class, of pictures or of .txt files. Texts are also `POS.txt,NEG.txt`, one a line and a file a
    class, or one .txt of lines LABEL <tab> TEXT.
    scale, offset: x becomes scale * x + offset (0.003922 turns 0..255 into 0..1). label:
    the label column of a table; without it the usual names, then the last column, are taken.
    text: its column of texts, by which alone rows are classified. size: (height, width) of
    pictures, or with the channels, 1 or 3; without it the commonest. drop: columns of a table to
    leave out.
    Raises DataError in one line for a missing or unreadable source, NaN, an empty set, labels
    outside the classes.

    >>> digits = load("digits")
    >>> digits.test.x.shape, len(digits.test.classes)
    ((450, 8, 8, 1), 10)
    """
    splits = split(_raw(str(spec), label, text, size, drop), seed=seed)
    return splits if (scale, offset) == (1.0, 0.0) else scaled(splits, scale, offset)


def _raw(
    spec: str, label: str, text: str, size: tuple[int, ...] | None, drop: Sequence[str]
) -> Raw:
    """The arrays that `spec` names."""
    path = Path(spec)
    is_table = path.suffix.lower() in tables.TABLES
    for asked, name in ((drop, "--drop"), (label, "--label"), (text, "--text")):
        if asked and not is_table:
            raise DataError(f"{name} for {spec}", "a table", f"leave out {name}")
    if size and not path.is_dir():
        raise DataError(f"--size for {spec}", "a folder of pictures", "leave out --size")
    if spec in named.SETS:
        return named.SETS[spec]()
    if spec.count(".npy,") == 1 and spec.endswith(".npy"):
        x, y = spec.split(".npy,")
        return npz.read_pair(Path(f"{x}.npy"), Path(y.strip()))
    if "," in spec and not path.exists():
        return texts.read_lines(tuple(Path(part.strip()) for part in spec.split(",")))
    if path.is_file():
        if is_table:
            return tables.read(path, label, text, drop)
        return texts.read_labelled(path) if path.suffix.lower() == ".txt" else npz.read(path)
    if path.is_dir():
        return texts.read_folder(path) if texts.holds_texts(path) else images.read(path, size)
    if path.suffix or "/" in spec:
        raise DataError(
            f"no data file at {spec}",
            f"an .npz, .csv or .parquet file, a folder of pictures or texts, "
            f"or one of {', '.join(NAMED)}",
            "check the path",
        )
    raise DataError(
        f"unknown data set '{spec}'", near(spec, NAMED), "or give an .npz, .csv or .parquet file"
    )
