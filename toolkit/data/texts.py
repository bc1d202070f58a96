"""Texts with their classes -> Raw: files of lines, a table with a text column, folders of files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.data.decoding import SUFFIXES as PICTURES
from toolkit.data.parts import parts_of
from toolkit.data.splits import Raw
from toolkit.data.words import spaced
from toolkit.errors import DataError
from toolkit.progress import tell

MOST_BYTES = 2 * 2**30
"""All texts together."""

_LONGEST_LINE = 2**20


def read_lines(paths: tuple[Path, ...]) -> Raw:
    """Read files of one text a line, each file a class named after it.

    Raises DataError when one is missing, empty or not text.
    """
    names = [path.stem for path in paths]
    if len(set(names)) < len(names):
        # rt-polarity.pos and rt-polarity.neg
        names = [path.suffix.lstrip(".") or path.name for path in paths]
    if len(set(names)) < len(names) or len(names) < 2:
        raise DataError(
            f"classes named {', '.join(names)}", "two or more files, each a class", "rename one"
        )
    found, labels, facts = [], [], {}
    for label, path in enumerate(paths):
        text, encoding = _read(path)
        if encoding != "utf-8":
            facts["encoding"] = encoding
        inside = [line.strip() for line in cut(text)]
        if not inside:
            raise DataError(f"{path} is empty", "one text a line", "check the file")
        found += inside
        labels += [label] * len(inside)
    stem = paths[0].stem if len({path.stem for path in paths}) == 1 else "texts"
    return Raw(stem, _objects(found), np.array(labels), classes=tuple(names), facts=facts)


def lines(path: Path) -> list[str]:
    """The texts of a file, one a line. Raises DataError where there is none."""
    text, _ = _read(path)
    found = [line.strip() for line in cut(text)]
    if not found:
        raise DataError(f"{path} is empty", "one text a line", "check the file")
    return found


def read_labelled(path: Path) -> Raw:
    """Read one file of lines LABEL <tab> TEXT.

    Raises DataError for a line that has no tab.
    """
    text, encoding = _read(path)
    lines = cut(text)
    pairs = [line.split("\t", 1) for line in lines]
    if not pairs or any(len(pair) < 2 for pair in pairs):
        at = next((i for i, pair in enumerate(pairs) if len(pair) < 2), 0)
        raise DataError(
            f"{path} has no tab in line {at + 1}",
            "LABEL <tab> TEXT in each line, or a file a class: --data POS.txt,NEG.txt",
            "write it so",
        )
    if all(line.count("\t") > 1 for line in lines):
        raise DataError(
            f"{path} has {lines[0].count(chr(9)) + 1} columns",
            "LABEL <tab> TEXT in each line",
            "a table is a .tsv: rename it",
        )
    labels, texts = zip(*pairs, strict=True)
    facts = {} if encoding == "utf-8" else {"encoding": encoding}
    return Raw(
        path.stem,
        _objects([one.strip() for one in texts]),
        np.array([label.strip() for label in labels]),
        facts=facts,
    )


def read_folder(folder: Path) -> Raw:
    """Read CLASS/text.txt, or train/CLASS/text.txt with test/ and validation/ beside it.

    Raises DataError for files that are not text or fewer than two classes.
    """
    train, validation, test = parts_of(folder)
    classes = tuple(c.name for c in sorted(train.iterdir()) if c.is_dir() and _holds_texts(c))
    if len(classes) < 2:
        raise DataError(
            f"{train} has {len(classes)} folders of texts",
            "one folder a class, at least two",
            "sort the texts into folders named as their classes",
        )
    x, y = _folders(train, classes)
    x_test, y_test = _folders(test, classes) if test is not None else (None, None)
    x_held, y_held = _folders(validation, classes) if validation is not None else (None, None)
    name = folder.resolve().name
    return Raw(name, x, y, x_test, y_test, x_held, y_held, classes=classes)


def holds_texts(folder: Path) -> bool:
    """Whether the folders of a folder hold text files and so no pictures."""
    inside = [child for child in folder.iterdir() if child.is_dir()]
    below = [c for child in inside for c in (child, *child.iterdir()) if c.is_dir()]
    # a licence or a list may lie among pictures
    pictured = any(path.suffix.lower() in PICTURES for c in below for path in c.iterdir())
    return not pictured and any(map(_holds_texts, below))


def _holds_texts(folder: Path) -> bool:
    return folder.is_dir() and any(path.suffix == ".txt" for path in folder.iterdir())


def _folders(folder: Path, classes: tuple[str, ...]) -> tuple[NDArray[Any], NDArray[Any]]:
    found, labels = [], []
    files = [
        (label, path)
        for label, name in enumerate(classes)
        for path in sorted((folder / name).glob("*.txt"))
    ]
    total = 0
    for done, (label, path) in enumerate(files):
        total += path.stat().st_size
        if total > MOST_BYTES:
            raise DataError(
                f"{folder} holds more than {MOST_BYTES / 2**30:.0f} GiB", "less text", "give a part"
            )
        found.append(" ".join(spaced(_read(path)[0])))
        labels.append(label)
        if done % 500 == 499 or done + 1 == len(files):
            tell("read texts", done + 1, len(files))
    return _objects(found), np.array(labels)


def _read(path: Path) -> tuple[str, str]:
    """A file's text and its encoding: UTF-8, else that of Windows, else Latin-1, which fits all."""
    if not path.is_file():
        raise DataError(f"no text file at {path}", "a file of one text a line", "check the path")
    if path.stat().st_size > MOST_BYTES:
        raise DataError(
            f"{path} has {path.stat().st_size / 2**30:.1f} GiB",
            f"at most {MOST_BYTES / 2**30:.0f} GiB",
            "give a part of it",
        )
    raw = path.read_bytes()
    if b"\0" in raw:
        raise DataError(f"{path} is not text (it has zero bytes)", "text in UTF-8", "check it")
    if max((len(line) for line in raw.splitlines()), default=0) > _LONGEST_LINE:
        raise DataError(
            f"{path} has a line of over {_LONGEST_LINE:,} bytes", "shorter texts", "cut them"
        )
    for codec, encoding in (("utf-8-sig", "utf-8"), ("cp1252", "windows-1252")):
        try:
            return raw.decode(codec), encoding
        except UnicodeDecodeError:
            continue
    return raw.decode("latin-1"), "latin-1"


def cut(text: str) -> list[str]:
    """The lines of a text that have words.

    A line ends where editors end it; str.splitlines ends it at other signs too, which texts hold.
    """
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return [line for line in lines if line.strip()]


def _objects(texts: list[str]) -> NDArray[Any]:
    """Texts as an array of objects: a fixed width would take the longest for every one."""
    out = np.empty(len(texts), dtype=object)
    out[:] = texts
    return out
