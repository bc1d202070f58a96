"""`explain`: why a model decides so, and whether another decides for the same reasons."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from toolkit.cli import figures, options, screen
from toolkit.glossary import Splits
from toolkit.run import Run


def explain(
    model: Annotated[Path, typer.Argument(help="A .onnx, .keras or .h5 classifier.")],
    data: options.Data,
    out: Annotated[Path, typer.Option("--out", help="The .html page to write.")],
    *,
    against: Annotated[
        Path | None, typer.Option(help="Another model, explained on the same rows.")
    ] = None,
    method: Annotated[
        list[str] | None, typer.Option(help="shapley or lime, or both by giving it twice.")
    ] = None,
    rows: Annotated[
        str, typer.Option(help="How many rows to pick, or the rows themselves: 3,17,42.")
    ] = "12",
    min_agreement: Annotated[
        float | None, typer.Option(help="Least mean cosine of reasons (needs --against).")
    ] = None,
    custom: options.Custom = None,
    trust: options.Trust = False,
    architecture: options.Architecture = "",
    label: options.Label = "",
    text: options.Text = "",
    vocabulary: options.Vocabulary = None,
    size: options.Size = "",
    scale: options.Scale = 1.0,
    offset: options.Offset = 0.0,
    seed: options.Seed = 0,
    as_json: options.AsJson = False,
) -> int:
    """Explain decisions with SHAP and LIME, in one page.

    Example: explain small/base.onnx --against small/int8.onnx --data digits --out why.html

    Exit code 1 when the reasons agree less than --min-agreement; the page is still written.
    """
    from toolkit import report, run
    from toolkit.checks import checked
    from toolkit.errors import OutputError, RecipeError
    from toolkit.files import writable_folder
    from toolkit.models import open_model, parted
    from toolkit.models.opening import kind_of
    from toolkit.predict import fitting, predictor
    from toolkit.study import METHODS, study

    if out.suffix not in (".html", ".htm"):
        raise OutputError(f"cannot write {out}", "a name that ends in .html", "rename it")
    if min_agreement is not None and (against is None or not -1 <= min_agreement <= 1):
        raise RecipeError(
            f"--min-agreement {min_agreement}", "-1 to 1, with --against OTHER", "correct it"
        )
    picked = _rows(rows)
    kinds = [kind_of(path) for path in (model, against) if path is not None]
    splits = options.loaded(
        data, scale=scale, offset=offset, seed=seed, label=label, text=text, size=size
    )
    writable_folder(out.parent)
    same = against is not None and against.stem == model.stem
    words = options.vocabulary_of(model, vocabulary)
    predictors = []
    first: Any = None
    for path, kind in zip((model, against), kinds, strict=False):
        if path is None:
            continue
        opened: Any = path
        if kind != "onnx":
            opened, own = parted(
                open_model(path, custom=custom or (), trust=trust, architecture=architecture), words
            )
            words = own or words
            first = opened if path == model else first
        name = str(path) if same else path.stem
        predictors.append(predictor(opened, name))
    splits = options.in_words(splits, model, predictors[0].shape, words)
    for one in predictors:
        fitting(one, splits.test)
    with screen.progress():
        found = study(predictors, splits, methods=method or METHODS, rows=picked, seed=seed)
    found = checked(_layered(found, model, first, splits))
    run.save(found, out.with_suffix(".json"))
    report.write_page(found, "explanation", out)
    agreed = [m for m in found.measurements if m.name.startswith("reason_cosine ")]
    if as_json:
        screen.say_json(figures.plain(found))
    else:
        screen.say(figures.explained(found))
        screen.say(f"page: {out}")
    short = [m for m in agreed if min_agreement is not None and m.value < min_agreement]
    return 1 if short else 0


def _layered(found: Run, path: Path, opened: Any, splits: Splits) -> Run:
    """The run with pictures of the first model's layers; a Keras model is exported for them."""
    from dataclasses import replace
    from tempfile import TemporaryDirectory

    from toolkit.artifact import save
    from toolkit.errors import ExportError
    from toolkit.glossary import Finding
    from toolkit.study import with_layers

    if opened is None:
        return with_layers(found, path, splits)
    from toolkit.export import export

    with TemporaryDirectory() as folder:
        try:
            made = save(export(opened, splits.fit.validation).model, "model", Path(folder))
        except ExportError as error:
            said = Finding("E1", "info", found.base, f"No pictures of layers: {error}.", "")
            return replace(found, findings=(*found.findings, said))
        return with_layers(found, made.path, splits)


def _rows(text: str) -> int | list[int]:
    from toolkit.errors import DataError

    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        numbers = [-1]
    if min(numbers) < 0 or (len(numbers) == 1 and numbers[0] == 0):
        raise DataError(
            f"--rows {text}", "how many to pick, or rows such as 3,17,42", "correct the option"
        )
    return numbers[0] if len(numbers) == 1 else numbers
