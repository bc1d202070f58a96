"""Who is taught: the base, a net derived from it, a reference model, a function or a file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from toolkit.errors import RecipeError, near
from toolkit.glossary import Facts, Fit
from toolkit.models import open_model, parted
from toolkit.models.derived import derived, within
from toolkit.models.graph import graph_of
from toolkit.models.macs import macs, nbytes
from toolkit.models.reference import MODELS, build
from toolkit.passes.base import is_path
from toolkit.shapes import matching

WORDS = ("base", "fresh")
FORMS = "base, fresh, base*0.5, base/2, base*0.5/2, base in 20000 bytes, base in 1000000 macs"
WIDEST = 100
"""Times the width of the base: a wider net is a slip."""
_DERIVED = re.compile(r"base(?:\*(?P<width>\d*\.?\d+))?(?:/(?P<depth>\d+))?")
_WITHIN = re.compile(r"base in (?P<limit>[\d_]+) (?P<unit>bytes|macs)")


def checked(owner: str, role: str, spec: str) -> None:
    """Raise RecipeError unless `spec` names a student.

    >>> checked("distil", "student", "base*0.5/2")
    """
    found = _DERIVED.fullmatch(spec)
    if found and (not 0 < float(found["width"] or 1) <= WIDEST or int(found["depth"] or 1) < 1):
        raise RecipeError(
            f"{owner} has {role} '{spec}'",
            f"a width above 0, at most {WIDEST}, and a depth above 0",
            "try 0.5",
        )
    if found or _WITHIN.fullmatch(spec) or spec in (*WORDS, *MODELS):
        return
    if is_path(spec) or ".py:" in spec:
        return
    raise RecipeError(
        f"{owner} has {role} '{spec}'",
        near(spec, [*WORDS, *MODELS]) + f"; or one of the forms {FORMS}; FILE.py:function; FILE",
        "correct it",
    )


def student_of(spec: str, base: Any, fit: Fit, seed: int = 0) -> tuple[Any, Facts]:
    """The net that `spec` names, untrained but for "base" and files, and facts about it.

    base: the base itself, which goes on learning; "fresh" the same build with new weights.
    base*W: every hidden width times W. base/D: of repeated blocks one in D. base in N bytes (of
    weights as f32) or macs: the widest that fits. Else a reference model, FILE.py:function, which
    is called with the shape of a row and the number of classes, or a model file.
    Raises ModelError or MatchError for what cannot be made or does not fit the data.
    """
    made, facts = _made(spec, base, fit, seed)
    units = max(int(made.outputs[0].shape[-1]), 2)
    matching(tuple(made.inputs[0].shape[1:]), units, fit.train, f"the student {spec}")
    facts = {"student": spec, **facts, "student_parameters": int(made.count_params())}
    return made, {**facts, "student_bytes": nbytes(made)}


def _made(spec: str, base: Any, fit: Fit, seed: int) -> tuple[Any, Facts]:
    if spec == "base":
        return base, {}
    if spec == "fresh":
        return derived(base, seed=seed), {}
    if found := _DERIVED.fullmatch(spec):
        width, depth = float(found["width"] or 1), int(found["depth"] or 1)
        return derived(base, width=width, depth=depth, seed=seed), {}
    if found := _WITHIN.fullmatch(spec):
        made, width = within(base, int(found["limit"]), found["unit"], seed=seed)
        cost = {"student_macs": macs(made)} if found["unit"] == "macs" else {}
        return made, {"student_width": width, **cost}
    if ".py:" not in spec and is_path(spec):
        return parted(open_model(Path(spec)))[0], {}
    return build(spec, fit.train, seed=seed), {}


def can_be_narrowed(base: Any) -> bool:
    """Whether a net is a graph with hidden widths, so that base*W is a student."""
    from toolkit.errors import ModelError

    try:
        graph_of(base)
        derived(base, width=0.5)
    except ModelError:
        return False
    return True
