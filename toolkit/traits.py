"""What tells one recipe from another, as numbers: its passes, their settings, the bytes left."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from toolkit.glossary import Doubles
from toolkit.recipe import Recipe

_NUMBER = re.compile(r"\d*\.?\d+")


def features(recipes: Sequence[Recipe]) -> Doubles:
    """Recipes as rows of numbers f64 (n, p), such that effects of passes can be told apart.

    A pass is a column, and so is each setting that differs between recipes that have the pass: a
    word; the logarithm of a number, or of the number in a text, and each value by itself, since
    effects bend.
    """
    rows = [_told(r) for r in recipes]
    columns: list[Doubles] = []
    for name in sorted({name for row in rows for name in row}):
        given = np.array([row.get(name, np.nan) for row in rows])
        there = ~np.isnan(given)
        values = np.unique(given[there])
        if not name[1]:
            columns.append(there.astype(np.float64))
        elif len(values) == 1:
            if not np.array_equal(there, [(name[0], "") in row for row in rows]):
                columns.append(0.5 * there)
        else:
            straight = np.zeros(len(rows))
            straight[there] = (given[there] - given[there].mean()) / given[there].std()
            columns += [0.5 * straight, *(0.5 * (given == value) for value in values)]
    return np.column_stack(columns)


def likely_share(recipe: Recipe) -> float:
    """The share of the bytes of f32 weights that a recipe should leave, by its settings alone.

    >>> from toolkit.recipe import load
    >>> likely_share(load("float16")), likely_share(load("int4-qat"))
    (0.5, 0.125)
    """
    bits, weights, held = 32.0, 1.0, 1.0
    for step in recipe.passes:
        given: Any = vars(step)
        if step.name == "prune":
            held = 1 - given["sparsity"]
        elif step.name == "cluster":
            bits = min(bits, float(np.log2(given["clusters"])))
        elif step.name == "channels":
            weights *= 1 - given["share"]
        elif step.name == "low_rank":
            weights *= given["energy"]
        elif step.name == "distil":
            width = re.fullmatch(r"base\*(\d*\.?\d+)", given["student"])
            weights *= float(width[1]) ** 2 if width else 1.0
        elif step.name == "float16":
            bits = min(bits, 16.0)
        elif step.name in ("dynamic_int8", "static_int8"):
            bits = min(bits, 8.0)
        elif step.name == "weights_int4":
            bits = min(bits, 4.5)  # with the steps
        elif step.name == "quantise_aware":
            bits = min(bits, 8.0 if given["bits"] > 4 else 4.0)
    # of a sparse kernel each place takes a bit and each value that is not 0 its bits
    bits = held * bits + (1 if held < 1 else 0)
    return weights * bits / 32


def likely_work(recipe: Recipe) -> float:
    """How much longer than changing a file a recipe should take, by its passes alone.

    >>> from toolkit.recipe import load
    >>> likely_work(load("int8")), likely_work(load("distil-int8"))
    (1.0, 31.0)
    """
    return 1.0 + 30.0 * sum(step.stage == "keras" for step in recipe.passes)


def _told(recipe: Recipe) -> dict[tuple[str, str], float]:
    """The passes of a recipe, each with "" for a setting, and their settings as numbers."""
    found: dict[tuple[str, str], float] = {}
    for step in recipe.passes:
        found[step.name, ""] = 1.0
        for name, value in dataclasses.asdict(step).items():
            number = _NUMBER.search(value) if isinstance(value, str) else None
            if number:
                found[step.name, name] = _log(float(number[0]))
            elif isinstance(value, str):
                found[step.name, f"{name} {value}"] = 1.0
            elif isinstance(value, int | float):
                found[step.name, name] = _log(float(value))
    return found


def _log(value: float) -> float:
    return float(np.sign(value) * np.log1p(abs(value)))
