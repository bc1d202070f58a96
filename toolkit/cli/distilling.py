"""`explain --distil-explainer`: a small net beside the classifier that says why in one pass."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit.cli import screen

if TYPE_CHECKING:
    from toolkit.explainers.choices import Choice
    from toolkit.glossary import Splits
    from toolkit.quick_explainer import Distilled


def distilled(
    model: Any,
    splits: Splits,
    out: Path,
    *,
    most: float | None,
    evaluations: int | None,
    choice: Choice,
    seed: int,
    as_json: bool,
) -> int:
    """Train and judge the net, and write it unless its error may be above `most`."""
    from toolkit.errors import OutputError, RecipeError
    from toolkit.files import writable_folder
    from toolkit.quick_explainer import distil_explainer

    if out.suffix != ".onnx":
        raise OutputError(f"cannot write {out}", "a name that ends in .onnx", "rename it")
    if most is not None and not most > 0:
        raise RecipeError(
            f"--max-error {most:g}", "above 0; 1 is as far off as saying nothing", "try 0.1"
        )
    writable_folder(out.parent)
    with screen.progress():
        made = distil_explainer(model, splits, evaluations=evaluations, choice=choice, seed=seed)
    kept = most is None or made.judged.within(most)
    if kept:
        made.save(out)
    if as_json:
        told = {**asdict(made.judged), "facts": made.facts}
        screen.say_json({**told, "path": str(out) if kept else None})
    else:
        _say(made)
        screen.say(f"explainer: {out}" if kept else _refused(made, most))
    return 0 if kept else 1


def _say(made: Distilled) -> None:
    judged = made.judged
    beside = "exact values" if judged.exact else "estimates with all coalitions beyond reach"
    screen.say(
        f"error {judged.error:.3f} ({judged.low:.3f} to {judged.high:.3f}) of the length of "
        f"{beside}, {judged.rows} rows held back; the mean of the class errs {judged.constant:.3f}"
    )
    middle, low, high = judged.quicker
    screen.say(
        f"answers and explains a row {middle:,.0f} times quicker ({low:,.0f} to {high:,.0f}), "
        f"{made.facts['bytes']:,} bytes"
    )


def _refused(made: Distilled, most: float | None) -> str:
    return (
        f"FAIL: the error may be {made.judged.high:.3f}, by the end of its interval; "
        f"at most {most:g} was allowed; nothing is written"
    )
