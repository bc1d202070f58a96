"""Options that several commands share, so that one word means one thing."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from toolkit.cli import screen
from toolkit.glossary import Splits, Words

if TYPE_CHECKING:
    from toolkit.explainers.choices import Choice
    from toolkit.requirement import Requirement

Data = Annotated[str, typer.Option("--data", help="A set, .npz, table, .txt or folder.")]
Text = Annotated[str, typer.Option("--text", help="Column of texts in a table; else guessed.")]
Vocabulary = Annotated[
    Path | None, typer.Option("--vocabulary", help="Words of a model that takes their indices.")
]
Label = Annotated[str, typer.Option("--label", help="Label column of a table; else guessed.")]
Drop = Annotated[list[str] | None, typer.Option("--drop", help="A column of a table to leave out.")]
Size = Annotated[str, typer.Option("--size", help="HEIGHTxWIDTH of pictures, or HxWx3.")]
Seed = Annotated[int, typer.Option("--seed", min=0, max=2**32 - 1, help="Same seed, same result.")]
Scale = Annotated[float, typer.Option("--scale", help="Times x; 0.00392157 is 1/255.")]
Offset = Annotated[float, typer.Option("--offset", help="Add to x after --scale.")]
Custom = Annotated[
    list[str] | None, typer.Option("--custom", help="FILE.py:Name of a class the model file names.")
]
Trust = Annotated[bool, typer.Option("--trust", help="Let code in the model file run (Lambda).")]
Architecture = Annotated[
    str, typer.Option("--architecture", help="FILE.py:function or .json, for weights only.")
]
Devices = Annotated[
    str, typer.Option("--devices", help="Train on: auto, cpu, gpu, all; or as TF_CONFIG says.")
]
Epochs = Annotated[
    int,
    typer.Option("--epochs", help="Passes over the rows; 0: 10, or up to 100 where rows are few."),
]
Mixed = Annotated[bool, typer.Option("--mixed", help="Train in float16 on a GPU.")]
Samples = Annotated[int | None, typer.Option("--samples", help="Questions of a method, in all.")]
Evaluations = Annotated[
    int | None, typer.Option("--evaluations", help="Rows the model may be asked a row (shapley).")
]
Tolerance = Annotated[
    float | None,
    typer.Option("--tolerance", help="Shapley stops at this standard error."),
]
Stable = Annotated[
    bool, typer.Option("--stable", help="Sample until the top stays (lime); one model.")
]
Background = Annotated[
    int | None, typer.Option("--background", help="Training rows that hide, of a table, else 100.")
]
Jobs = Annotated[int, typer.Option("--jobs", min=1, help="Processes side by side.")]
Backend = Annotated[str, typer.Option("--backend", help="processes or dask.")]
Scheduler = Annotated[
    str, typer.Option("--scheduler", help="Address of a Dask scheduler: tcp://10.0.0.5:8786.")
]


def _known(language: str) -> str:
    """Refuse a language before anything is done, and not when the page is written."""
    from toolkit.report.strings import known

    return known(language)


Lang = Annotated[str, typer.Option("--lang", callback=_known, help="Of the pages: en, de or zh.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout.")]
Slice = Annotated[
    list[str] | None,
    typer.Option("--slice", help="Measure by the values of this column; repeatable."),
]
Require = Annotated[
    list[str] | None,
    typer.Option("--require", help="Another limit: 'flips class:* <= 5'; repeatable."),
]
Out = Annotated[Path, typer.Option("--out", help="Where to write.")]


def loaded(
    data: str,
    *,
    scale: float,
    offset: float,
    seed: int,
    label: str,
    text: str,
    size: str,
    drop: Sequence[str] | None = None,
) -> Splits:
    """The data that the shared options name."""
    from toolkit.data import load
    from toolkit.data.tables import LABELS
    from toolkit.errors import DataError

    parts = size.lower().split("x") if size else []
    whole = all(part.isdigit() and int(part) for part in parts)
    if size and not (whole and (len(parts) == 2 or (len(parts) == 3 and parts[2] in ("1", "3")))):
        raise DataError(f"--size {size}", "HEIGHTxWIDTH, such as 64x64 or 64x64x3", "correct it")
    pixels = tuple(int(part) for part in parts) or None
    splits = load(
        data,
        scale=scale,
        offset=offset,
        seed=seed,
        label=label,
        text=text,
        size=pixels,
        drop=drop or (),
    )
    if splits.facts.get("label_guessed"):
        found, others = str(splits.facts["label"]), splits.test.features
        if found.lower() not in LABELS or any(name.lower() in LABELS for name in others):
            screen.note(f"label: column '{found}', by its name or place; --label names another")
    return splits


def again(**given: Any) -> str:
    """Options that say how data are read, as they are typed: those of `loaded` that were given.

    >>> again(label="my class", drop=["a", "b"], size="", scale=1.0)
    " --label 'my class' --drop a --drop b"
    """
    usual = {"scale": 1.0, "offset": 0.0, "seed": 0}
    said = ""
    for name, value in given.items():
        every = value if isinstance(value, list) else [value]
        for one in every:
            if one and one != usual.get(name):
                said += (
                    f" --{name} {shlex.quote(f'{one:g}' if isinstance(one, float) else str(one))}"
                )
    return said


def choice(
    players: str,
    groups: Sequence[str] | None,
    hidden: str,
    patches: int,
    rows: int | None = None,
) -> Choice:
    """Who is hidden or shown, and by what. Raises RecipeError for what is no choice."""
    from toolkit.errors import RecipeError
    from toolkit.explainers.choices import Choice

    named = []
    for text in groups or ():
        # columns may hold an equals sign themselves, as job=admin does
        name, _, columns = text.partition("=")
        if not name or not columns:
            raise RecipeError(f"--group {text}", "NAME=COLUMN,COLUMN", "correct it")
        named.append((name, tuple(columns.split(","))))
    way, _, colour = hidden.partition("=")
    try:
        values = tuple(float(part) for part in colour.split(",")) if colour else ()
    except ValueError as error:
        raise RecipeError(
            f"--hidden {hidden}", "colour=0.5 or colour=R,G,B", "correct it"
        ) from error
    return Choice(
        players=players,
        hidden=way,
        groups=tuple(named),
        patches=patches,
        colour=values,
        rows=rows,
    )


def vocabulary_of(model: Path, given: Path | None) -> Words | None:
    """The words of a model: those given, or those that lie beside it."""
    from toolkit.data import words

    found = given or words.beside(model)
    return words.read(found) if found else None


def in_words(
    splits: Splits, model: Path, shape: tuple[int | None, ...], found: Words | None
) -> Splits:
    """Texts as indices into the vocabulary of the model, and indices with their words.

    shape: of one row of the model. Raises ModelError when texts come without a vocabulary.
    """
    from toolkit.data import reworded
    from toolkit.errors import ModelError

    if splits.test.texts is None and found is None:
        return splits
    if found is None:
        raise ModelError(
            f"no vocabulary for {model}",
            "the words whose indices it was trained on",
            "add --vocabulary FILE, one word a line or {word: index} as JSON",
        )
    return reworded(splits, found, shape[0] if len(shape) == 1 else None)


def demanded(
    require: list[str] | None, slices: list[str] | None, splits: Splits | None = None
) -> tuple[tuple[Requirement, ...], tuple[str, ...]]:
    """What must hold, and the columns to slice by; with `splits` both must fit its rows.

    Raises RecipeError for what is no demand, DataError for a column that is not there.
    """
    from toolkit.behaviour import column_of
    from toolkit.requirement import required

    found = tuple(required(text) for text in require or ())
    wanted = (*(slices or ()), *(column for r in found if (column := r.column())))
    columns = tuple(dict.fromkeys(wanted))
    if splits is not None:
        for column in columns:
            column_of(splits.test, column)
        for one in found:
            one.fitting(splits.test)
    return found, columns
