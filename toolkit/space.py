"""The recipes that a search may try when nobody names any: each beginning with each ending.

Beside them four bits a weight without training, which serves dense nets alone.
"""

from __future__ import annotations

import itertools
from typing import Any

from toolkit.passes import PASSES, Pass
from toolkit.recipe import Recipe, load

Passes = tuple[Pass, ...]


def _pass(kind: str, **settings: Any) -> Pass:
    return PASSES[kind](**settings)


def _beginnings() -> dict[str, Passes]:
    """Fewer or simpler weights, most of them trained."""
    found: dict[str, Passes] = {"": (), "distil": (_pass("distil"),)}
    for width in (0.75, 0.5, 0.25):
        taught = _pass("distil", teacher="base", student=f"base*{width:g}")
        found[f"distil-{100 * width:.0f}"] = (taught,)
    for share in (0.75, 0.5, 0.25):
        found[f"channels-{100 * share:.0f}"] = (_pass("channels", share=share),)
    found["low-rank"] = (_pass("low_rank"),)
    found["prune-50"] = (_pass("prune", sparsity=0.5),)
    found["prune-75"] = (_pass("prune", sparsity=0.75),)
    found["cluster"] = (_pass("cluster"),)
    return found


def _endings() -> dict[str, Passes]:
    """Fewer bits a weight."""
    whole = _pass("integer_operators")
    four = _pass("quantise_aware", bits=4, epochs=8, rate=5e-4)
    return {
        "": (),
        "float16": (_pass("float16"),),
        "int8-dynamic": (_pass("dynamic_int8"),),
        "int8": (_pass("static_int8"), whole),
        "int8-qat": (_pass("quantise_aware"), whole),
        "int4-qat": (four, whole),
    }


def useful() -> tuple[Recipe, ...]:
    """All of them, the quickest to make first: 50 and more.

    >>> len(useful()), [r.name for r in useful()[:3]]
    (55, ['float16', 'int8-dynamic', 'int8'])
    """
    found = []
    for (begun, first), (ended, last) in itertools.product(
        _beginnings().items(), _endings().items()
    ):
        sparse = begun.startswith(("prune", "cluster"))
        if not (first or last) or (ended == "int8-dynamic" and begun):
            continue
        if sparse and ended in ("float16", "int8"):
            continue  # what these write cannot be packed
        packed = (_pass("pack"),) if sparse or ended == "int4-qat" else ()
        name = "-".join(part for part in (begun, ended) if part)
        passes = (*first, *last, *packed, _pass("shorten"))
        found.append(Recipe(name, passes, "Tried by the search."))
    found.append(load("int4-weights"))
    return tuple(sorted(found, key=_trainings))


def _trainings(recipe: Recipe) -> int:
    return sum(p.stage == "keras" for p in recipe.passes)
