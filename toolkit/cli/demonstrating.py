"""`toolkit demo`: the main job on one data set, from training to the pages."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from toolkit.cli import figures, options, screen
from toolkit.cli.given import command


def demo(
    data: Annotated[str, typer.Option("--data", help="A named set or PATH.npz.")] = "digits",
    out: Annotated[Path, typer.Option("--out", help="Folder to write to.")] = Path("reports/demo"),
    *,
    epochs: options.Epochs = 0,
    rows: Annotated[int, typer.Option(min=1, help="Decisions to explain.")] = 12,
    label: options.Label = "",
    text: options.Text = "",
    size: options.Size = "",
    scale: options.Scale = 1.0,
    offset: options.Offset = 0.0,
    seed: options.Seed = 0,
    lang: options.Lang = "en",
    as_json: options.AsJson = False,
) -> int:
    """Train, compress, explain: the whole job on the digits of scikit-learn.

    Example: toolkit demo --data mnist.npz --out reports/mnist
    """
    from toolkit.demonstration import demonstrate
    from toolkit.report import verdict

    with screen.progress():
        splits = options.loaded(
            data, scale=scale, offset=offset, seed=seed, label=label, text=text, size=size
        )
        done = demonstrate(
            splits, out=out, epochs=epochs, rows=rows, seed=seed, lang=lang, command=command()
        )
    if as_json:
        screen.say_json({**figures.plain(done.run), "steps": done.steps})
        return 0
    screen.say(figures.candidates(done.run))
    screen.say()
    screen.say(figures.explained(done.run))
    screen.say()
    screen.say(verdict(done.run))
    screen.say("  ".join(f"{name} {seconds:.0f} s" for name, seconds in done.steps.items()))
    for page in done.pages:
        screen.say(f"page: {page}")
    return 0
