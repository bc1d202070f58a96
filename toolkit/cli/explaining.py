"""`explain`: why a model decides so, and whether another decides for the same reasons."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from toolkit.cli import distilling, figures, options, screen, streaming
from toolkit.cli.given import apart, noted
from toolkit.cli.opening import opened
from toolkit.glossary import Predictor, Splits
from toolkit.run import Run

if TYPE_CHECKING:  # it loads the passes, and help is quick
    from toolkit.gate import Verdict
    from toolkit.recipe import Recipe


def explain(
    model: Annotated[Path, typer.Argument(help="A .onnx, .keras or .h5 classifier.")],
    data: options.Data,
    out: Annotated[
        Path | None, typer.Option("--out", help=".html; of --rows all .parquet, folder.")
    ] = None,
    *,
    against: Annotated[
        list[Path] | None,
        typer.Option(help="Another model on the same rows; repeatable."),
    ] = None,
    stages: Annotated[str, typer.Option(help="A recipe: what each pass does to the reasons.")] = "",
    ceiling: Annotated[
        Path | None, typer.Option(help="The base trained anew, as a yardstick.")
    ] = None,
    method: Annotated[
        list[str] | None,
        typer.Option(help="shapley, lime, or others: docs/explaining.md."),
    ] = None,
    rows: Annotated[str, typer.Option(help="How many, 3,17,42, all or a file.")] = "12",
    sample: Annotated[
        int | None, typer.Option(help="Rows to compare over; else 24 or more.", min=0)
    ] = None,
    min_agreement: Annotated[
        float | None, typer.Option(help="Least agreement, 0 to 1, by its 95 % bound.")
    ] = None,
    junit: Annotated[Path | None, typer.Option(help="The verdicts as JUnit XML.")] = None,
    players: Annotated[str, typer.Option(help="features, groups, grid, superpixels, pixels.")] = "",
    group: Annotated[
        list[str] | None, typer.Option(help="NAME=COLUMN,COLUMN: one player; repeatable.")
    ] = None,
    hidden: Annotated[str, typer.Option(help="background, mean, blur, mask, colour[=R,G,B].")] = "",
    patches: Annotated[int, typer.Option(help="Parts of a picture.", min=1)] = 16,
    quality: Annotated[
        list[str] | None, typer.Option(help="Figures: infidelity, complexity, ... or all.")
    ] = None,
    samples: options.Samples = None,
    evaluations: options.Evaluations = None,
    tolerance: options.Tolerance = None,
    stable: options.Stable = False,
    background: options.Background = None,
    distil_explainer: Annotated[
        Path | None, typer.Option(help="Write a net that explains.")
    ] = None,
    max_error: Annotated[
        float | None, typer.Option(help="Most it may err; 1 is as saying nothing.")
    ] = None,
    custom: options.Custom = None,
    trust: options.Trust = False,
    architecture: options.Architecture = "",
    label: options.Label = "",
    drop: options.Drop = None,
    text: options.Text = "",
    vocabulary: options.Vocabulary = None,
    size: options.Size = "",
    scale: options.Scale = 1.0,
    offset: options.Offset = 0.0,
    jobs: options.Jobs = 1,
    backend: options.Backend = "processes",
    scheduler: options.Scheduler = "",
    seed: options.Seed = 0,
    lang: options.Lang = "en",
    as_json: options.AsJson = False,
) -> int:
    """Explain decisions by SHAP and LIME. Exit code 1: over a limit that was set.

    Example: explain base.onnx --against int8.onnx --data digits --out why.html
    """
    from toolkit import gate
    from toolkit.checks import checked
    from toolkit.errors import RecipeError
    from toolkit.explainers.named import named
    from toolkit.files import sha256, writable_folder
    from toolkit.jobs import working
    from toolkit.models.opening import kind_of
    from toolkit.predict import fitting
    from toolkit.quality import CHEAP, chosen
    from toolkit.studying import METHODS, SAMPLE, study

    others = against or []
    whole = streaming.asked(rows)
    given = {
        "--against": others,
        "--stages": stages,
        "--ceiling": ceiling,
        "--min-agreement": min_agreement is not None,
        "--junit": junit,
        "--quality": quality,
        "--sample": sample is not None,
        "--lang": lang != "en",
        "--method": method,
        "--samples": samples is not None,
        "--tolerance": tolerance is not None,
        "--stable": stable,
        "--jobs": jobs > 1 or scheduler or backend != "processes",
        "--max-error": max_error is not None,
    }
    picked, judged_by = 0 if whole else _rows(rows), chosen(quality or CHEAP)
    place = _place(out, distil_explainer, rows if whole else "", given)
    explainers = named(
        method or (["shapley"] if whole else METHODS),
        samples=samples,
        evaluations=evaluations,
        tolerance=tolerance,
        stable=stable,
    )
    choice = options.choice(players, group, hidden, patches, background)
    if sample is not None and isinstance(picked, list):
        raise RecipeError(
            f"--sample {sample} with --rows {rows}",
            "one of them: rows named are compared",
            "choose",
        )
    if sample is None:
        sample = max(SAMPLE, 0 if min_agreement is None else gate.enough(min_agreement))
    _check_gate(min_agreement, junit, len(picked) if isinstance(picked, list) else sample or picked)
    paths = [model, *others, *([ceiling] if ceiling else [])]
    kinds = [kind_of(path) for path in paths]
    if not whole:
        _spared(place, [*paths, Path(data)], junit)
    along = _recipe(stages, kinds[0])
    splits = options.loaded(
        data, scale=scale, offset=offset, seed=seed, label=label, text=text, size=size, drop=drop
    )
    writable_folder(place.parent)
    predictors, first, words = opened(
        dict(zip(apart(paths), paths, strict=True)),
        options.vocabulary_of(model, vocabulary),
        custom=custom or (),
        trust=trust,
        architecture=architecture,
    )
    splits = options.in_words(splits, model, predictors[0].shape, words)
    choice.fitting(splits.test.kind)
    fitting(predictors[0], splits.test)
    if whole:
        with working(jobs, backend, scheduler):
            return streaming.explained(
                model if first is None else first,
                splits,
                rows,
                place,
                explainers,
                name=predictors[0].name,
                values=(scale, offset),
                choice=choice,
                seed=seed,
                as_json=as_json,
            )
    if distil_explainer is not None:
        return distilling.distilled(
            model if first is None else first,
            splits,
            place,
            most=max_error,
            evaluations=evaluations,
            choice=choice,
            seed=seed,
            as_json=as_json,
        )
    retrained = predictors.pop() if ceiling else None
    with screen.progress():
        if along is not None:
            predictors += _along(along, first, splits, place, seed)
        found = study(
            predictors,
            splits,
            methods=explainers,
            rows=picked,
            sample=sample,
            retrained=retrained,
            figures=judged_by,
            choice=choice,
            seed=seed,
        )
    # the files themselves, so that the page can be verified
    each = zip(predictors, paths, strict=False)
    files = {f"model {p.name}": sha256(path) for p, path in each if path.is_file()}
    found = noted(replace(found, hashes={**found.hashes, **files}))
    found = checked(_layered(found, model, first, splits))
    told = _written(found, place, min_agreement, junit, lang)
    _say(found, told, place, as_json=as_json)
    return 0 if all(v.passed for v in told) else 1


def _written(
    found: Run, page: Path, least: float | None, junit: Path | None, lang: str
) -> tuple[Verdict, ...]:
    """Write the run, its page and the verdicts, and give these."""
    from toolkit import gate, report, run

    told = () if least is None else gate.verdicts(found, least)
    run.save(found, page.with_suffix(".json"))
    report.write_page(found, "explanation", page, lang=lang)
    if junit is not None:
        gate.junit(told, junit)
    return told


_OF_PAIRS = ("--ceiling", "--junit", "--min-agreement", "--sample")
_OF_PAGES = ("--against", "--stages", *_OF_PAIRS, "--quality", "--lang")


def _place(out: Path | None, explainer: Path | None, rows: str, given: dict[str, Any]) -> Path:
    """Where the one job writes that is asked for. Raises for none, two, and others' options."""
    from toolkit.errors import OutputError, RecipeError

    place = explainer or out
    if place is None:
        raise OutputError("nowhere to write", "--out or --distil-explainer", "name one")
    if explainer:
        rest = {name: value for name, value in given.items() if name != "--max-error"}
        streaming.alone("--distil-explainer", {**rest, "--out": out, "--rows all": rows})
    elif given["--max-error"]:
        raise RecipeError("--max-error alone", "--distil-explainer OUT.onnx", "add it")
    elif rows:
        streaming.alone(f"--rows {rows}", {name: given[name] for name in _OF_PAGES})
    elif given["--jobs"]:
        raise RecipeError("several workers for a page", "--rows all", "leave --jobs and such out")
    elif place.suffix not in (".html", ".htm"):
        raise OutputError(f"cannot write {place}", "a name that ends in .html", "rename it")
    else:
        _of_one(given)
    return place


def _of_one(given: dict[str, Any]) -> None:
    """Raise RecipeError for an option that compares models where there is one."""
    from toolkit.errors import RecipeError

    alone = not given["--against"] and not given["--stages"]
    wrong = next((name for name in _OF_PAIRS if alone and given[name]), None)
    if wrong:
        raise RecipeError(
            f"{wrong} without another model", "--against OTHER or --stages RECIPE", "name one"
        )


def _spared(place: Path, read: list[Path], junit: Path | None) -> None:
    """Raise OutputError where writing would take the place of what is read, or of other results."""
    from toolkit.errors import OutputError
    from toolkit.files import spared
    from toolkit.run import is_run, load

    kept = place.with_suffix(".json")
    page = place.suffix != ".onnx"
    spared([place, *([kept] if page else []), *([junit] if junit else [])], read)
    if page and kept.exists() and (not is_run(kept) or load(kept).artifacts):
        raise OutputError(
            f"{kept} beside it holds other results", "a page of another name", "rename it"
        )


def _say(found: Run, told: tuple[Verdict, ...], page: Path, *, as_json: bool) -> None:
    """The figures, what must be known, the verdicts, and where the page is."""
    if as_json:
        verdicts = {"gate": [asdict(v) for v in told]} if told else {}
        screen.say_json({**figures.plain(found), **verdicts})
        return
    screen.say(figures.explained(found))
    for f in found.findings:
        if f.severity == "warning":
            screen.say(f"{f.subject}: {f.sentence} {f.next_step}")
    for verdict in told:
        screen.say(f"{'pass' if verdict.passed else 'FAIL'}: {verdict.sentence}")
    screen.say(f"page: {page}")


def _recipe(name: str, kind: str) -> Recipe | None:
    from toolkit.errors import RecipeError
    from toolkit.recipe import load

    if name and kind == "onnx":
        raise RecipeError(f"--stages {name} of an .onnx", "a Keras model", "give the Keras file")
    return load(name) if name else None


def _along(
    recipe: Recipe, model: Any, splits: Splits, out: Path, seed: int
) -> tuple[Predictor, ...]:
    """What each pass of the recipe makes of the model; its own cache lies beside the page."""
    from toolkit.stages import stages

    return stages(recipe, model, splits.fit, out.parent / ".cache", seed=seed)[1:]


def _check_gate(least: float | None, junit: Path | None, rows: int) -> None:
    from toolkit import gate
    from toolkit.errors import RecipeError

    if junit is not None and least is None:
        raise RecipeError("--junit without a limit", "--min-agreement 0.8", "give one")
    if least is not None:
        gate.checked(least, rows)


def _layered(found: Run, path: Path, opened: Any, splits: Splits) -> Run:
    """The run with pictures of the first model's layers; a Keras model is exported for them."""
    from tempfile import TemporaryDirectory

    from toolkit.artifact import save
    from toolkit.errors import ExportError
    from toolkit.glossary import Finding
    from toolkit.studying import with_layers

    if opened is None:
        return with_layers(found, path, splits)
    from toolkit.exporting import export

    with TemporaryDirectory() as folder:
        try:
            made = save(export(opened, splits.fit.validation).model, "model", Path(folder))
        except ExportError as error:
            said = Finding.of(
                "E1", "info", found.base, "No pictures of layers: {why}.", why=str(error)
            )
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
            f"--rows {text}",
            "how many, rows such as 3,17,42, all, or a file that is there",
            "correct it",
        )
    return numbers[0] if len(numbers) == 1 else numbers
