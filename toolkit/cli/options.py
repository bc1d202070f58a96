"""Options that several commands share, so that one word means one thing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from toolkit.glossary import Splits

Data = Annotated[
    str, typer.Option("--data", help="A named set, .npz, .csv, .parquet or folder of pictures.")
]
Label = Annotated[str, typer.Option("--label", help="Label column of a table; else guessed.")]
Size = Annotated[str, typer.Option("--size", help="HEIGHTxWIDTH of pictures; else the commonest.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="The same seed gives the same result.")]
Scale = Annotated[float, typer.Option("--scale", help="Multiply x by it: 0.00392157 is 1/255.")]
Custom = Annotated[
    list[str] | None, typer.Option("--custom", help="FILE.py:Name of a class the model file names.")
]
Trust = Annotated[bool, typer.Option("--trust", help="Let code in the model file run (Lambda).")]
Architecture = Annotated[
    str, typer.Option("--architecture", help="FILE.py:function, for a file of weights only.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout.")]
Out = Annotated[Path, typer.Option("--out", help="Where to write.")]


def loaded(data: str, *, scale: float, seed: int, label: str, size: str) -> Splits:
    """The data that the shared options name."""
    from toolkit.data import load
    from toolkit.errors import DataError

    height, _, width = size.lower().partition("x")
    if size and not (height.isdigit() and width.isdigit() and int(height) and int(width)):
        raise DataError(f"--size {size}", "HEIGHTxWIDTH, such as 64x64", "correct it")
    pixels = (int(height), int(width)) if size else None
    return load(data, scale=scale, seed=seed, label=label, size=pixels)
