"""Checks: what a reader of a Run must be told, each with a stable code and a next step.

To add one: a function Run -> Findings in one of the modules here, and its name in `CHECKS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from toolkit.checks import explanations, models
from toolkit.glossary import Finding
from toolkit.run import Run

Check = Callable[[Run], Iterator[Finding]]

CHECKS: tuple[Check, ...] = (
    models.none_within,
    models.weak_base,
    models.guessing,
    models.few_rows,
    models.seen_rows,
    models.untested,
    models.significant_loss,
    models.lost_class,
    models.overconfident,
    models.slower,
    models.no_smaller,
    models.poor_calibration,
    models.layer_at_fault,
    models.other_by_cpu,
    models.other_in_company,
    models.other_than_trained,
    explanations.not_converged,
    explanations.incomplete,
    explanations.unfit,
    explanations.few_compared,
    explanations.noisy,
    explanations.drifted,
    explanations.no_causes,
)
"""In the order in which pages tell them."""


def checked(run: Run) -> Run:
    """The run with the findings of every check added."""
    found = tuple(finding for check in CHECKS for finding in check(run))
    return replace(run, findings=(*run.findings, *found))
