"""`toolkit verify`: whether what somebody sent is whole and holds what it says."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from toolkit.cli import options, screen
from toolkit.cli.opening import opened
from toolkit.glossary import Predictor, Splits
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
    custom: options.Custom = None,
    trust: options.Trust = False,
    architecture: options.Architecture = "",
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
    from toolkit.models.opening import kind_of

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
    for model in models:
        kind_of(model)  # says in a line what is no model file
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
    known = run.base in found
    if known:
        # the base first: texts become the indices of its words
        files = {run.base: found.pop(run.base), **found}
        predictors, _, words = opened(
            files,
            options.vocabulary_of(files[run.base], vocabulary),
            custom=custom or (),
            trust=trust,
            architecture=architecture,
        )
        splits = options.in_words(splits, files[run.base], predictors[0].shape, words)
        told += _recomputed(run, predictors, splits, rows=rows, seed=seed)
    told += verification.shown(file, run)
    passed = known and all(c.matches is not False for c in told)
    if as_json:
        screen.say_json({"passed": passed, "checked": [asdict(c) for c in told]})
    else:
        for c in told:
            word = {True: "match", False: "MISMATCH", None: "note"}[c.matches]
            screen.say(f"{word}: {c.sentence}")
        screen.say("verified" if passed else "not verified: do not trust it")
    return 0 if passed else 1


def _recomputed(
    run: Run, predictors: list[Predictor], splits: Splits, *, rows: int, seed: int
) -> tuple[Checked, ...]:
    from toolkit import verification

    found = {p.name: p for p in predictors}
    with screen.progress():
        some = verification.recomputed(run, found, splits, rows=rows, seed=seed)
        return (*some, *verification.figures(run, found, splits))


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
