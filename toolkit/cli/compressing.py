"""`compress`: a Keras classifier into small `.onnx` files, and the page about them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from toolkit.cli import figures, options, screen


def compress(
    model: Annotated[Path, typer.Argument(help="A .keras or .h5 classifier.")],
    data: options.Data,
    out: Annotated[Path, typer.Option("--out", help="Folder for the files and the page.")],
    *,
    recipe: Annotated[
        list[str] | None,
        typer.Option(help="A name, a .toml or all, as often as you like. Default: the usual."),
    ] = None,
    max_drop: Annotated[
        float | None, typer.Option(help="Points that may be lost, by a 95 % bound.")
    ] = None,
    max_bytes: Annotated[int | None, typer.Option(help="Largest file allowed.")] = None,
    max_latency: Annotated[float | None, typer.Option(help="Most ms a row on one thread.")] = None,
    bundle: Annotated[
        Path | None, typer.Option(help="A .zip for a device: model, samples, card, run.py.")
    ] = None,
    unlabelled: Annotated[
        str, typer.Option(help="More rows, without labels, to learn from a teacher alone.")
    ] = "",
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
    devices: options.Devices = "auto",
    mixed: options.Mixed = False,
    as_json: options.AsJson = False,
) -> int:
    """Compress a Keras classifier into small ONNX files, measured beside the base.

    Example: compress model.keras --data digits --recipe int8 --max-drop 2 --out small

    Exit code 1 when no candidate is within the limits; the page says why.
    """
    from toolkit import report, run
    from toolkit.bundle import place
    from toolkit.bundle import write as write_bundle
    from toolkit.checks import checked
    from toolkit.data.unlabelled import rows as rows_of
    from toolkit.devices import here, on
    from toolkit.recipe import known
    from toolkit.recipe import load as recipe_named
    from toolkit.search import Budget
    from toolkit.search import compress as search

    budget = Budget(max_drop, max_bytes, max_latency)
    target = place(bundle) if bundle else None
    from toolkit.models import open_model, parted
    from toolkit.models.opening import kind_of

    names = known() if recipe == ["all"] else recipe or ()
    recipes = [recipe_named(name) for name in names]
    kind_of(model)
    with on(devices, mixed=mixed):
        splits = options.loaded(
            data, scale=scale, offset=offset, seed=seed, label=label, text=text, size=size
        )
        opened, words = parted(
            open_model(model, custom=custom or (), trust=trust, architecture=architecture),
            options.vocabulary_of(model, vocabulary),
        )
        splits = options.in_words(splits, model, tuple(opened.inputs[0].shape[1:]), words)
        more = None
        if unlabelled:
            more = rows_of(unlabelled, splits.fit.train, scale=scale, offset=offset)
        with screen.progress():
            frontier = search(
                opened, splits, recipes, budget=budget, out=out, seed=seed, unlabelled=more
            )
        if not here().chief:
            return 0
    found = checked(frontier.run)
    run.save(found, out / "run.json")
    pages = report.write(found, out)
    if target and frontier.chosen:
        with screen.progress():
            write_bundle(found, splits.test, target, seed=seed)
    if as_json:
        screen.say_json(figures.plain(found))
    else:
        screen.say(figures.candidates(found))
        screen.say()
        for f in found.findings:
            if f.severity == "warning" and f.subject not in frontier.misses:
                screen.say(f"{f.subject}: {f.sentence} {f.next_step}")
        for name, why in frontier.misses.items():
            screen.say(f"{name} {why}")
        chosen = frontier.chosen
        screen.say(f"take: {chosen.path}" if chosen else "none is within the limits")
        screen.say(f"page: {pages[0]}")
        if target and frontier.chosen:
            screen.say(f"bundle: {target}")
    return 0 if frontier.chosen else 1
