"""`toolkit verify`: whether what somebody sent is whole and holds what it says."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from toolkit.cli import options, screen
from toolkit.glossary import Splits, Words
from toolkit.run import Run

if TYPE_CHECKING:  # it loads what explains, and help is quick
    from toolkit.verification import Checked

_PAGES = (".html", ".htm", ".json")


def verify(
    file: Annotated[Path, typer.Argument(help="A bundle.zip, or a page of explain.")],
    models: Annotated[
        list[Path] | None, typer.Argument(help="The model files that the page speaks of.")
    ] = None,
    *,
    data: Annotated[str, typer.Option("--data", help="The data that the page speaks of.")] = "",
    rows: Annotated[int, typer.Option(min=1, help="Rows of the page to explain again.")] = 3,
    label: options.Label = "",
    drop: options.Drop = None,
    text: options.Text = "",
    vocabulary: options.Vocabulary = None,
    size: options.Size = "",
    scale: options.Scale = 1.0,
    offset: options.Offset = 0.0,
    seed: options.Seed = 0,
    as_json: options.AsJson = False,
) -> int:
    """Check a bundle by its hashes and samples, or a page by explaining some rows again.

    Example: toolkit verify bundle.zip

    Example: toolkit verify why.html small/base.onnx small/int8.onnx --data digits

    Nothing in the bundle is run. Exit code 1 when a file was changed or an answer differs.
    """
    from toolkit import verification
    from toolkit.errors import DataError

    if file.suffix.lower() not in _PAGES:
        if models or data:
            raise DataError(
                f"{file} with models or data", "a bundle alone, or a page", "leave them out"
            )
        return _bundle(file, as_json=as_json)
    if not models or not data:
        raise DataError(
            f"{file} without what it speaks of", "its model files and --data", "name them"
        )
    run = verification.page(file)
    if not run.attributions:
        raise DataError(
            f"{file} is no page of explain",
            "a page of explain, or a bundle",
            "verify the bundle that compress --bundle writes",
        )
    splits = options.loaded(
        data,
        scale=scale,
        offset=offset,
        seed=run.seeds.get("seed", 0),
        label=label,
        text=text,
        size=size,
        drop=drop,
    )
    found, told = verification.named(run, models)
    told += verification.versions(run)
    if run.base in found:
        words = options.vocabulary_of(found[run.base], vocabulary)
        told += _recomputed(run, found, splits, words, rows=rows, seed=seed)
    told += verification.shown(file, run)
    passed = run.base in found and all(c.matches is not False for c in told)
    if as_json:
        screen.say_json({"passed": passed, "checked": [asdict(c) for c in told]})
    else:
        for c in told:
            word = {True: "match", False: "MISMATCH", None: "note"}[c.matches]
            screen.say(f"{word}: {c.sentence}")
        screen.say("verified" if passed else "not verified: do not trust it")
    return 0 if passed else 1


def _recomputed(
    run: Run, found: dict[str, Path], splits: Splits, words: Words | None, *, rows: int, seed: int
) -> tuple[Checked, ...]:
    from toolkit import verification
    from toolkit.predict import predictor

    predictors = {name: predictor(path, name) for name, path in found.items()}
    splits = options.in_words(splits, found[run.base], predictors[run.base].shape, words)
    with screen.progress():
        some = verification.recomputed(run, predictors, splits, rows=rows, seed=seed)
        return (*some, *verification.figures(run, predictors, splits))


def _bundle(file: Path, *, as_json: bool) -> int:
    from toolkit.bundle import verify as verified
    from toolkit.bundle.device import told

    found = verified(file)
    if as_json:
        screen.say_json({**asdict(found), "passed": found.passed})
        return 0 if found.passed else 1
    screen.say(f"{found.name}: SHA-256 of the bundle {found.sha256}")
    for name, what in found.altered.items():
        screen.say(f"{name} {what}")
    if found.replay is not None:
        screen.say(f"{found.files} files are whole")
        screen.say(told(found.replay))
    if not found.ours:
        screen.say("run.py is not the script of this version of the toolkit; it was not run")
    screen.say("verified" if found.passed else "not verified: do not use it")
    return 0 if found.passed else 1
