"""`toolkit measure`: `.onnx` files side by side, the first is the base; or a device's figures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from toolkit.cli import figures, options, screen
from toolkit.cli.given import apart


def measure(
    models: Annotated[
        list[Path], typer.Argument(help="BASE.onnx and any others; with --import a folder.")
    ],
    data: options.Data = "",
    *,
    imported: Annotated[
        list[Path] | None,
        typer.Option("--import", help="What run.py --measure wrote on a device; as often as many."),
    ] = None,
    slices: options.Slice = None,
    require: options.Require = None,
    rounds: Annotated[int, typer.Option(min=5, help="Rounds of interleaved timing.")] = 31,
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
    """Measure .onnx files on the same rows: accuracy, size, speed, memory.

    Example: toolkit measure small/base.onnx small/int8.onnx --data digits

    Exit code 1 when a --require is not met by one of the files.
    With --import pi.json and the folder that compress wrote, the figures of a device are put into
    its run.json and its page, under the name of the file.
    """
    if imported:
        return _imported(models, imported, data, as_json=as_json)
    from toolkit import provenance
    from toolkit.checks import checked
    from toolkit.errors import DataError, ModelError
    from toolkit.files import sha256
    from toolkit.measurement import measure as take
    from toolkit.models.opening import kind_of
    from toolkit.onnx_graph import beside
    from toolkit.predict import predictor
    from toolkit.run import TITLES, Run
    from toolkit.targets import elsewhere

    if not data:
        raise DataError("no rows to measure on", "--data or --import", "add --data")
    for path in models:
        if kind_of(path) != "onnx":
            raise ModelError(
                f"{path} is a Keras file",
                "an .onnx",
                f"run: compress {path} --data {data} --out DIR",
            )
        if there := beside(path):
            raise ModelError(
                f"{path} keeps its weights in {', '.join(there[:3])}",
                "one file, whose bytes can be counted",
                f"join them: compress {path} --data {data} --out DIR makes DIR/base.onnx",
            )
        if models.count(path) > 1:
            raise ModelError(f"{path} is named twice", "each model once", "drop one")
    named = dict(zip(apart(models), models, strict=True))
    splits = options.loaded(
        data, scale=scale, offset=offset, seed=seed, label=label, text=text, size=size, drop=drop
    )
    first = next(iter(named.values()))
    words = options.vocabulary_of(first, vocabulary)
    splits = options.in_words(splits, first, predictor(first).shape, words)
    needed, columns = options.demanded(require, slices, splits)
    with screen.progress():
        measured, confusions = take(
            named,
            splits.test,
            rounds=rounds,
            seed=seed,
            slices=columns,
            held=[group for r in needed if (group := r.group())],
        )
        others = elsewhere(named, splits.test)
    run = Run(
        title=f"{splits.name}: {TITLES['measure']}",
        created=provenance.now(),
        command="measure",
        base=next(iter(named)),
        chosen=None,
        data=provenance.about(splits),
        measurements=(*measured, *others),
        confusions=confusions,
        versions=provenance.versions(),
        seeds={"seed": seed},
        hashes={"data": splits.sha256, **{str(p): sha256(p) for p in models}},
        machine=provenance.machine(),
    )
    run = checked(run)
    if as_json:
        screen.say_json(figures.plain(run))
    else:
        screen.say(figures.candidates(run))
        if columns:
            screen.say()
            screen.say(figures.groups(run, "slice:"))
        for found in run.findings:
            if found.severity == "warning":
                screen.say(f"{found.subject}: {found.sentence} {found.next_step}")
    misses = [(n, why) for n in named for r in needed if (why := r.miss(n, measured))]
    for name, why in misses:
        # on stderr, so that JSON stays JSON
        typer.echo(f"{name} {why}", err=True)
    return 1 if misses else 0


def _imported(folders: list[Path], reports: list[Path], data: str, *, as_json: bool) -> int:
    """Put what devices measured into the run of a folder, and write its pages again."""
    from toolkit import report, run
    from toolkit.bundle import returned
    from toolkit.errors import DataError

    if len(folders) != 1 or not folders[0].is_dir() or data:
        raise DataError(
            f"--import with {', '.join(map(str, folders))}{' and --data' if data else ''}",
            "one folder that compress wrote, and no --data",
            "name the folder",
        )
    (folder,) = folders
    found = run.load(folder / "run.json")
    for path in reports:
        found = returned(found, path)
    run.save(found, folder / "run.json")
    pages = report.write(found, folder)
    if as_json:
        screen.say_json(figures.plain(found))
        return 0
    screen.say(figures.devices(found))
    for finding in found.findings:
        if finding.code == "V1":
            screen.say(f"{finding.subject}: {finding.sentence} {finding.next_step}")
    screen.say(f"page: {pages[0]}")
    return 0
