"""Methods by their names, each with those settings that it has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from toolkit.errors import RecipeError, near
from toolkit.explainers import EXPLAINERS, Explainer

_CHANGES_NOTHING = {"tolerance": ("deep", "partition"), "samples": ("deep",)}
"""Settings of all methods, and those in which no chance is, or nothing is drawn."""


def named(methods: Sequence[str], **settings: Any) -> list[Explainer]:
    """The explainers of these names; a setting that is None or False counts as not given.

    A name that is given twice counts once. Raises RecipeError for an unknown name, and for a
    setting that none of the methods has.

    >>> [vars(e)["samples"] for e in named(["shapley", "lime"], samples=5000, stable=None)]
    [5000, 5000]
    """
    given = {n: value for n, value in settings.items() if value is not None and value is not False}
    found, used = [], set()
    for method in dict.fromkeys(methods):
        if method not in EXPLAINERS:
            raise RecipeError(f"unknown method '{method}'", near(method, EXPLAINERS))
        kind = EXPLAINERS[method]
        own = _having(method) & given.keys()
        found.append(kind(**{name: given[name] for name in own}))
        used |= own
    for name in given.keys() - used:
        others = [method for method in EXPLAINERS if name in _having(method)]
        raise RecipeError(
            f"--{name} of {', '.join(methods)}",
            f"methods that have it: {', '.join(others)}",
            "leave it out or change --method",
        )
    return found


def _having(method: str) -> set[str]:
    """The settings of a method that change what it says."""
    every = {field.name for field in fields(EXPLAINERS[method])}
    return {name for name in every if method not in _CHANGES_NOTHING.get(name, ())}


def distinct(explainers: Sequence[Explainer]) -> list[Explainer]:
    """The same explainers.

    Raises RecipeError for two of one method, whose figures would be taken for those of one.
    """
    methods = [e.method for e in explainers]
    twice = next((m for m in methods if methods.count(m) > 1), None)
    if twice is not None:
        raise RecipeError(f"method '{twice}' twice", "each method once", "make a run of each")
    return list(explainers)
