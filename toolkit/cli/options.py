"""Options that several commands share, so that one word means one thing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Data = Annotated[
    str, typer.Option("--data", help="A named set (digits, wine, ...), .npz, .csv, .parquet.")
]
Label = Annotated[str, typer.Option("--label", help="Label column of a table; else guessed.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="The same seed gives the same result.")]
Scale = Annotated[float, typer.Option("--scale", help="Multiply x by it: 0.00392157 is 1/255.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout.")]
Out = Annotated[Path, typer.Option("--out", help="Where to write.")]
