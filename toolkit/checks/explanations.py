"""What must be said of explanations, and of reasons that were compared."""

from __future__ import annotations

from collections.abc import Iterator

from toolkit.glossary import Finding
from toolkit.run import Run


def not_converged(run: Run) -> Iterator[Finding]:
    """C1: explanations whose error is still large."""
    loose = [a for a in run.attributions if not a.converged]
    if loose:
        yield Finding.of(
            "C1",
            "warning",
            ", ".join(sorted({a.method for a in loose})),
            "{n} of {total} explanations have not converged: "
            "small differences between their players mean nothing.",
            "Use more samples.",
            n=len(loose),
            total=len(run.attributions),
        )


GAP = 0.02
"""Two points of probability that no player is given: more than rounding of any kind."""


def incomplete(run: Run) -> Iterator[Finding]:
    """G2: values of gradients that do not add up to what they explain."""
    for m in run.measurements:
        kind, _, method = m.name.partition(" ")
        if kind == "gap" and m.value > GAP:
            yield Finding.of(
                "G2",
                "warning",
                m.subject,
                "By {method} values are {gap:.3f} from adding up to what they explain: "
                "gradients miss what happens in steps, as in columns of categories, or were too "
                "few.",
                "Use more samples, or explain by shapley.",
                method=method,
                gap=m.value,
            )


FITS = 0.3
"""The least share of the answers that a linear model should give again to speak for the model."""


def unfit(run: Run) -> Iterator[Finding]:
    """G3: a linear model around rows that gives hardly anything of the answers again."""
    for m in run.measurements:
        kind, _, method = m.name.partition(" ")
        if kind == "r2" and m.value < FITS:
            yield Finding.of(
                "G3",
                "warning",
                m.subject,
                "Around these rows the linear model of {method} gives {share:.0f} % of the answers "
                "of {name} again: its weights say little of why {name} decides so.",
                "Explain by shapley, which needs no linear model.",
                method=method,
                share=100 * m.value,
                name=m.subject,
            )


def few_compared(run: Run) -> Iterator[Finding]:
    """F2: reasons were compared over too few rows for an interval."""
    few = [m for m in run.measurements if m.name.startswith("reason_place ") and m.low is None]
    if few:
        yield Finding.of(
            "F2",
            "warning",
            ", ".join(dict.fromkeys(m.subject for m in few)),
            "Reasons were compared over {n} rows, too few for an interval.",
            "Compare more rows.",
            n=few[0].n,
        )


NOISY = 0.95
"""A cosine of the base beside itself below which the noise hides what compression does."""


def noisy(run: Run) -> Iterator[Finding]:
    """N2: the noise of a method is so large that small changes of reasons cannot be seen."""
    for m in run.measurements:
        kind, _, method = m.name.partition(" ")
        if kind == "reason_floor" and m.value < NOISY:
            yield Finding.of(
                "N2",
                "warning",
                m.subject,
                "By {method} the base beside itself under another seed has a cosine of "
                "{cosine:.2f}: smaller changes of reasons cannot be told from noise.",
                "Use more samples, or fewer players.",
                method=method,
                cosine=m.value,
            )


def drifted(run: Run) -> Iterator[Finding]:
    """D2: rows with the same answer for other reasons."""
    for m in run.measurements:
        kind, _, method = m.name.partition(" ")
        if kind == "reason_drift" and m.value > 0:
            yield Finding.of(
                "D2",
                "warning",
                m.subject,
                "{name} gives the answer of {base} for other reasons in "
                "{rows:.0f} of {n} rows by {method}, beyond noise.",
                "Look at these rows: an agreement of answers hides them.",
                name=m.subject,
                base=run.base,
                rows=m.value * m.n,
                n=m.n,
                method=method,
            )


def no_causes(run: Run) -> Iterator[Finding]:
    """H1: what an agreement of reasons does not say; H2: nor that of pictures."""
    if not any(m.name.startswith("reason_cosine ") for m in run.measurements):
        return
    yield Finding.of(
        "H1",
        "info",
        run.base,
        "Reasons that agree need not be right: they show what moves an answer, not causes, and "
        "hidden values put a model off its data.",
    )
    twice = [
        (m, first)
        for m in run.measurements
        if " cut:" in m.name and (first := run.measured(m.subject, m.name.split(" cut:")[0]))
    ]
    if twice:
        m, first = max(twice, key=lambda pair: abs(pair[0].value - pair[1].value))
        yield Finding.of(
            "H2",
            "info",
            m.subject,
            "Reasons of pictures hang on how these are cut: in {n} patches the agreement of {name} "
            "by {method} is {recut:.3f}, as it was first cut {value:.3f}.",
            "Trust no difference that is smaller than that between two cuts.",
            n=m.name.split(" cut:")[1],
            name=m.subject,
            method=m.name.split(" ")[1],
            recut=m.value,
            value=first.value,
        )
