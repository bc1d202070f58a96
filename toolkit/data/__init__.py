"""load(spec): a named set or a file -> Splits, checked, in raw values. To add a source: a file
here that gives `Raw` arrays, and a line in `load`.
"""

from __future__ import annotations

from pathlib import Path

from toolkit.data import named, npz
from toolkit.data.splits import scaled, split
from toolkit.errors import DataError, near
from toolkit.glossary import Splits

__all__ = ["NAMED", "load", "scaled"]

NAMED: tuple[str, ...] = tuple(sorted(named.SETS))
"""The names `load` knows; digits, breast_cancer and wine need no network."""


def load(spec: str | Path, *, scale: float = 1.0, seed: int = 0) -> Splits:
    """Load a named set, or an `.npz` file, into parts that share no row.

    scale: every value of x is multiplied by it (0.003922 turns 0..255 into 0..1).
    Raises DataError in one line for a missing or unreadable source, NaN, an empty set, labels
    outside the classes.

    >>> digits = load("digits")
    >>> digits.test.x.shape, len(digits.test.classes)
    ((450, 8, 8, 1), 10)
    """
    text = str(spec)
    if text in named.SETS:
        raw = named.SETS[text]()
    elif Path(text).is_file():
        raw = npz.read(Path(text))
    elif Path(text).suffix or "/" in text:
        raise DataError(
            f"no data file at {text}",
            f"an .npz with x_train, y_train, x_test, y_test or one of {', '.join(NAMED)}",
            "check the path",
        )
    else:
        raise DataError(f"unknown data set '{text}'", near(text, NAMED), "or give an .npz file")
    splits = split(raw, seed=seed)
    return splits if scale == 1.0 else scaled(splits, scale)
