"""What must be said of the models themselves: right, in time, within the budget, well tried."""

from __future__ import annotations

from collections.abc import Iterator

from toolkit.glossary import FEW, NOTICEABLE, Facts, Finding, LayerError
from toolkit.run import Run

OFF = 0.02
"""Two points of calibration error: less moves no threshold that anyone sets."""

APART = 0.1
"""Points of accuracy between kinds of CPU that are told; files for all are to keep within."""
MOVED = 0.01
"""A mean change of a probability that is worth a warning."""
CLIPPED = 0.002
"""A share of values beyond the range that is more than rare outliers."""
ALIKE = 0.999
"""The share of rows that integers are to answer as the model that was trained with rounding."""
SPARSE = 0.3
"""A tensor that takes fewer of its integer levels wastes a bit and a half or more."""


def none_within(run: Run) -> Iterator[Finding]:
    """N1: candidates were made and none is within the budget."""
    if run.command == "compress" and run.chosen is None:
        yield Finding.of(
            "N1",
            "error",
            run.base,
            "No candidate is within the budget.",
            "Allow more loss or bytes, give more test rows, or train a better base.",
        )


def weak_base(run: Run) -> Iterator[Finding]:
    """W1: the base is not clearly better than guessing."""
    right = run.measured(run.base, "accuracy")
    if right is not None and run.guesses(run.base):
        yield Finding.of(
            "W1",
            "warning",
            run.base,
            "The base is right in {right:.1f} % of rows, "
            "and over its {classes} classes not clearly more often than by guessing.",
            "Check the data, its scale and its labels, or train longer.",
            right=right.value,
            classes=_tested(run),
        )


def guessing(run: Run) -> Iterator[Finding]:
    """W2: a model beside the base that is not clearly better than guessing."""
    for m in run.measurements:
        if m.name == "accuracy" and m.subject != run.base and run.guesses(m.subject):
            yield Finding.of(
                "W2",
                "warning",
                m.subject,
                "{name} is right in {right:.1f} % of rows, and over its {classes} classes not "
                "clearly more often than by guessing: its reasons explain guesses.",
                "Take another candidate.",
                name=m.subject,
                right=m.value,
                classes=_tested(run),
            )


def _tested(run: Run) -> int:
    """The classes that have test rows, over which guessing is judged."""
    return len(run.data.get("classes", ())) - len(run.data.get("untested", ()))


def few_rows(run: Run) -> Iterator[Finding]:
    """F1: too few test rows to see a loss of one point."""
    right = run.measured(run.base, "accuracy")
    if right is not None and right.n < 1000:
        yield Finding.of(
            "F1",
            "info",
            run.base,
            "{n} test rows: a loss of less than about "
            "{points:g} points cannot be ruled out, however well a model does.",
            "Give more test rows for a firmer answer.",
            n=right.n,
            points=float(f"{min(300 / right.n, 100):.1g}"),
        )


def seen_rows(run: Run) -> Iterator[Finding]:
    """D1: test rows that the training part holds as well."""
    seen = run.data.get("test_rows_trained_on", 0)
    total = run.data.get("rows", {}).get("test", 0)
    if seen > total / 100:
        yield Finding.of(
            "D1",
            "info",
            run.base,
            "{seen:,} of {total:,} test rows equal a row that was trained on "
            "({repeated:,} rows repeat another): accuracy is flattered.",
            "Drop repeated rows unless they come that often in use.",
            seen=seen,
            total=total,
            repeated=run.data.get("duplicates", 0),
        )


def untested(run: Run) -> Iterator[Finding]:
    """T1: classes without a test row, a validation part that tests, columns left out."""
    names = run.data.get("untested", ())
    if names:
        shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
        yield Finding.of(
            "T1",
            "warning",
            run.base,
            "{n} of {classes} classes have no test row ({names}): no figure says how they fare.",
            "Give at least 3 rows of each class, or a test part that has them.",
            n=len(names),
            classes=len(run.data.get("classes", ())),
            names=shown,
        )
    if run.data.get("dropped"):
        yield Finding.of(
            "T1",
            "info",
            run.base,
            "Columns that only count the rows are left out: {names}.",
            "Rename such a column if it says something of a new row.",
            names=", ".join(run.data["dropped"]),
        )
    if run.data.get("tested_by"):
        yield Finding.of(
            "T1",
            "info",
            run.base,
            "The data has no test part: its {part} tests.",
            "If the model was chosen by these rows, accuracy is flattered: give a test part.",
            part=run.data["tested_by"],
        )


def significant_loss(run: Run) -> Iterator[Finding]:
    """L1: a candidate is worse than the base beyond chance."""
    for m in run.measurements:
        if m.name == "accuracy_drop" and m.low is not None and m.low > 0:
            yield Finding.of(
                "L1",
                "warning",
                m.subject,
                "Loses {points:.1f} points of accuracy, more than chance would explain.",
                "Take another candidate, or calibrate and train with more data.",
                points=m.value,
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
            yield Finding.of(
                "B1",
                "warning",
                subject,
                "{group} loses {points:.1f} points of accuracy (95 %, of all such groups: "
                "{low:.1f} to {high:.1f}), more than chance would explain, as {n} more do."
                if len(lost) > 1
                else "{group} loses {points:.1f} points of accuracy (95 %, of all such groups: "
                "{low:.1f} to {high:.1f}), more than chance would explain.",
                "Give more rows of it to train and calibrate with, or take another candidate; "
                "--require 'accuracy_drop {group} <= 1' makes it a limit.",
                group=group,
                points=worst.value,
                low=worst.low,
                high=worst.high,
                n=len(lost) - 1,
            )


def overconfident(run: Run) -> Iterator[Finding]:
    """B2: probabilities of a candidate say surely and noticeably less than those of the base."""
    for m in run.measurements:
        if m.name == "calibration_error_change" and m.low is not None and m.low > OFF:
            yield Finding.of(
                "B2",
                "warning",
                m.subject,
                "Its probabilities are {points:.0f} points further from the share of right "
                "answers than those of the base: a threshold on them means something else now.",
                "Set thresholds anew on the small model, or take another candidate.",
                points=100 * m.value,
            )


def slower(run: Run) -> Iterator[Finding]:
    """S1: candidates that are slower than the base on this machine."""
    found = [
        m
        for m in run.measurements
        if m.name == "latency_ratio" and m.low is not None and m.low > NOTICEABLE
    ]
    if found:
        times = [m.value for m in found]
        yield Finding.of(
            "S1",
            "info",
            ", ".join(m.subject for m in found),
            "Slower than the base for one row here: {most:.2f} times its time."
            if len(found) == 1
            else "Slower than the base for one row here: {least:.2f} to {most:.2f} times its time.",
            "Integer kernels pay off on larger layers; where speed counts more than size, "
            "take a float candidate.",
            least=min(times),
            most=max(times),
        )


def no_smaller(run: Run) -> Iterator[Finding]:
    """S2: candidates that take as many bytes as the base."""
    base = run.measured(run.base, "bytes")
    for m in run.measurements:
        if base and m.name == "bytes" and m.subject != run.base and m.value >= base.value:
            yield Finding.of(
                "S2",
                "warning",
                m.subject,
                "No smaller than the base: {n:,.0f} bytes beside {most:,.0f}.",
                "Take another candidate; its facts name the layers that were left as they are.",
                n=m.value,
                most=base.value,
            )


def poor_calibration(run: Run) -> Iterator[Finding]:
    """Q2: ranges that were set by few rows, by rows of one class alone, or by one row repeated."""
    for made in run.artifacts:
        for facts in made.facts:
            rows, seen = facts.get("calibration_rows", FEW), facts.get("calibration_classes", 2)
            alike = facts.get("calibration_alike", False)
            if rows >= FEW and seen > 1 and not alike:
                continue
            yield Finding.of(
                "Q2",
                "warning",
                made.name,
                "Its ranges were set by {n} rows that are all alike: values in use may lie beyond "
                "them."
                if alike
                else "Its ranges were set by {n} rows: values in use may lie beyond them."
                if rows < FEW
                else "Its ranges were set by {n} rows of one class: values in use may lie beyond "
                "them.",
                "Give {least} training rows or more, of every class.",
                n=rows,
                least=FEW,
            )


def layer_at_fault(run: Run) -> Iterator[Finding]:
    """Q1: of each file of integers the layer whose rounding alone moves the answers most."""
    for subject in dict.fromkeys(e.subject for e in run.layer_errors):
        errors = [e for e in run.layer_errors if e.subject == subject]
        worst = max(errors, key=lambda e: e.effect)
        if worst.effect == 0:
            continue
        advice, why = _cause(worst)
        part = worst.effect / sum(e.effect for e in errors)
        yield Finding.of(
            "Q1",
            "warning" if worst.effect >= MOVED else "info",
            subject,
            "Of all layers, rounding {kind} {layer} alone moves the answers most: "
            "{points:g} points of probability, {share:.0f} % of what layers do "
            "one by one.",
            advice,
            kind=worst.kind,
            layer=worst.layer,
            points=float(f"{100 * worst.effect:.2g}"),
            share=100 * part,
            **why,
        )


def other_by_cpu(run: Run) -> Iterator[Finding]:
    """Q3: files that are right less often on some CPUs than on others."""
    for m in run.measurements:
        clipped = run.measured(m.subject, "accuracy target:avx2")
        exact = run.measured(m.subject, "accuracy target:vnni")
        if m.name != "target_spread" or m.value <= APART or clipped is None or exact is None:
            continue
        yield Finding.of(
            "Q3",
            "warning",
            m.subject,
            "{name} is right in {clipped:.1f} % of {n:,} rows on x86 CPUs without VNNI, where sums "
            "of its integers clip, and in {exact:.1f} % on others.",
            "Use it on the CPUs it is meant for alone, or compress for --target generic.",
            name=m.subject,
            clipped=clipped.value,
            exact=exact.value,
            n=m.n,
        )


def other_in_company(run: Run) -> Iterator[Finding]:
    """Q4: files whose ranges are those of the rows of a call."""
    for made in run.artifacts:
        if any(facts.get("pass") == "dynamic_int8" for facts in made.facts):
            yield Finding.of(
                "Q4",
                "info",
                made.name,
                "{name} sets its ranges by the rows of each call: all that is told of it is of one "
                "row a call, and rows that are asked together change each other's answers.",
                "Ask one row a call, as the run.py of a bundle does.",
                name=made.name,
            )


def other_than_trained(run: Run) -> Iterator[Finding]:
    """Q6: integers that answer otherwise than the model that was trained with rounding."""
    for made in run.artifacts:
        for facts in made.facts:
            # of a float file the export itself refuses what differs
            same = facts.get("same_answers", 1.0) if "float_layers" in facts else 1.0
            if same >= ALIKE:
                continue
            yield Finding.of(
                "Q6",
                "warning",
                made.name,
                "As integers {name} gives {other:,} of {rows:,} rows another class than the model "
                "that was trained with rounding.",
                "The figures here are of the file and hold; with more bits the two come nearer.",
                name=made.name,
                other=round((1 - same) * facts["rows_compared"]),
                rows=facts["rows_compared"],
            )


def _cause(worst: LayerError) -> tuple[str, Facts]:
    """What the figures of a layer say of why and what to do, and the values in it."""
    if worst.saturated >= CLIPPED:
        return (
            "{clipped:g} % of its values lie beyond the range it was given. "
            "Calibrate with more rows like those in use, or with calibration = minmax.",
            {"clipped": float(f"{100 * worst.saturated:.2g}")},
        )
    if worst.used <= SPARSE:
        return (
            "It takes only {used:.0f} % of the integer levels: a few large values "
            "stretch its range. Set calibration = mse or percentile, or equalise its channels.",
            {"used": 100 * worst.used},
        )
    return (
        "Its range fits; it keeps {sqnr:.0f} dB of signal over noise. "
        'Leave it in float with keep_float = ["{layer}"], which takes about '
        "{more:,} bytes more, or train with rounding (quantise_aware).",
        {"sqnr": worst.sqnr, "more": 3 * worst.nbytes},
    )
