"""A table file as pandas frames: its separator, names, encoding and gaps found by looking at it."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Generator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from toolkit.data.dialect import MISSING, decimals_of, headless, separator_of, strayed
from toolkit.errors import DataError

MOST_COLUMNS = 10_000

_SAMPLE = 2**16
"""Letters after the first line that say how a table is written."""

_MARKS = (b"\xff\xfe", b"\xfe\xff")
_MIXED = re.compile(rb"\xff\xfe|\xfe\xff|[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}")


def frame_of(path: Path) -> tuple[Any, dict[str, str]]:
    """The table, and its encoding where it is not UTF-8."""
    import pandas as pd

    if path.suffix.lower() != ".parquet":
        settings, names, encoding = settings_of(path)
        (frame,) = frames_of(path, settings, names)
        return frame, ({} if encoding[:3] == "utf" else {"encoding": encoding})
    try:
        frame = pd.read_parquet(path)
    except ImportError as error:
        raise _without_pyarrow(path) from error
    except (ValueError, OSError, KeyError, TypeError) as error:  # what damaged files end in
        raise _unreadable(path, error) from error
    return (frame if frame.index.names == [None] else frame.reset_index()), {}


def settings_of(path: Path) -> tuple[dict[str, Any], list[str] | None, str]:
    """How pandas must read a table of text, its names where pandas gets them wrong, its encoding.

    Names are "" where the file has none.
    """
    try:
        encoding = _encoding(path)
        with path.open(encoding=encoding, newline="") as stream:
            first = stream.readline(MOST_COLUMNS * 100)
            start = stream.read(_SAMPLE)
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} is not UTF-8 (byte {error.start})", "text in UTF-8", "save it as UTF-8"
        ) from error
    except OSError as error:
        raise _unreadable(path, error) from error
    below = list(io.StringIO(start, newline=""))
    if len(start) == _SAMPLE and below:
        below.pop()  # its end was not read
    lines = [line.rstrip("\r\n") for line in (first, *below) if line.strip()] or [first]
    separator = separator_of(lines, path.suffix.lower())
    if first.count(separator) >= MOST_COLUMNS:
        raise DataError(
            f"{path} has {first.count(separator) + 1:,} columns or more",
            f"at most {MOST_COLUMNS:,}",
            "choose the columns that matter",
        )
    spaced = separator not in first and len(first.split()) > 1
    rows = [line.split() if spaced else line.strip().split(separator) for line in lines]
    cells = rows[0]
    unnamed = headless(rows)
    decimal, thousands = (".", None) if separator == "," else decimals_of(rows)
    settings = {
        "sep": r"\s+" if spaced else separator,
        "header": None if unnamed else 0,
        "skipinitialspace": True,
        "decimal": decimal,
        "thousands": thousands,
        "na_values": list(MISSING),
        "keep_default_na": False,
        "encoding": encoding,
        # parts of a column would be of different kinds, and 1 another class than 01
        "low_memory": False,
    }
    if separator == "\t" and strayed(_whole(path, encoding), separator):
        settings["quoting"] = csv.QUOTE_NONE
    cells = [cell.strip().strip('"') for cell in cells]
    if unnamed:
        return settings, [], encoding
    # pandas would rename the second of two equal names
    return settings, (cells if len(set(cells)) < len(cells) else None), encoding


def texts_of(path: Path, place: int) -> list[str]:
    """One column of a table of text as its cells stand there."""
    settings, names, _ = settings_of(path)
    settings |= {"dtype": str, "na_values": [], "usecols": [place]}
    (frame,) = frames_of(path, settings, None if names is None else [""])
    return [str(cell).strip() for cell in frame.iloc[:, 0]]


def _whole(path: Path, encoding: str) -> Generator[str]:
    """All lines that have values."""
    with path.open(encoding=encoding, newline="") as stream:
        yield from (line.rstrip("\r\n") for line in stream if line.strip())


def frames_of(
    path: Path, settings: dict[str, Any], names: list[str] | None, size: int | None = None
) -> Generator[Any]:
    """The table as one frame, or in frames of `size` rows."""
    import pandas as pd

    try:
        read = pd.read_csv(path, chunksize=size, **settings)
        with nullcontext([read]) if size is None else read as frames:
            for frame in frames:
                if not isinstance(frame.index, pd.RangeIndex):
                    raise DataError(
                        f"{path} has more values than names of columns in its rows",
                        "one name a column",
                        "correct its first line",
                    )
                if names is not None:
                    numbered = [f"column {i + 1}" for i in range(frame.shape[1])]
                    frame.columns = names[: frame.shape[1]] or numbered
                yield frame
    except (ValueError, OSError) as error:  # pandas' parser errors are ValueErrors
        raise _unreadable(path, error) from error


def _without_pyarrow(path: Path) -> DataError:
    return DataError(f"reading {path} needs pyarrow", "a .csv, or pyarrow", "pip install pyarrow")


def _unreadable(path: Path, error: Exception) -> DataError:
    return DataError(
        f"cannot read {path} ({str(error)[:120]})", "a table with one row a line", "check it"
    )


def _encoding(path: Path) -> str:
    """UTF-8, or UTF-16 where its mark says so, or what a spreadsheet on Windows writes.

    Raises UnicodeDecodeError for bytes that are text in none of these, and for UTF-8 that is
    broken: it has letters of several bytes among others, or marks in its middle.
    """
    with path.open("rb") as stream:
        if stream.read(2) in _MARKS:
            return "utf-16"
    try:
        _decoded(path, "utf-8-sig")
    except UnicodeDecodeError as error:
        with path.open("rb") as stream:
            mixed = any(_MIXED.search(line) for line in iter(lambda: stream.readline(2**20), b""))
        if mixed:
            raise
        try:
            _decoded(path, "cp1252")
        except UnicodeDecodeError:
            raise error from None
        return "cp1252"
    return "utf-8-sig"


def _decoded(path: Path, encoding: str) -> None:
    with path.open(encoding=encoding, newline="") as stream:
        while stream.read(2**20):
            pass


def pieces_of(path: Path, size: int) -> Generator[Any]:
    """A .parquet as frames of `size` rows and a shorter last one."""
    import pandas as pd

    try:
        from pyarrow import ArrowException  # type: ignore[import-untyped]
        from pyarrow.parquet import ParquetFile  # type: ignore[import-untyped]
    except ImportError as error:
        raise _without_pyarrow(path) from error
    left: list[Any] = []
    try:
        for batch in ParquetFile(path).iter_batches(batch_size=size):
            frame = batch.to_pandas()
            left.append(frame if frame.index.names == [None] else frame.reset_index())
            whole = pd.concat(left, ignore_index=True)
            while len(whole) >= size:
                yield whole.iloc[:size]
                whole = whole.iloc[size:]
            left = [whole]
    except (ArrowException, OSError) as error:
        raise _unreadable(path, error) from error
    if left and len(left[0]):
        yield left[0]
