"""Checks: what a reader of a Run must be told, each with a stable code and a next step.

To add one: a function Run -> Findings, and its name in `CHECKS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from toolkit.glossary import NOTICEABLE, Finding
from toolkit.run import Run

Check = Callable[[Run], Iterator[Finding]]


def checked(run: Run) -> Run:
    """The run with the findings of every check added."""
    found = tuple(finding for check in CHECKS for finding in check(run))
    return replace(run, findings=(*run.findings, *found))


def none_within(run: Run) -> Iterator[Finding]:
    """N1: candidates were made and none is within the budget."""
    if run.command == "compress" and run.chosen is None:
        yield Finding(
            "N1",
            "error",
            run.base,
            "No candidate is within the budget.",
            "Allow more loss or bytes, give more test rows, or train a better base.",
        )


def weak_base(run: Run) -> Iterator[Finding]:
    """W1: the base is not clearly better than guessing."""
    right = run.measured(run.base, "accuracy")
    classes = len(run.data.get("classes", ()))
    if right is not None and right.low is not None and classes and right.low <= 100 / classes:
        yield Finding(
            "W1",
            "warning",
            run.base,
            f"The base is right in {right.value:.1f} % of rows, "
            f"which is not clearly better than guessing among {classes} classes.",
            "Check the data, its scale and its labels, or train longer.",
        )


def few_rows(run: Run) -> Iterator[Finding]:
    """F1: too few test rows to see a loss of one point."""
    right = run.measured(run.base, "accuracy")
    if right is not None and right.n < 1000:
        yield Finding(
            "F1",
            "info",
            run.base,
            f"{right.n} test rows: a loss of less than about "
            f"{300 / right.n:.1g} points cannot be ruled out, however well a model does.",
            "Give more test rows for a firmer answer.",
        )


def seen_rows(run: Run) -> Iterator[Finding]:
    """D1: test rows that the training part holds as well."""
    seen = run.data.get("test_rows_trained_on", 0)
    total = run.data.get("rows", {}).get("test", 0)
    if seen > total / 100:
        yield Finding(
            "D1",
            "info",
            run.base,
            f"{seen:,} of {total:,} test rows equal a row that was trained on "
            f"({run.data.get('duplicates', 0):,} rows repeat another): accuracy is flattered.",
            "Drop repeated rows unless they come that often in use.",
        )


def untested(run: Run) -> Iterator[Finding]:
    """D2: classes without a test row, and a validation part that tests."""
    names = run.data.get("untested", ())
    if names:
        shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
        yield Finding(
            "D2",
            "warning",
            run.base,
            f"{len(names)} of {len(run.data.get('classes', ()))} classes have no test row "
            f"({shown}): no figure says how they fare.",
            "Give at least 3 rows of each class, or a test part that has them.",
        )
    if run.data.get("tested_by"):
        yield Finding(
            "D2",
            "info",
            run.base,
            f"The data has no test part: its {run.data['tested_by']} tests.",
            "If the model was chosen by these rows, accuracy is flattered: give a test part.",
        )


def significant_loss(run: Run) -> Iterator[Finding]:
    """L1: a candidate is worse than the base beyond chance."""
    for m in run.measurements:
        if m.name == "accuracy_drop" and m.low is not None and m.low > 0:
            yield Finding(
                "L1",
                "warning",
                m.subject,
                f"Loses {m.value:.1f} points of accuracy, more than chance would explain.",
                "Take another candidate, or calibrate and train with more data.",
            )


def slower(run: Run) -> Iterator[Finding]:
    """S1: candidates that are slower than the base on this machine."""
    found = [
        m
        for m in run.measurements
        if m.name == "latency_ratio" and m.low is not None and m.low > NOTICEABLE
    ]
    if found:
        times = ", ".join(f"{m.subject} {m.value:.2f}" for m in found)
        yield Finding(
            "S1",
            "info",
            ", ".join(m.subject for m in found),
            f"Slower than the base for one row here, times its time: {times}.",
            "Integer kernels pay off on larger layers; where speed counts more than size, "
            "take a float candidate.",
        )


def not_converged(run: Run) -> Iterator[Finding]:
    """C1: explanations whose error is still large."""
    loose = [a for a in run.attributions if not a.converged]
    if loose:
        yield Finding(
            "C1",
            "warning",
            ", ".join(sorted({a.method for a in loose})),
            f"{len(loose)} of {len(run.attributions)} explanations have not converged: "
            "small differences between their players mean nothing.",
            "Use more samples.",
        )


CHECKS: tuple[Check, ...] = (
    none_within,
    weak_base,
    few_rows,
    seen_rows,
    untested,
    significant_loss,
    slower,
    not_converged,
)
