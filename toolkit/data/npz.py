"""An `.npz`, or a pair of `.npy` -> Raw. Nothing is unpickled, and sizes are checked first."""

from __future__ import annotations

import lzma
import math
import tokenize
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.data.splits import Raw
from toolkit.errors import DataError

MOST_BYTES = 8 * 2**30
"""An archive that unpacks to more is refused before memory is taken."""

_DAMAGED = (
    *(ValueError, OSError, EOFError, SyntaxError, RuntimeError, NotImplementedError),
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, tokenize.TokenError),
)
"""What damaged files end in: RuntimeError an encrypted one, SyntaxError a broken head."""

_NAMES = {
    "x": "x_train train_x train_images train_data x images imgs data inputs samples arr_0",
    "y": "y_train train_y train_labels train_target y labels label target targets arr_1",
    "x_test": "x_test test_x test_images test_data",
    "y_test": "y_test test_y test_labels test_target",
    "x_validation": "x_val val_x x_valid valid_x x_validation validation_x x_dev dev_x val_images"
    " val_data validation_images validation_data",
    "y_validation": "y_val val_y y_valid valid_y y_validation validation_y y_dev dev_y val_labels"
    " val_target validation_labels validation_target",
    "classes": "class_names classes target_names label_names",
    "features": "feature_names features columns",
}
"""What people call the arrays, the likelier first; capitals and underscores do not matter."""


def read(path: Path) -> Raw:
    """Read the arrays of an `.npz`: x_train, y_train and, if there, those of test and validation.

    Raises DataError when the file is no such archive, holds pickled objects, lacks an array or
    unpacks beyond `MOST_BYTES`.
    """
    if not zipfile.is_zipfile(path):
        pair = path.suffix == ".npy"
        raise DataError(
            f"{path} is {'rows without labels' if pair else 'no data that can be read'}",
            "a pair X.npy,Y.npy, an .npz, .csv, .parquet, .txt or a folder",
            "name the labels beside it" if pair else "save it as one of these",
        )
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
        if size > MOST_BYTES:
            raise DataError(
                f"{path} unpacks to {size / 2**30:.1f} GiB",
                f"at most {MOST_BYTES / 2**30:.0f} GiB",
                "give a part of it",
            )
        _check_headers(path)
        with np.load(path, allow_pickle=False) as arrays:
            places = {ours: _place(arrays.files, names) for ours, names in _NAMES.items()}
            if places["x"] == "arr_0" and len(arrays.files) != 2:
                places["x"] = None  # which of several nameless arrays is what cannot be told
            found = {ours: arrays[name] if name else None for ours, name in places.items()}
            there = ", ".join(arrays.files) or "nothing"
    except _DAMAGED as error:
        raise DataError(
            f"cannot read {path} ({error})",
            "plain arrays, nothing pickled",
            "save numeric arrays with numpy.savez",
        ) from error
    if found["x"] is None or found["y"] is None:
        raise DataError(
            f"{path} holds {there[:200]}", "arrays x_train and y_train", "rename the arrays"
        )
    for part in ("test", "validation"):
        if (found[f"x_{part}"] is None) != (found[f"y_{part}"] is None):
            raise DataError(
                f"{path} has only one of x_{part} and y_{part}", "both or neither", "add the other"
            )
    return Raw(
        path.stem,
        found["x"],
        found["y"],
        found["x_test"],
        found["y_test"],
        found["x_validation"],
        found["y_validation"],
        classes=_words(found["classes"]),
        features=_words(found["features"]),
    )


def _check_headers(path: Path) -> None:
    """Raise ValueError where a header tells more values than the archive holds for them."""
    with zipfile.ZipFile(path) as archive:
        there = [member.filename.removesuffix(".npy") for member in archive.infolist()]
        read = {f"{_place(there, names)}.npy" for names in _NAMES.values()}
        for member in archive.infolist():
            if member.filename not in read:
                continue
            with archive.open(member) as stream:
                version = np.lib.format.read_magic(stream)
                read_header = (
                    np.lib.format.read_array_header_1_0
                    if version == (1, 0)
                    else np.lib.format.read_array_header_2_0
                )
                shape, _, dtype = read_header(stream)
            if math.prod(shape) * dtype.itemsize > member.file_size:
                raise ValueError(f"{member.filename} claims the shape {shape}")


def read_pair(x: Path, y: Path) -> Raw:
    """Read two `.npy` files, the rows and their labels.

    Raises DataError when one is missing, no array, or holds pickled objects.
    """
    arrays = []
    for path in (x, y):
        try:
            # mapped, so that an absurd shape takes no memory before it is refused
            array = np.load(path, mmap_mode="r", allow_pickle=False)
        except _DAMAGED as error:
            raise DataError(
                f"cannot read {path} ({error})",
                "two plain arrays as X.npy,Y.npy",
                "save numeric arrays with numpy.save",
            ) from error
        if array.nbytes > MOST_BYTES:
            raise DataError(
                f"{path} holds {array.nbytes / 2**30:.1f} GiB",
                f"at most {MOST_BYTES / 2**30:.0f} GiB",
                "give a part of it",
            )
        arrays.append(np.array(array))
    return Raw(x.stem, arrays[0], arrays[1])


def _place(there: Sequence[str], names: str) -> str | None:
    """The array of an archive that goes by one of the names."""
    plain = {name.lower().replace("_", ""): name for name in there}
    wanted = [name.replace("_", "") for name in names.split()]
    return next((plain[name] for name in wanted if name in plain), None)


def rows(path: Path) -> NDArray[Any]:
    """The rows alone of an `.npz` or an `.npy`, labelled or not.

    Raises DataError as `read` and `read_pair` do.
    """
    if path.suffix not in {".npz", ".npy"}:
        raise DataError(f"{path} as unlabelled rows", "an .npz or .npy", "save it with numpy")
    if not path.is_file():
        raise DataError(f"no file at {path}", "an .npz or .npy", "check the path")
    if path.suffix == ".npy":
        return read_pair(path, path).x
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
        if size > MOST_BYTES:
            raise ValueError(f"it unpacks to {size / 2**30:.1f} GiB")
        _check_headers(path)
        with np.load(path, allow_pickle=False) as arrays:
            name = _place(arrays.files, _NAMES["x"])
            found: NDArray[Any] | None = arrays[name] if name else None
            there = ", ".join(arrays.files) or "nothing"
    except _DAMAGED as error:
        raise DataError(
            f"cannot read {path} ({error})", "plain arrays, nothing pickled", "save it again"
        ) from error
    if found is None:
        raise DataError(f"{path} holds {there}", "an array x", "rename the array")
    return found


def _words(array: NDArray[Any] | None) -> tuple[str, ...]:
    if array is None:
        return ()
    words = np.char.decode(array, "utf-8", "replace") if array.dtype.kind == "S" else array
    return tuple(str(word) for word in words.reshape(-1))
