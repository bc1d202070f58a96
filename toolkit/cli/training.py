"""`toolkit train`: a reference classifier, or one of the user's own functions."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from toolkit.cli import options, screen


def train(
    data: options.Data,
    out: Annotated[Path, typer.Option("--out", help="The .keras file to write.")],
    *,
    model: Annotated[
        str,
        typer.Option("--model", help="mlp, cnn, tabular, text, text-large, FILE.py:function ..."),
    ] = "",
    loss: Annotated[str, typer.Option(help="crossentropy or mse.")] = "crossentropy",
    optimizer: Annotated[str, typer.Option(help="adam, or sgd: plain gradient descent.")] = "adam",
    learning_rate: Annotated[
        float | None, typer.Option(help="Default: adam 0.001, sgd 0.01.")
    ] = None,
    batch: Annotated[int, typer.Option(help="Rows a step.")] = 128,
    epochs: options.Epochs = 0,
    stop_below: Annotated[
        float | None, typer.Option(help="Stop when the training loss is below this.")
    ] = None,
    activation: Annotated[str, typer.Option(help="Of the hidden layers.")] = "relu",
    l1: Annotated[float, typer.Option(help="L1 penalty of weights.")] = 0.0,
    l2: Annotated[float, typer.Option(help="L2 penalty of weights.")] = 0.0,
    dropout: Annotated[float, typer.Option(help="Share of units dropped in training.")] = 0.0,
    label: options.Label = "",
    drop: options.Drop = None,
    text: options.Text = "",
    size: options.Size = "",
    scale: options.Scale = 1.0,
    offset: options.Offset = 0.0,
    seed: options.Seed = 0,
    devices: options.Devices = "auto",
    mixed: options.Mixed = False,
    as_json: options.AsJson = False,
) -> int:
    """Train a Keras classifier and save it.

    Example: toolkit train --data digits --out model.keras
    """
    from toolkit.checkpoints import resuming
    from toolkit.data import words
    from toolkit.devices import here, on, written
    from toolkit.errors import OutputError
    from toolkit.files import sha256, writable_folder, write_with
    from toolkit.training import Settings
    from toolkit.training import train as fit

    if out.suffix != ".keras":
        raise OutputError(f"cannot write {out}", "a name that ends in .keras", "rename it")
    settings = Settings(loss, optimizer, learning_rate, batch, epochs, stop_below)
    with on(devices, mixed=mixed):
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
        out = written(out)
        writable_folder(out.parent)
        from toolkit.models import build
        from toolkit.models.reference import usual

        start = build(
            model or usual(splits.test.kind)[0],
            splits.fit.train,
            activation=activation,
            l1=l1,
            l2=l2,
            dropout=dropout,
            seed=seed,
        )
        with resuming(out.with_name(f".{out.name}.checkpoints")):
            with screen.progress():
                trained, history = fit(start, splits.fit, settings, seed=seed)
            write_with(out, trained.save)
        if splits.test.words is not None:
            words.write(out.with_suffix(".vocabulary.json"), splits.test.words)
        if not here().chief:
            return 0
    from toolkit.metrics import accuracy
    from toolkit.predict import predictor

    right = accuracy(predictor(trained, "base")(splits.test.x), splits.test.y)
    result = {
        "model": str(out),
        "sha256": sha256(out),
        "parameters": int(trained.count_params()),
        "epochs": history.facts["epochs"],
        "test_accuracy": 100 * right.value,
        "low": 100 * right.low,
        "high": 100 * right.high,
        "rows": right.n,
        "history": {name: list(values) for name, values in history.series.items()},
        "settings": history.facts,
    }
    if as_json:
        screen.say_json(result)
        return 0
    screen.say(
        f"{out}: {trained.count_params():,} parameters, {history.facts['epochs']} epochs, "
        f"right in {100 * right.value:.1f} % of {right.n:,} test rows "
        f"(95 %: {100 * right.low:.1f} to {100 * right.high:.1f})"
    )
    if "resumed_from" in history.facts:
        screen.say(f"went on from epoch {history.facts['resumed_from']} of a run that was killed")
    how = options.again(
        label=label, text=text, drop=drop, size=size, scale=scale, offset=offset, seed=seed
    )
    screen.say(f"next: compress {out} --data {shlex.quote(data)}{how} --out small")
    return 0
