"""Checks: what a reader of a Run must be told, each with a stable code and a next step.

To add one: a function Run -> Findings, and its name in `CHECKS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from toolkit.glossary import NOTICEABLE, Finding, LayerError
from toolkit.run import Run

OFF = 0.02
"""Two points of calibration error: less moves no threshold that anyone sets."""

Check = Callable[[Run], Iterator[Finding]]

FEW = 50
"""Fewer calibration rows set ranges that new rows will often leave."""
MOVED = 0.01
"""A mean change of a probability that is worth a warning."""
CLIPPED = 0.002
"""A share of values beyond the range that is more than rare outliers."""
SPARSE = 0.3
"""A tensor that takes fewer of its integer levels wastes a bit and a half or more."""


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


def guessing(run: Run) -> Iterator[Finding]:
    """W2: a model beside the base that is not clearly better than guessing."""
    classes = len(run.data.get("classes", ()))
    for m in run.measurements:
        if m.name != "accuracy" or m.subject == run.base or m.low is None or not classes:
            continue
        if m.low <= 100 / classes:
            yield Finding(
                "W2",
                "warning",
                m.subject,
                f"{m.subject} is right in {m.value:.1f} % of rows, which is not clearly better "
                f"than guessing among {classes} classes: its reasons explain guesses.",
                "Take another candidate.",
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
    """T1: classes without a test row, a validation part that tests, columns left out."""
    names = run.data.get("untested", ())
    if names:
        shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
        yield Finding(
            "T1",
            "warning",
            run.base,
            f"{len(names)} of {len(run.data.get('classes', ()))} classes have no test row "
            f"({shown}): no figure says how they fare.",
            "Give at least 3 rows of each class, or a test part that has them.",
        )
    if run.data.get("dropped"):
        yield Finding(
            "T1",
            "info",
            run.base,
            f"Columns that only count the rows are left out: {', '.join(run.data['dropped'])}.",
            "Rename such a column if it says something of a new row.",
        )
    if run.data.get("tested_by"):
        yield Finding(
            "T1",
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


def lost_class(run: Run) -> Iterator[Finding]:
    """B1: one class or slice lost accuracy beyond chance, of all classes or slices looked at.

    The intervals of `accuracy_drop` of groups hold for all groups of a kind together.
    """
    for subject in run.subjects():
        lost = [
            m
            for m in run.measurements
            if m.subject == subject
            and m.name.startswith(("accuracy_drop class:", "accuracy_drop slice:"))
            and m.low is not None
            and m.low > 0
        ]
        if lost:
            worst = max(lost, key=lambda m: m.value)
            group = worst.name.removeprefix("accuracy_drop ")
            others = f", as {len(lost) - 1} more do" if len(lost) > 1 else ""
            yield Finding(
                "B1",
                "warning",
                subject,
                f"{group} loses {worst.value:.1f} points of accuracy (95 %, of all such groups: "
                f"{worst.low:.1f} to {worst.high:.1f}), more than chance would explain{others}.",
                "Give more rows of it to train and calibrate with, or take another candidate; "
                f"--require 'accuracy_drop {group} <= 1' makes it a limit.",
            )


def overconfident(run: Run) -> Iterator[Finding]:
    """B2: probabilities of a candidate say surely and noticeably less than those of the base."""
    for m in run.measurements:
        if m.name == "calibration_error_change" and m.low is not None and m.low > OFF:
            yield Finding(
                "B2",
                "warning",
                m.subject,
                f"Its probabilities are {100 * m.value:.0f} points further from the share of right "
                "answers than those of the base: a threshold on them means something else now.",
                "Set thresholds anew on the small model, or take another candidate.",
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


def poor_calibration(run: Run) -> Iterator[Finding]:
    """Q2: ranges that were set by few rows, or by rows of one class alone."""
    for made in run.artifacts:
        for facts in made.facts:
            rows, seen = facts.get("calibration_rows", FEW), facts.get("calibration_classes", 2)
            if rows >= FEW and seen > 1:
                continue
            what = f"{rows} rows" if rows < FEW else f"{rows} rows of one class"
            yield Finding(
                "Q2",
                "warning",
                made.name,
                f"Its ranges were set by {what}: values in use may lie beyond them.",
                f"Give {FEW} calibration rows or more, of every class.",
            )


def layer_at_fault(run: Run) -> Iterator[Finding]:
    """Q1: of each file of integers the layer whose rounding alone moves the answers most."""
    for subject in dict.fromkeys(e.subject for e in run.layer_errors):
        errors = [e for e in run.layer_errors if e.subject == subject]
        worst = max(errors, key=lambda e: e.effect)
        if worst.effect == 0:
            continue
        cause, advice = _cause(worst)
        part = worst.effect / sum(e.effect for e in errors)
        yield Finding(
            "Q1",
            "warning" if worst.effect >= MOVED else "info",
            subject,
            f"Of all layers, rounding {worst.kind} {worst.layer} alone moves the answers most: "
            f"{100 * worst.effect:.2g} points of probability, {100 * part:.0f} % of what layers do "
            f"one by one. {cause}",
            advice,
        )


def _cause(worst: LayerError) -> tuple[str, str]:
    """What the figures of a layer say of why, and what to do."""
    if worst.saturated >= CLIPPED:
        return (
            f"{100 * worst.saturated:.2g} % of its values lie beyond the range it was given.",
            "Calibrate with more rows like those in use, or with calibration = minmax.",
        )
    if worst.used <= SPARSE:
        return (
            f"It takes only {100 * worst.used:.0f} % of the integer levels: a few large values "
            "stretch its range.",
            "Set calibration = mse or percentile, or equalise its channels.",
        )
    return (
        f"Its range fits; it keeps {worst.sqnr:.0f} dB of signal over noise.",
        f'Leave it in float with keep_float = ["{worst.layer}"], which takes about '
        f"{3 * worst.nbytes:,} bytes more, or train with rounding (quantise_aware).",
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


GAP = 0.02
"""Two points of probability that no player is given: more than rounding of any kind."""


def incomplete(run: Run) -> Iterator[Finding]:
    """G2: values of gradients that do not add up to what they explain."""
    for m in run.measurements:
        kind, _, method = m.name.partition(" ")
        if kind == "gap" and m.value > GAP:
            yield Finding(
                "G2",
                "warning",
                m.subject,
                f"By {method} values are {m.value:.3f} from adding up to what they explain: "
                "gradients miss what happens in steps, as in columns of categories, or were too "
                "few.",
                "Use more samples, or explain by shapley.",
            )


def few_compared(run: Run) -> Iterator[Finding]:
    """F2: reasons were compared over too few rows for an interval."""
    few = [m for m in run.measurements if m.name.startswith("reason_place ") and m.low is None]
    if few:
        yield Finding(
            "F2",
            "warning",
            ", ".join(dict.fromkeys(m.subject for m in few)),
            f"Reasons were compared over {few[0].n} rows, too few for an interval.",
            "Compare more rows.",
        )


NOISY = 0.95
"""A cosine of the base beside itself below which the noise hides what compression does."""


def noisy(run: Run) -> Iterator[Finding]:
    """K1: the noise of a method is so large that small changes of reasons cannot be seen."""
    for m in run.measurements:
        kind, _, method = m.name.partition(" ")
        if kind == "reason_floor" and m.value < NOISY:
            yield Finding(
                "K1",
                "warning",
                m.subject,
                f"By {method} the base beside itself under another seed has a cosine of "
                f"{m.value:.2f}: smaller changes of reasons cannot be told from noise.",
                "Use more samples, or fewer players.",
            )


def drifted(run: Run) -> Iterator[Finding]:
    """D2: rows with the same answer for other reasons."""
    for m in run.measurements:
        kind, _, method = m.name.partition(" ")
        if kind == "reason_drift" and m.value > 0:
            yield Finding(
                "D2",
                "warning",
                m.subject,
                f"{m.subject} gives the answer of {run.base} for other reasons in "
                f"{m.value * m.n:.0f} of {m.n} rows by {method}, beyond noise.",
                "Look at these rows: an agreement of answers hides them.",
            )


def no_causes(run: Run) -> Iterator[Finding]:
    """H1: what an agreement of reasons does not say."""
    if not any(m.name.startswith("reason_cosine ") for m in run.measurements):
        return
    patches = (
        " Those of pictures hang on how they are cut into patches."
        if run.data.get("kind") == "image"
        else ""
    )
    yield Finding(
        "H1",
        "info",
        run.base,
        "Reasons that agree need not be right: they show what moves an answer, not causes, and "
        f"hidden values put a model off its data.{patches}",
        "",
    )


CHECKS: tuple[Check, ...] = (
    none_within,
    weak_base,
    guessing,
    few_rows,
    seen_rows,
    untested,
    significant_loss,
    lost_class,
    overconfident,
    slower,
    poor_calibration,
    layer_at_fault,
    not_converged,
    incomplete,
    few_compared,
    noisy,
    drifted,
    no_causes,
)
