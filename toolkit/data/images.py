"""A folder of pictures, one folder a class -> Raw: grey or colour, one size, values 0..255."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.data.decoding import MOST_PIXELS, SUFFIXES, opened, pixels
from toolkit.data.parts import is_class, parts_of
from toolkit.data.splits import Raw
from toolkit.data.streams import Pictures
from toolkit.errors import DataError
from toolkit.progress import tell

IN_MEMORY = 2**28
"""Bytes of all values as f32: larger sets stay in their files and are read batch by batch."""


def read(folder: Path, size: tuple[int, ...] | None = None) -> Raw:
    """Read CLASS/picture, or train/CLASS/picture with test/ and validation/ beside it.

    size: (height, width) of all; without it the commonest, to which the others are resized. One
    channel when every picture is grey, else three, or as a third number in size says;
    transparency lies on white; 16 bits become 8.
    Raises DataError for pictures that cannot be read, that are too large, or in a single class.
    """
    train, validation, test = parts_of(folder)
    classes = tuple(sorted(c.name for c in train.iterdir() if is_class(c)))
    if len(classes) < 2:
        raise DataError(
            f"{train} has {len(classes)} folders of pictures",
            "one folder a class, at least two",
            "sort the pictures into folders named as their classes",
        )
    files, labels = _files(train, classes)
    held_files, held_labels = _files(validation, classes) if validation is not None else ([], [])
    test_files, test_labels = _files(test, classes) if test is not None else ([], [])
    every = [*files, *held_files, *test_files]
    sizes, colour = _survey(every)
    channels = size[2] if size and len(size) > 2 else 3 if colour else 1
    size = (size[0], size[1]) if size else sizes.most_common(1)[0][0]
    if size[0] * size[1] > MOST_PIXELS:
        raise DataError(
            f"--size {size[0]}x{size[1]}",
            f"at most {MOST_PIXELS:,} pixels",
            "give a smaller --size",
        )
    total = 4 * len(every) * size[0] * size[1] * channels
    gather: Any = _stacked if total <= IN_MEMORY else Pictures
    return Raw(
        folder.resolve().name,
        gather(tuple(files), size, channels),
        np.array(labels),
        gather(tuple(test_files), size, channels) if test_files else None,
        np.array(test_labels) if test_files else None,
        gather(tuple(held_files), size, channels) if held_files else None,
        np.array(held_labels) if held_files else None,
        classes=classes,
        facts={
            "resized": sum(n for found, n in sizes.items() if found != size),
            "streamed": total > IN_MEMORY,
        },
    )


def unsorted(folder: Path, shape: tuple[int, ...]) -> Any:
    """All pictures below a folder, whatever its folders are called, as rows of `shape`.

    Large sets stay in their files. Raises DataError for none, or a shape that is no picture's.
    """
    found = [p for p in sorted(folder.rglob("*")) if p.suffix.lower() in SUFFIXES and p.is_file()]
    if not found or len(shape) not in (2, 3):
        raise DataError(
            f"{folder} holds {len(found)} pictures, for rows of shape {shape}",
            f"pictures ({', '.join(SUFFIXES)}) for rows that are pictures",
            "check the folder",
        )
    size, channels = (shape[0], shape[1]), shape[2] if len(shape) == 3 else 1
    total = 4 * len(found) * size[0] * size[1] * channels
    gather: Any = _stacked if total <= IN_MEMORY else Pictures
    return gather(tuple(found), size, channels)


def _files(folder: Path, classes: tuple[str, ...]) -> tuple[list[Path], list[int]]:
    """Every picture and its class; other folders are refused, other files passed over."""
    there = {c.name for c in folder.iterdir() if is_class(c)}
    if there - set(classes):
        raise DataError(
            f"{folder} has the class {sorted(there - set(classes))[0]}",
            f"the classes of the training part: {', '.join(classes[:10])}",
            "rename or drop its folder",
        )
    files: list[Path] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        if name not in there:
            continue
        every = sorted((folder / name).rglob("*"))
        # what a notebook or a system keeps there is hidden
        inside = [p for p in every if not any(s[0] == "." for s in p.relative_to(folder).parts)]
        found = [path for path in inside if path.suffix.lower() in SUFFIXES and path.is_file()]
        if not found:
            raise DataError(
                f"{folder / name} holds no picture",
                f"a class of {', '.join(SUFFIXES)}",
                "drop the folder, or fill it",
            )
        files += found
        labels += [label] * len(found)
    return files, labels


def _survey(files: list[Path]) -> tuple[Counter[tuple[int, int]], bool]:
    """The sizes of all pictures and whether one has colour, from their heads alone."""
    sizes: Counter[tuple[int, int]] = Counter()
    colour = False
    for path in files:
        with opened(path) as picture:
            # 5 and above: the picture lies on its side; a PNG without the note would be unpacked
            noted = picture.format in ("JPEG", "WEBP", "MPO") or "exif" in picture.info
            turned = noted and picture.getexif().get(0x0112, 1) in (5, 6, 7, 8)
            w, h = picture.size[::-1] if turned else picture.size
            sizes[h, w] += 1
            colour |= picture.mode not in ("1", "L", "LA", "I", "I;16", "I;16B", "F")
    return sizes, colour


def _stacked(files: tuple[Path, ...], size: tuple[int, int], channels: int) -> NDArray[np.uint8]:
    out = np.empty((len(files), *size, channels), np.uint8)
    for i, path in enumerate(files):
        out[i] = pixels(path, size, channels)
        if i % 100 == 99 or i + 1 == len(files):
            tell("read pictures", i + 1, len(files))
    return out
