"""`explain --rows all`: every row, or every row of a file, into Parquet."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit.cli import screen

if TYPE_CHECKING:
    from toolkit.explainers import Explainer
    from toolkit.explainers.choices import Choice
    from toolkit.glossary import Splits
    from toolkit.many_rows import Told

_MOST = 10


def asked(rows: str) -> bool:
    """Whether `--rows` means more rows than a page holds: all, or a file of them."""
    return rows == "all" or (not re.fullmatch(r"[-\d,]+", rows) and Path(rows).exists())


def alone(job: str, given: dict[str, Any]) -> None:
    """Raise RecipeError for an option of pages that a job without a page was given."""
    from toolkit.errors import RecipeError

    wrong = [name for name, value in given.items() if value]
    if wrong:
        raise RecipeError(
            f"{wrong[0]} with {job}", "one model and no page", f"leave {wrong[0]} out"
        )


def explained(
    model: Any,
    splits: Splits,
    rows: str,
    out: Path,
    explainers: list[Explainer],
    *,
    name: str,
    values: tuple[float, float],
    choice: Choice,
    seed: int,
    as_json: bool,
) -> int:
    """Explain and say what came out. values: the scale and the offset of a file of rows."""
    from toolkit.data import sources
    from toolkit.errors import OutputError, RecipeError
    from toolkit.many_rows import explain_rows

    if out.suffix not in ("", ".parquet"):
        raise OutputError(
            f"cannot write {out}",
            "a folder or a name that ends in .parquet",
            f"write {out.with_suffix('.parquet').name}, or name rows one by one for a page",
        )
    if len(explainers) != 1:
        raise RecipeError(f"{len(explainers)} methods over all rows", "one", "--method shapley")
    scale, offset = values
    every: Any = sources.of_splits(splits)
    if rows != "all":
        every = [sources.of_file(Path(rows), splits.test, scale=scale, offset=offset)]
    with screen.progress():
        told = explain_rows(
            model,
            every,
            out,
            background=splits.fit.train,
            choice=choice,
            explainer=explainers[0],
            name=name,
            seed=seed,
        )
    if as_json:
        screen.say_json({**asdict(told), "path": str(told.path)})
    else:
        _say(told)
    return 0


def _say(told: Told) -> None:
    moved: list[tuple[str, ...]] = [(name, f"{much:.4f}") for name, much in told.foremost[:_MOST]]
    screen.say(screen.table(("player", "mean |value|"), moved))
    screen.say()
    more = f", {told.found:,} of them before" if told.found else ""
    screen.say(f"{told.rows:,} rows{more}; {told.unsure:,} not converged")
    screen.say(f"table: {told.path}")
