"""A folder of classes, or of parts that hold classes, by what people call the parts."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from toolkit.errors import DataError

_TRAIN = {"train", "training"}
_VALIDATION = {"validation", "valid", "val", "dev", "eval", "evaluation"}
_TEST = {"test", "testing", "holdout"}


def parts_of(folder: Path) -> tuple[Path, Path | None, Path | None]:
    """The folders of the training, the validation and the test part; all in `folder` where it has
    no such parts.

    A folder that holds nothing but one folder is entered, as archives unpack. Names such as
    training_set and seg_train count. Raises DataError where what looks like classes are parts.
    """
    folder = _entered(folder)
    there = sorted(child for child in folder.iterdir() if is_class(child))
    # a class may be called train: then it holds pictures and no classes
    train = next((c for c in there if _called(c, _TRAIN) and _holds_classes(c)), None)
    if train is None:
        _refuse_parts(folder, there)
        return folder, None, None
    rest = [child for child in there if child != train]
    found = [next((c for c in rest if _called(c, names)), None) for names in (_VALIDATION, _TEST)]
    validation, test = (None if part is None else _entered(part) for part in found)
    return _entered(train), validation, test


def is_class(folder: Path) -> bool:
    """Whether a folder is one of a class and not what a system left there (.git, __MACOSX)."""
    return folder.is_dir() and not folder.name.startswith((".", "__"))


def _called(folder: Path, names: set[str]) -> bool:
    return bool(names & set(re.split(r"[\W_]+", folder.name.lower())))


def _holds_classes(folder: Path) -> bool:
    return any(map(is_class, folder.iterdir()))


def _entered(folder: Path) -> Path:
    """The folder itself, or the only one in it, if that one has folders."""
    while True:
        inside = [child for child in folder.iterdir() if not child.name.startswith((".", "__"))]
        if len(inside) != 1 or not inside[0].is_dir() or not _holds_classes(inside[0]):
            return folder
        folder = inside[0]


def _refuse_parts(folder: Path, there: list[Path]) -> None:
    """Raise DataError where most folders hold the same folders: these are the classes."""
    inside = Counter(one.name for child in there for one in child.iterdir() if is_class(one))
    shared = sorted(name for name, count in inside.items() if count == len(there))
    if len(there) > 1 and len(shared) > 1:
        raise DataError(
            f"{folder} has {', '.join(child.name for child in there[:4])}, which all hold "
            f"{', '.join(shared[:3])}",
            "one folder a class, or train/ and test/ with these",
            "call the parts train, validation and test, or give one of them",
        )
