"""`toolkit measure`: `.onnx` files side by side; the first is the base."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from toolkit.cli import figures, options, screen


def measure(
    models: Annotated[list[Path], typer.Argument(help="BASE.onnx and any others.")],
    data: options.Data,
    *,
    rounds: Annotated[int, typer.Option(min=5, help="Rounds of interleaved timing.")] = 31,
    label: options.Label = "",
    text: options.Text = "",
    vocabulary: options.Vocabulary = None,
    size: options.Size = "",
    scale: options.Scale = 1.0,
    offset: options.Offset = 0.0,
    seed: options.Seed = 0,
    as_json: options.AsJson = False,
) -> int:
    """Measure .onnx files on the same rows: accuracy, size, speed, memory.

    Example: toolkit measure small/base.onnx small/int8.onnx --data digits
    """
    from toolkit import provenance
    from toolkit.errors import ModelError
    from toolkit.files import sha256
    from toolkit.measurement import measure as take
    from toolkit.models.opening import kind_of
    from toolkit.predict import predictor
    from toolkit.run import Run

    named: dict[str, Path] = {}
    for path in models:
        if kind_of(path) != "onnx":
            raise ModelError(
                f"{path} is a Keras file",
                "an .onnx",
                f"run: compress {path} --data {data} --out DIR",
            )
        name = path.stem if path.stem not in named else str(path)
        if name in named:
            raise ModelError(f"{path} is named twice", "each model once", "drop one")
        named[name] = path
    splits = options.loaded(
        data, scale=scale, offset=offset, seed=seed, label=label, text=text, size=size
    )
    first = next(iter(named.values()))
    words = options.vocabulary_of(first, vocabulary)
    splits = options.in_words(splits, first, predictor(first).shape, words)
    with screen.progress():
        measured, confusions = take(named, splits.test, rounds=rounds, seed=seed)
    run = Run(
        title=f"{splits.name}: measured",
        created=provenance.now(),
        command="measure",
        base=next(iter(named)),
        chosen=None,
        data=provenance.about(splits),
        measurements=measured,
        confusions=confusions,
        versions=provenance.versions(),
        seeds={"seed": seed},
        hashes={"data": splits.sha256, **{str(p): sha256(p) for p in models}},
        machine=provenance.machine(),
    )
    if as_json:
        screen.say_json(figures.plain(run))
    else:
        screen.say(figures.candidates(run))
    return 0
