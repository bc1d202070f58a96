"""`compress`: a Keras classifier into small `.onnx` files, and the page about them."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from toolkit.cli import figures, options, screen
from toolkit.cli.given import noted
from toolkit.cli.opening import all_onnx

if TYPE_CHECKING:
    from toolkit.run import Run
    from toolkit.search import Frontier


def compress(
    model: Annotated[Path, typer.Argument(help="A .keras, .h5 or .onnx classifier.")],
    data: options.Data,
    out: Annotated[Path, typer.Option("--out", help="Folder for the files and the page.")],
    *,
    recipe: Annotated[
        list[str] | None,
        typer.Option(help="A name, a .toml or all. Default: the usual."),
    ] = None,
    max_drop: Annotated[
        float | None, typer.Option(help="Points that may be lost, by a 95 % bound; else 1.")
    ] = None,
    max_bytes: Annotated[int | None, typer.Option(help="Largest file allowed.")] = None,
    max_latency: Annotated[float | None, typer.Option(help="Most ms a row on one thread.")] = None,
    target: Annotated[str, typer.Option(help="CPU: generic, avx2, vnni or arm64.")] = "",
    budget: Annotated[str, typer.Option(help="Search so long, such as 10m, in 55 recipes.")] = "",
    never_slower: Annotated[
        bool, typer.Option("--never-slower", help="By 2 % or more than the base; mixes are tried.")
    ] = False,
    min_agreement: Annotated[
        float | None, typer.Option(help="Of reasons, 0 random to 1, by a 95 % bound.")
    ] = None,
    slices: options.Slice = None,
    require: options.Require = None,
    bundle: Annotated[Path | None, typer.Option(help="A .zip of all that a device needs.")] = None,
    unlabelled: Annotated[
        str, typer.Option(help="Rows without labels, to learn from a teacher.")
    ] = "",
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
    cache: Annotated[
        Path | None, typer.Option(help="Folder of kept results, else OUT/.cache.")
    ] = None,
    jobs: options.Jobs = 1,
    backend: options.Backend = "processes",
    scheduler: options.Scheduler = "",
    seed: options.Seed = 0,
    devices: options.Devices = "auto",
    mixed: options.Mixed = False,
    lang: options.Lang = "en",
    as_json: options.AsJson = False,
) -> int:
    """Compress a classifier into small ONNX files, measured beside it.

    Example: compress model.keras --data digits --recipe int8 --max-drop 2 --out small

    Exit code 1 when no candidate is within the limits; the page says why.
    """
    from toolkit import report, run
    from toolkit.bundle import place
    from toolkit.bundle import write as write_bundle
    from toolkit.checks import checked
    from toolkit.choice import Budget
    from toolkit.data.unlabelled import rows as rows_of
    from toolkit.devices import here, on
    from toolkit.exploring import seconds_of
    from toolkit.jobs import working
    from toolkit.recipe import known
    from toolkit.recipe import load as recipe_named
    from toolkit.search import compress as search

    needed, columns = options.demanded(require, slices)
    limits = Budget(
        max_drop,
        max_bytes,
        max_latency,
        never_slower,
        seconds_of(budget),
        require=needed,
        min_agreement=min_agreement,
    )
    parcel = place(bundle) if bundle else None
    from toolkit.models import open_model, parted
    from toolkit.predict import predictor

    recipes = [recipe_named(name) for name in (known() if recipe == ["all"] else recipe or ())]
    given = all_onnx([model], custom=custom or (), trust=trust, architecture=architecture)
    splits = options.loaded(
        data,
        scale=scale,
        offset=offset,
        seed=seed,
        label=label,
        text=text,
        size=size,
        drop=drop,
    )
    with nullcontext() if given else on(devices, mixed=mixed), working(jobs, backend, scheduler):
        words = options.vocabulary_of(model, vocabulary)
        opened: Any = model
        if given:
            shape = predictor(model).shape
        else:
            opened, words = parted(
                open_model(model, custom=custom or (), trust=trust, architecture=architecture),
                words,
            )
            shape = tuple(opened.inputs[0].shape[1:])
        splits = options.in_words(splits, model, shape, words)
        more = None
        if unlabelled:
            more = rows_of(unlabelled, splits.fit.train, scale=scale, offset=offset)
        with screen.progress():
            frontier = search(
                opened,
                splits,
                recipes,
                budget=limits,
                out=out,
                seed=seed,
                unlabelled=more,
                cache=cache,
                slices=columns,
                target=target,
            )
        if not here().chief:
            return 0
    found = noted(checked(frontier.run))
    run.save(found, out / "run.json")
    pages = report.write(found, out, lang=lang)
    if not as_json:
        _say(found, frontier, out, parcel)
        screen.say(f"page: {pages[0]}")
    if parcel and frontier.chosen:
        with screen.progress():
            write_bundle(found, splits.test, parcel, seed=seed)
        if not as_json:
            screen.say(f"bundle: {parcel}")
    if as_json:
        screen.say_json(figures.plain(found))
    return 0 if frontier.chosen else 1


def _say(found: Run, frontier: Frontier, out: Path, parcel: Path | None) -> None:
    """The table, what must be known, why candidates are out, and the one to take."""
    screen.say(figures.candidates(found))
    screen.say()
    for f in found.findings:
        if f.severity == "warning" and f.subject not in frontier.misses:
            screen.say(f"{f.subject}: {f.sentence} {f.next_step}")
    for name, why in frontier.misses.items():
        screen.say(f"{name} {why}")
    made = {a.path.name for a in found.artifacts}
    left = sorted(path.name for path in out.glob("*.onnx") if path.name not in made)
    if left:
        screen.say(f"not of this run, in {out}: {', '.join(left)}")
    chosen = frontier.chosen
    if parcel and not chosen and parcel.exists():
        screen.say(f"not of this run: {parcel}")
    screen.say(f"take: {chosen.path}" if chosen else "none is within the limits")
