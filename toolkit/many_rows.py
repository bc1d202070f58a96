"""explain_rows(): the reasons of any number of rows, part by part, as Parquet.

Each part of `PART` rows is a piece of work of its own and a file of its own, written whole. A part
that is there is not done again, and a folder never takes parts of another model, other rows,
settings or another seed. Values are the same whoever works, and in whatever company.
"""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from toolkit import parquet
from toolkit.checkpoints import digest
from toolkit.data.sources import Source
from toolkit.errors import OutputError, RecipeError, ToolkitError
from toolkit.explainers import EXPLAINERS, Explainer, Players
from toolkit.explainers.choices import USUAL, Choice, chosen
from toolkit.explanation import players_of
from toolkit.fidelity.resolution import FromLogits, resolved
from toolkit.files import write_bytes, write_text
from toolkit.glossary import Attribution, Data, Facts, Floats, Ints, Predictor
from toolkit.jobs import crew, spread
from toolkit.predict import OnnxPredictor, fitting
from toolkit.progress import tell
from toolkit.provenance import versions
from toolkit.shapes import in_shape

PART = 2048
"""Rows of a part: what a kill can cost, and what a worker holds at once."""

ABOUT = "_about.json"
_TOGETHER = 256
_AHEAD = 4
"""Parts for each worker between two looks at what is left."""

_FINEST = 200
_COLUMNS = 32_768
_TOP = 10

Piece = tuple[int, str, int, Floats]
"""A part: its number, the source it is of, the place there of its first row, its rows."""


@dataclass(frozen=True)
class Told:
    """What was explained: where it lies, how many rows, and how many of them were there before.

    unsure: rows that did not converge. foremost: the players that move predictions most, with
    their mean |value|, a probability.
    """

    path: Path
    rows: int
    found: int
    unsure: int
    foremost: tuple[tuple[str, float], ...]


@dataclass(frozen=True, eq=False)
class _Job:
    """What a worker must know beside its rows. around: the players of a table, else a background.

    steps: whether probabilities are rounded, so that logits are explained.
    """

    model: bytes
    name: str
    steps: bool
    explainer: Explainer
    around: Players | Data
    choice: Choice
    seed: int
    classes: tuple[str, ...]
    key: str


def explain_rows(
    model: Any,
    sources: Sequence[Source],
    out: Path,
    *,
    background: Data,
    choice: Choice = USUAL,
    explainer: Explainer | None = None,
    name: str = "",
    seed: int = 0,
) -> Told:
    """Explain every row of `sources` for the class that the model gives it.

    model: an `.onnx` as a path or bytes, or a keras.Model, which is exported first. out: a folder,
    or a file that ends in .parquet, which is joined from its parts when all are there. background:
    training rows that say what a hidden value looks like; choice: who plays and what hides them.
    Inside `working(...)` parts are done side by side. Memory is that of a few parts. A run that was
    killed goes on when it is called again.
    Raises RecipeError for a method that looks inside a model, as gradients do, OutputError for a
    place with anything else in it, MatchError for rows or classes that do not fit the model.

    >>> import tempfile
    >>> from toolkit import data, models
    >>> from toolkit.data.sources import of_splits
    >>> wine = data.load("wine")
    >>> net = models.build("tabular", wine.fit.train)
    >>> out = Path(tempfile.mkdtemp()) / "why.parquet"
    >>> few = EXPLAINERS["shapley"](evaluations=7000)
    >>> told = explain_rows(
    ...     net, of_splits(wine)[-1:], out, background=wine.fit.train, explainer=few
    ... )
    >>> told.rows, out.is_file()
    (45, True)
    """
    parquet.arrow()  # before anything is claimed
    explainer = explainer or EXPLAINERS["shapley"]()
    _of_onnx(explainer)
    content, known = model_bytes(model, background)
    name = name or (model.stem if isinstance(model, Path) else "model")
    predict = OnnxPredictor(content, name, 1)
    explainer.suiting(predict)
    fitting(predict, background)
    # not by the rows asked for: what is told of a row must not hang on its company
    opened, _ = resolved(predict, np.asarray(background.spread(_FINEST).x[:]))
    with closing(sources[0].read(1)) as chunks:
        first = next(chunks)
    in_shape(first, predict.shape)
    around = _around(first, background, explainer, seed, choice)
    _hiding(around, explainer, choice)
    about: Facts = {
        "model": known,
        "method": explainer.method,
        "settings": vars(explainer),
        "choice": asdict(choice),
        "seed": seed,
        "classes": list(background.classes),
        "background": digest(around),
        "rows": [{"name": s.name, "rows": s.rows, "sha256": s.sha256} for s in sources],
        "part": PART,
        "versions": versions(),
    }
    key = digest(about, name)
    steps = opened is not predict
    job = _Job(content, name, steps, explainer, around, choice, seed, background.classes, key)
    single = out.suffix == ".parquet"
    folder = out.with_name(out.name + ".parts") if single else out
    total = sum(s.rows for s in sources)
    paths = [
        folder / f"part-{i:06}.parquet" for i in range(sum(-(-s.rows // PART) for s in sources))
    ]
    if single and out.is_dir():
        raise OutputError(
            f"{out} is a folder, and .parquet names a file", "another name", "choose one"
        )
    if single and out.is_file():
        if (parquet.about(out) or {}).get("key") == key:
            # killed after the parts were joined
            left = folder / ABOUT
            if left.is_file() and json.loads(left.read_text(encoding="utf-8")).get("key") == key:
                shutil.rmtree(folder)
            return _told(out, [out], total, total)
        raise _taken(out)
    found = _within(folder, {"key": key, **about}, job, sources, paths)
    told = _told(out, paths, total, found)
    if single:
        parquet.merged(paths, out, {"key": key, **about})
        shutil.rmtree(folder)
    return told


def _of_onnx(explainer: Explainer) -> None:
    """Raise RecipeError for a method that looks inside: here a Keras model is exported first."""
    if explainer.needs:
        rest = ", ".join(name for name, kind in EXPLAINERS.items() if not kind.needs)
        raise RecipeError(
            f"{explainer.method} over many rows, where an .onnx is asked, which tells no "
            f"{explainer.needs}",
            rest,
            "take one of these, or name rows one by one for a page",
        )


def _hiding(around: Players | Data, explainer: Explainer, choice: Choice) -> None:
    """Raise RecipeError for a choice of what hides where nothing is hidden."""
    plain = isinstance(around, Players) and around.columns and explainer.method == "lime"
    if plain and (choice.hidden or choice.rows is not None):
        what = f"hidden {choice.hidden}" if choice.hidden else f"{choice.rows} background rows"
        raise RecipeError(
            f"{what} for lime over plain columns, of which it hides none",
            "another method, or players groups",
            "leave it out",
        )


def model_bytes(model: Any, rows: Data) -> tuple[bytes, str]:
    """The model as the bytes of an `.onnx`, and what it is known by."""
    import hashlib

    if not isinstance(model, bytes | str | Path):
        from toolkit.cache import model_key
        from toolkit.exporting import export

        some = rows.rows(slice(_FINEST))
        return export(model, some).model.SerializeToString(), model_key(model, None)
    content = model if isinstance(model, bytes) else Path(model).read_bytes()
    return content, hashlib.sha256(content).hexdigest()


def _around(
    x: Floats, background: Data, explainer: Explainer, seed: int, choice: Choice
) -> Players | Data:
    """As little as makes the players of any row: those of a table, or one row of a background."""
    rows = replace(background, x=x[:1], y=np.zeros(1, np.int64), texts=None)
    first = players_of(rows, [0], background, seed, choice)[0]
    if background.kind == "tabular":
        table = background.rows(slice(None, None, -(-len(background) // _COLUMNS)))
        return replace(first, table=table if explainer.method == "lime" else None)
    some = background.rows(slice(len(first.background)))
    return replace(some, x=first.background, texts=None)


def _within(
    folder: Path, about: Facts, job: _Job, sources: Sequence[Source], paths: list[Path]
) -> int:
    """Take the folder and do the parts that are missing; how many rows were there before.

    What is refused before any part is written gives back the place that it took.
    """
    new = not folder.exists()
    mine = _claim(folder, about)
    try:
        return _work(job, sources, paths, about)
    except ToolkitError:
        if mine and not any(folder.glob("part-*")):
            _give_back(folder, about, whole=new)
        raise


def _give_back(folder: Path, about: Facts, *, whole: bool) -> None:
    path = folder / ABOUT
    if path.is_file() and path.read_text(encoding="utf-8") == _told_by(about):
        path.unlink()
    if whole:
        # another process may have begun there
        with suppress(OSError):
            folder.rmdir()


def _told_by(about: Facts) -> str:
    return json.dumps(about, indent=1) + "\n"


def _claim(folder: Path, about: Facts) -> bool:
    """Take a folder for this work, or go on in it; whether it was free.

    Raises OutputError for one that is taken.
    """
    path = folder / ABOUT
    text = _told_by(about)
    if path.is_file():
        if path.read_text(encoding="utf-8") != text:
            raise _taken(folder)
        return False
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise OutputError(f"{folder} holds other files", "a new or an empty folder", "choose one")
    write_text(path, text)
    return True


def _taken(path: Path) -> OutputError:
    return OutputError(
        f"{path} holds reasons of another model, other rows, settings, versions or seed",
        "the same again, to go on, or a new place",
        "choose another --out or remove it",
    )


def _work(job: _Job, sources: Sequence[Source], paths: list[Path], about: Facts) -> int:
    """Do the parts that are missing; how many rows were there before."""
    total = sum(s.rows for s in sources)
    task = f"explain {job.explainer.method}"
    there = {i for i, path in enumerate(paths) if _is_there(path, job.key, i)}
    lengths = [min(PART, s.rows - start) for s in sources for start in range(0, s.rows, PART)]
    before = done = sum(lengths[i] for i in there)
    tell(task, done, total)
    missing = (piece for piece in _pieces(sources) if piece[0] not in there)
    while some := list(itertools.islice(missing, _AHEAD * max(crew().width, 1))):
        numbers = [piece[0] for piece in some]

        def keep(place: int, content: bytes, numbers: list[int] = numbers) -> None:
            nonlocal done
            # whoever took the place first may have given it back, and others have taken it
            _claim(paths[0].parent, about)
            write_bytes(paths[numbers[place]], content)
            done += lengths[numbers[place]]
            tell(task, done, total)

        spread(_explained, some, job, done=keep)
    return before


def _pieces(sources: Sequence[Source]) -> Iterator[Piece]:
    number = itertools.count()
    for source in sources:
        start = 0
        for x in source.again(PART):
            yield next(number), source.name, start, x
            start += len(x)


def _is_there(path: Path, key: str, number: int) -> bool:
    told = parquet.about(path) if path.is_file() and parquet.is_whole(path) else None
    return told is not None and (told.get("key"), told.get("number")) == (key, number)


def _explained(piece: Piece, job: _Job) -> bytes:
    """The file of one part. One thread a worker: other workers have the other cores."""
    number, source, start, x = piece
    whole = OnnxPredictor(job.model, job.name, 1)
    predict: Predictor = FromLogits(whole) if job.steps else whole
    found: list[Attribution] = []
    for i in range(0, len(x), _TOGETHER):
        some = x[i : i + _TOGETHER]
        players = {start + i + j: _players(row, job) for j, row in enumerate(some)}
        targets: Ints = predict(some).argmax(axis=1)
        told = job.explainer.several(predict, players, targets.tolist(), seed=job.seed)
        # large, and no table holds them
        found += [replace(one, picture=None) for one in told]
    return parquet.lines(found, source, job.classes, {"key": job.key, "number": number})


def _players(row: Floats, job: _Job) -> Players:
    if isinstance(job.around, Players):
        return replace(job.around, x=row)
    return chosen(row, job.around, job.choice, seed=job.seed)


def _told(path: Path, parts: Sequence[Path], rows: int, found: int) -> Told:
    unsure, foremost = parquet.summary(parts, rows)
    return Told(path, rows, found, unsure, tuple(foremost[:_TOP]))
