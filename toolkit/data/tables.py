"""A `.csv` or `.parquet` table -> Raw: numbers as they are, categories as named codes."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.data.dialect import MISSING, is_number
from toolkit.data.frames import frame_of, frames_of, pieces_of, settings_of, texts_of
from toolkit.data.splits import Raw
from toolkit.errors import DataError, near
from toolkit.glossary import Data, Floats

TABLES = (".csv", ".tsv", ".data", ".parquet")
"""Files that are read as tables."""

MOST_CATEGORIES = 1_000
"""More distinct texts in a column are names or identifiers, which say nothing about a new row."""

LABELS = ("label", "class", "target", "y", "outcome", "category", "species", "survived")
_NO_LABEL = tuple(way for way in MISSING if way not in ("None", "-"))
"""What stands for a missing label; the others may be the name of a class."""

_NUMBERINGS = ("id", "index", "rownumber", "row", "rowid", "no", "nr", "number", "sno", "sl.no")
"""What people call a column that counts the rows from one to the next."""

_PARTED = 10
"""Of so many counted rows at least one is there, or what has such a name may be a quantity."""

_DATE = re.compile(
    r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}([ T]\d.*)?"
    r"|\d{1,2}:\d{2}(:\d{2}.*)?"
    r"|[A-Z][a-z]{2,8}\.? \d{1,2},? \d{4}.*|\d{1,2}[ -][A-Z][a-z]{2,8}[ -]\d{2,4}.*"
)
_WRITTEN_NUMBER = re.compile(r"[$€£]? ?[-+]?\d[\d.,' ]*(e[-+]?\d+)? ?[%$€£]?", re.IGNORECASE)
_FEW = 20
"""Fewer different texts in a column are categories, whatever they look like."""

_KEPT = 0.9
"""The share of distinct whole numbers that float32 must tell apart."""


def read(path: Path, label: str = "", text: str = "", drop: Sequence[str] = ()) -> Raw:
    """Read a table; `label` names its label column, else it is guessed and the guess is in facts.

    text: the column of texts to classify by, alone; guessed where there is only one other column.
    drop: columns to leave out.

    Columns of numbers stay as they are, of text become codes in sorted order. Missing numbers are
    filled by the median of the training rows, missing texts are a category of their own.
    Raises DataError for dates, identifiers, broken text, too many columns.
    """
    frame, encoding = frame_of(path)
    frame.columns = [str(name).strip() for name in frame.columns]
    for name in drop:
        if name not in frame.columns:
            raise DataError(f"no column '{name}' to drop", near(name, frame.columns), "correct it")
    every = list(frame.columns)
    frame = frame.drop(columns=list(drop))
    frame, dropped = _without_numbering(frame, label)
    names = list(frame.columns)
    if len(set(names)) < len(names) or len(names) < 2:
        raise DataError(
            f"{path} has the columns {', '.join(names[:8])}",
            "at least two columns with distinct names",
            "correct its first line",
        )
    target, guessed = _label(frame, label)
    if frame[target].isna().any() and path.suffix.lower() != ".parquet":
        # a class may be called None, or -
        cells = texts_of(path, every.index(target))
        if not set(cells) & set(_NO_LABEL):
            frame[target] = cells
    if frame[target].isna().any():
        raise DataError(
            f"{path} has no label in {int(frame[target].isna().sum())} rows of '{target}'",
            "a label in every row",
            "drop those rows",
        )
    columns, categories, missing = [], {}, {}
    features = [name for name in names if name != target]
    if text or (len(features) == 1 and _is_prose(frame[features[0]])):
        told = {"label_guessed": guessed, **encoding}
        return _prose(path, frame, target, text or features[0], told)
    for place, name in enumerate(features):
        values, found = _column(frame[name], name)
        if found:
            categories[place] = found
        elif np.isnan(values).any():
            missing[name] = int(np.isnan(values).sum())
        columns.append(values)
    facts: dict[str, Any] = {"label": target, "label_guessed": guessed, **encoding}
    gaps = {features[i]: int(frame[features[i]].isna().sum()) for i in categories}
    unnamed = {name: n for name, n in gaps.items() if n}
    told = {"dropped": dropped, "missing": missing, "missing_categories": unnamed}
    facts |= {name: value for name, value in told.items() if value}
    labels = np.array([str(value).strip() for value in frame[target]])
    if frame[target].dtype.kind in "iufb":
        labels = frame[target].to_numpy()
    return Raw(
        path.stem,
        np.stack(columns, axis=1),
        labels,
        features=tuple(features),
        facts=facts,
        categories=categories,
    )


def _without_numbering(frame: Any, label: str) -> tuple[Any, list[str]]:
    """The table without columns that only count the rows, and without nameless empty ones."""
    found = []
    for i, name in enumerate(frame.columns):
        values = frame.iloc[:, i]
        nameless = not name or name.startswith("Unnamed: ")
        # rows may have been shuffled, and parted, since they were counted
        counted = values.dtype.kind in "iu" and values.is_unique and len(values) > 1
        counted = counted and (nameless or np.ptp(values) < _PARTED * len(values))
        numbering = counted and (nameless or name.lower().replace("_", "") in _NUMBERINGS)
        if (numbering and name != label) or (nameless and values.isna().all()):
            found.append(i)
    kept = [i for i in range(frame.shape[1]) if i not in found]
    return frame.iloc[:, kept], [str(frame.columns[i]) or f"column {i + 1}" for i in found]


def chunks(
    path: Path, like: Data, size: int, *, scale: float = 1.0, offset: float = 0.0
) -> Iterator[Floats]:
    """The rows of a table in the columns of `like`, f32 (size, columns) at a time, the last fewer.

    Texts become the codes they have there; other columns are left out. Memory is that of a chunk.
    Raises DataError for a missing column and for a text that is no category there.
    """
    if path.suffix.lower() == ".parquet":
        frames: Generator[Any] = pieces_of(path, size)
    else:
        texts = [like.features[place] for place in like.categories]
        settings, names, _ = settings_of(path)
        if names is None:
            # a code of a category may look like a number
            settings["dtype"] = dict.fromkeys(texts, str)
        frames = frames_of(path, settings, names, size)
    with closing(frames):
        for frame in frames:
            frame.columns = [str(name).strip() for name in frame.columns]
            rows = _as_there(path, frame, like)
            if (scale, offset) != (1.0, 0.0):
                rows = rows * np.float32(scale) + np.float32(offset)
            # what stands for a gap is in the values of `like`, which are scaled
            for place, value in like.fill.items():
                rows[np.isnan(rows[:, place]), place] = value
            yield rows


def _as_there(path: Path, frame: Any, like: Data) -> Floats:
    """Rows in the columns and codes of `like`; gaps are NaN."""
    out = np.zeros((len(frame), len(like.features)), np.float32)
    for place, name in enumerate(like.features):
        if name not in frame.columns:
            raise DataError(
                f"{path} has no column '{name}'", near(name, frame.columns), "give all columns"
            )
        names = like.categories.get(place, ())
        values = frame[name]
        if (values.dtype.kind in "biuf") == bool(names) and not values.isna().all():
            raise DataError(f"column '{name}' of {path} is of another kind", "as in --data", "mend")
        if not names:
            out[:, place] = values.to_numpy(dtype=np.float32, na_value=np.nan)
            continue
        shown = values.astype(object).where(values.notna(), "missing")
        codes = {known: code for code, known in enumerate(names)}
        # pandas writes True where a file had true or TRUE
        truths = [n for n in ("True", "False") if n in codes]
        codes |= {way: codes[n] for n in truths for way in (n.lower(), n.upper())}
        coded = [codes.get(str(value).strip(), -1) for value in shown]
        if -1 in coded:
            strange = str(shown.iloc[coded.index(-1)]).strip()
            raise DataError(f"column '{name}' of {path} holds '{strange}'", near(strange, names))
        out[:, place] = coded
    return out


def _is_prose(values: Any) -> bool:
    """Whether a column holds sentences: texts of several words that hardly repeat."""
    if values.dtype.kind in "biufmM":
        return False
    shown = [str(value) for value in values.dropna()[:1000]]
    words = sum(len(value.split()) for value in shown)
    return len(set(shown)) > len(shown) / 2 and words > 3 * len(shown)


def _prose(path: Path, frame: Any, target: str, text: str, facts: dict[str, Any]) -> Raw:
    if text not in frame.columns or text == target:
        raise DataError(f"no column '{text}'", near(text, frame.columns), "give --text NAME")
    values = frame[text]
    if values.dtype.kind in "biufmM":
        raise DataError(f"column '{text}' holds {values.dtype}", "texts", "give --text NAME")
    prose = np.empty(len(values), dtype=object)
    prose[:] = [str(value) for value in values.fillna("")]
    labels = frame[target].to_numpy()
    if labels.dtype.kind not in "iufb":
        labels = np.array([str(value).strip() for value in labels])
    return Raw(path.stem, prose, labels, facts={"label": target, "text": text, **facts})


def _label(frame: Any, wanted: str) -> tuple[str, bool]:
    """The label column, and whether it was guessed: by its name, else the last, else the first."""
    names = list(frame.columns)
    if wanted:
        if wanted not in names:
            raise DataError(f"no column '{wanted}'", near(wanted, names), "give --label NAME")
        return wanted, False
    known = [name for name in names if name.lower() in LABELS]
    if known:
        return known[-1], True
    # digits as tables have their label first, and a last column that says nothing
    first_only = _tells_classes(frame[names[0]]) and not _tells_classes(frame[names[-1]])
    return names[0 if first_only else -1], True


def _tells_classes(values: Any) -> bool:
    """Whether a column could hold classes: a few values that come again, no fractions."""
    found = values.dropna().unique()
    if values.dtype.kind == "f" and (found != found.round()).any():
        return False
    return 2 <= len(found) <= max(len(values) // 10, 2)


def _told_apart(values: Any, name: str) -> Floats:
    """Numbers as f32 (n,); whole ones so large that float32 makes many alike are refused."""
    numbers: Floats = values.to_numpy(dtype=np.float32, na_value=np.nan)
    whole = values.dtype.kind in "iu"
    if whole and len(np.unique(numbers)) < _KEPT * values.nunique():
        raise DataError(
            f"column '{name}' holds whole numbers such as {values.iloc[0]}, of which float32 tells "
            f"{len(np.unique(numbers)):,} apart and not {values.nunique():,}",
            "numbers below 16,777,216",
            f"subtract its smallest value, or --drop {name}",
        )
    return numbers


def _column(values: Any, name: str) -> tuple[Any, tuple[str, ...]]:
    """Numbers f32 (n,) with NaN where missing, or codes and the names of their categories."""
    if values.dtype.kind in "biuf":
        return _told_apart(values, name), ()
    if values.dtype.kind in "mM":
        raise _dated(name, values.iloc[0])
    strange = [v for v in values.dropna()[:1000] if not isinstance(v, str | int | float | bool)]
    if values.dtype == object and strange:
        raise DataError(
            f"column '{name}' holds {type(strange[0]).__name__}",
            "numbers and categories",
            "give each of its values a column",
        )
    text = values.astype(object).where(values.notna(), "missing")
    text = np.array([str(value).strip() for value in text])
    shown = [value for value in text[:1000] if value != "missing"]
    if shown and all(_DATE.fullmatch(value) for value in shown):
        raise _dated(name, shown[0])
    found, codes = np.unique(text, return_inverse=True)
    written = [value for value in found if _WRITTEN_NUMBER.fullmatch(value)]
    if len(found) > _FEW and len(written) > 0.9 * len(found):
        odd = next((v for v in found if v != "missing" and not is_number(v)), written[0])
        raise DataError(
            f"column '{name}' holds numbers written as texts ('{odd}')",
            "numbers such as 1234.5",
            "write them so, and leave out what is missing",
        )
    most = min(MOST_CATEGORIES, max(int(values.notna().sum()) // 2, _FEW))
    if len(found) > most:
        raise DataError(
            f"column '{name}' holds {len(found):,} different texts in {len(text):,} rows",
            f"at most {most:,} categories",
            f"leave it out if it names rows: --drop '{name}'; or classify by it: --text '{name}'",
        )
    return codes.astype(np.float32), tuple(str(value) for value in found)


def _dated(name: str, value: object) -> DataError:
    return DataError(
        f"column '{name}' holds dates ({value})",
        "numbers and categories",
        f"make numbers of it, such as a month or an age in days, or leave it out: --drop '{name}'",
    )
