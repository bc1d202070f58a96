"""Step by step along a recipe, to see at which pass the reasons moved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from toolkit.cache import Cache
from toolkit.errors import RecipeError
from toolkit.glossary import Fit, Predictor
from toolkit.making import begun, graphs
from toolkit.predict import predictor
from toolkit.recipe import Recipe


def stages(
    recipe: Recipe, model: Any, fit: Fit, folder: str | Path, *, seed: int = 0
) -> tuple[Predictor, ...]:
    """The base, then what each pass of a recipe makes of it, as the `.onnx` it would be by then.

    model: a keras.Model. Named "base", "RECIPE/1 channels", "RECIPE/2 distil", ...; the last is
    what `compress` makes. folder: the `.cache` of a search, where steps are found again, or a new
    one. Raises RecipeError for a recipe of nothing, ExportError for what ONNX cannot hold.
    """
    if not recipe.passes:
        raise RecipeError(f"recipe {recipe.name} has no passes", "at least one", "take another")
    source = begun(model, fit, Cache(Path(folder)), seed=seed)
    found = [predictor(source.base.content, "base")]
    made = graphs(recipe, source, Cache(Path(folder)))
    for number, (step, graph) in enumerate(zip(recipe.passes, made, strict=True), start=1):
        name = f"{recipe.name}/{number} {step.name}"
        found.append(predictor(graph.SerializeToString(), name))
    return tuple(found)
