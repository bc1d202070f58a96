"""Attributions as Parquet: a line a player, whole files that say what made them."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.errors import DataError
from toolkit.files import write_with
from toolkit.glossary import Attribution, Facts

_ABOUT = b"toolkit"
_SETTINGS: Facts = {
    "compression": "zstd",
    "write_statistics": True,
    "store_schema": True,
    "write_page_checksum": True,
}


def arrow() -> Any:
    """The package pyarrow, with its parquet. Raises DataError in one line where it is not."""
    try:
        import pyarrow  # type: ignore[import-untyped]
        import pyarrow.parquet  # type: ignore[import-untyped]
    except ImportError as error:
        raise DataError("Parquet needs pyarrow", "the package", "pip install pyarrow") from error
    return pyarrow


def lines(
    attributions: Sequence[Attribution], part: str, classes: Sequence[str], about: Facts
) -> bytes:
    """A Parquet file of the lines of `to_frame()`, with what a million rows need beside.

    part: of the data, "train" or the name of a file. Columns: part, row, model, method, target (the
    class explained) and class (its name), prediction, base, converged, player, shown, written,
    value, stderr. The same attributions give the same bytes. about: JSON values, kept in the file.
    """
    pa = arrow()
    counts = np.array([len(a.values) for a in attributions])
    total = int(counts.sum())

    def each(values: Sequence[Any], dtype: Any) -> Any:
        return np.repeat(np.array(values, dtype), counts)

    def joined(name: str) -> Any:
        return np.concatenate([np.asarray(getattr(a, name), np.float64) for a in attributions])

    def word(codes: Any, words: Sequence[str]) -> Any:
        return pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32()), pa.array(words))

    def words(every: Sequence[Sequence[str]]) -> Any:
        known: dict[str, int] = {}
        return word([known.setdefault(one, len(known)) for some in every for one in some], [*known])

    targets = each([a.target for a in attributions], np.int32)
    same = np.zeros(total, np.int32)
    columns = {
        "part": word(same, [part]),
        "row": each([a.row for a in attributions], np.int64),
        "model": word(same, [attributions[0].subject]),
        "method": word(same, [attributions[0].method]),
        "target": targets,
        "class": word(targets, list(classes)),
        "prediction": each([a.prediction for a in attributions], np.float64),
        "base": each([a.base for a in attributions], np.float64),
        "converged": each([a.converged for a in attributions], bool),
        "player": words([a.names for a in attributions]),
        "shown": joined("shown"),
        "written": words([a.names_shown() for a in attributions]),
        "value": joined("values"),
        "stderr": joined("stderr"),
    }
    table = pa.table(columns).replace_schema_metadata({_ABOUT: json.dumps(about).encode()})
    written = io.BytesIO()
    # in one group, so that no row of the data lies in two
    pa.parquet.write_table(table, written, row_group_size=total, **_SETTINGS)
    return written.getvalue()


def about(path: Path) -> Facts | None:
    """What a file says of itself; None for one that is damaged or of somebody else."""
    pa = arrow()
    try:
        kept = pa.parquet.read_schema(path).metadata or {}
        found: Facts = json.loads(kept[_ABOUT])
    except (pa.ArrowException, OSError, KeyError, ValueError):
        return None
    return found


def is_whole(path: Path) -> bool:
    """Whether every page of a file can be read and has the sum that was written beside it."""
    pa = arrow()
    try:
        file = pa.parquet.ParquetFile(path, page_checksum_verification=True)
        for group in range(file.num_row_groups):
            file.read_row_group(group)
    except (pa.ArrowException, OSError):
        return False
    return True


def merged(paths: Sequence[Path], out: Path, about: Facts) -> Path:
    """One file of all, in their order, whole or not at all, in the memory of one of them."""
    pa = arrow()
    schema = pa.parquet.read_schema(paths[0]).with_metadata({_ABOUT: json.dumps(about).encode()})

    def write(temporary: Path) -> None:
        with pa.parquet.ParquetWriter(temporary, schema, **_SETTINGS) as writer:
            for path in paths:
                table = pa.parquet.read_table(path).replace_schema_metadata(schema.metadata)
                writer.write_table(table, row_group_size=len(table))

    return write_with(out, write)


def summary(paths: Sequence[Path], rows: int) -> tuple[int, list[tuple[str, float]]]:
    """How many of all `rows` did not converge, and the players by mean |value|, the most first."""
    pa = arrow()
    sums: dict[str, float] = {}
    unsure = 0
    for path in paths:
        file = pa.parquet.ParquetFile(path)
        for group in range(file.num_row_groups):
            table = file.read_row_group(group, columns=["player", "row", "value", "converged"])
            names = table.column("player").combine_chunks().dictionary_encode()
            moved = np.bincount(np.asarray(names.indices), np.abs(np.asarray(table["value"])))
            for name, much in zip(names.dictionary.to_pylist(), moved.tolist(), strict=True):
                sums[name] = sums.get(name, 0.0) + much
            sure = np.asarray(table["converged"])
            unsure += len(np.unique(np.asarray(table["row"])[~sure]))
    first = sorted(sums, key=lambda name: (-sums[name], name))
    return unsure, [(name, sums[name] / rows) for name in first]
