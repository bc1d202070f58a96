"""Which candidate to take: the limits, what misses them and why, and the best of the rest."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from toolkit.errors import RecipeError
from toolkit.gate import Verdict
from toolkit.glossary import NOTICEABLE, Artifact, Facts, Finding, Measurement
from toolkit.requirement import Requirement

FREE_DROP = 1.0
"""Points that may be lost when no limit is given, if the loss is within chance at all."""


SAME_SIZE = 1.05
"""Files within this ratio of the smallest count as equally small; the most accurate is taken."""


@dataclass(frozen=True)
class Budget:
    """What a small model may cost; None is no limit.

    max_drop: points of accuracy; the one-sided 95 % bound of the loss must lie below it.
    max_bytes: of the file. max_latency: ms, p50 of one row on one thread. never_slower: than the
    base. seconds: for making candidates; what is begun is finished. require: demands on any other
    figure, of one class or slice too. min_agreement: of reasons, 0 as random and 1 as the base
    beside itself; the lower end of its 95 % interval must reach it.
    """

    max_drop: float | None = None
    max_bytes: int | None = None
    max_latency: float | None = None
    never_slower: bool = False
    seconds: float | None = None
    require: tuple[Requirement, ...] = ()
    min_agreement: float | None = None

    def __post_init__(self) -> None:
        """Refuse limits that nothing can meet."""
        for name in ("max_drop", "max_bytes", "max_latency", "seconds", "min_agreement"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise RecipeError(f"{name} {value}", "a finite number above 0", "correct the limit")
        if self.max_drop is not None and self.max_drop >= 100:
            raise RecipeError(
                f"max_drop {self.max_drop:g}", "points below 100, all that can be lost", "lower it"
            )
        if self.min_agreement is not None and self.min_agreement >= 1:
            raise RecipeError(
                f"min_agreement {self.min_agreement}",
                "below 1, the base beside itself",
                "correct the limit",
            )

    def of_measured(self) -> bool:
        """Whether something must hold that is known of files that were measured, not before."""
        timed = self.never_slower or self.max_latency is not None
        return timed or bool(self.require or self.min_agreement)

    def told(self) -> Facts:
        """The limits that were set, as a Run keeps them."""
        limits = {n: v for n, v in vars(self).items() if n != "require" and v}
        return {**limits, **({"require": [str(r) for r in self.require]} if self.require else {})}


def dearer(
    chosen: Artifact | None, candidates: Sequence[Artifact], measured: Sequence[Measurement]
) -> tuple[Finding, ...]:
    """A1: what more accuracy than that of the chosen one would cost, by the cheapest that has it.

    A2: what fewer bytes would cost, by the most accurate of the smaller files.
    """
    if chosen is None:
        return ()
    right = {m.subject: m for m in measured if m.name == "accuracy"}
    mine = right[chosen.name].value
    found = []

    def beaten(one: Artifact) -> bool:
        """Whether a smaller file is as right."""
        its = right[one.name].value
        return any(a.nbytes < one.nbytes and right[a.name].value >= its for a in candidates)

    better = [a for a in candidates if right[a.name].value > mine and a.nbytes > chosen.nbytes]
    better = [a for a in better if not beaten(a)]
    if better:
        next_ = min(better, key=lambda a: (a.nbytes - chosen.nbytes) / (right[a.name].value - mine))
        points, more = right[next_.name].value - mine, next_.nbytes - chosen.nbytes
        found.append(
            Finding.of(
                "A1",
                "info",
                next_.name,
                "{points:g} points more accuracy, as measured on {n:,} rows, "
                "cost {more:,} bytes: {name} beside {chosen}.",
                "Take it where accuracy counts more than size.",
                points=float(f"{points:.2g}"),
                n=right[next_.name].n,
                more=more,
                name=next_.name,
                chosen=chosen.name,
            )
        )
    smaller = [a for a in candidates if a.nbytes < chosen.nbytes]
    if smaller:
        next_ = max(smaller, key=lambda a: (right[a.name].value, -a.nbytes))
        points, fewer = mine - right[next_.name].value, chosen.nbytes - next_.nbytes
        found.append(
            Finding.of(
                "A2",
                "info",
                next_.name,
                "{fewer:,} bytes less cost {points:g} points of accuracy, as measured on {n:,} "
                "rows: {name} beside {chosen}."
                if points > 0
                else "{fewer:,} bytes less cost no accuracy, as measured on {n:,} rows: {name} "
                "beside {chosen}.",
                "Take it where size counts more, if it is quick enough.",
                fewer=fewer,
                points=float(f"{points:.2g}"),
                n=right[next_.name].n,
                name=next_.name,
                chosen=chosen.name,
            )
        )
    return tuple(found)


def miss(
    made: Artifact,
    measured: Sequence[Measurement],
    budget: Budget,
    reasons: Sequence[Verdict] = (),
) -> str:
    """Why a candidate is not within the budget, or nothing. reasons: the gate's verdicts."""
    figure = {m.name: m for m in measured if m.subject == made.name}
    drop, bound = figure["accuracy_drop"], figure["accuracy_drop_bound"].value
    if budget.max_drop is not None and not bound < budget.max_drop:
        return (
            f"may lose {bound:.2f} points (one-sided 95 % bound over {drop.n} rows), "
            f"not below {budget.max_drop:g}"
        )
    if budget.max_drop is None and (drop.value > FREE_DROP or (drop.low or 0.0) > 0):
        return f"loses {drop.value:.2f} points, more than {FREE_DROP:g} or more than chance"
    if budget.max_bytes is not None and made.nbytes > budget.max_bytes:
        return f"is {made.nbytes:,} bytes, more than {budget.max_bytes:,}"
    if budget.min_agreement is not None:
        judged = [v for v in reasons if v.subject == made.name]
        if not judged:
            return "has no reasons that were compared"
        failed = next((v for v in judged if not v.passed), None)
        if failed is not None:
            return f"fails by its reasons: {failed.why}"
    ratio = figure["latency_ratio"]
    if budget.never_slower and ratio.low is not None and ratio.low > NOTICEABLE:
        return f"takes {ratio.value:.2f} times the base's time"
    milliseconds = figure["latency_p50"].value / 1e3
    if budget.max_latency is not None and milliseconds > budget.max_latency:
        return f"takes {milliseconds:.3g} ms, more than {budget.max_latency:g}"
    return next((why for r in budget.require if (why := r.miss(made.name, measured))), "")


def quick(
    within: Sequence[Artifact], measured: Sequence[Measurement], budget: Budget
) -> Sequence[Artifact]:
    """Those that are not slower than the base, or all where every one is or a limit was given."""
    slow = {
        m.subject
        for m in measured
        if m.name == "latency_ratio" and m.low is not None and m.low > NOTICEABLE
    }
    quick = [a for a in within if a.name not in slow]
    return quick if quick and budget.max_latency is None else within


def best(within: Sequence[Artifact], measured: Sequence[Measurement]) -> Artifact | None:
    """The smallest file, or the most accurate of those that are hardly larger."""
    if not within:
        return None
    right = {m.subject: m.value for m in measured if m.name == "accuracy"}
    least = min(a.nbytes for a in within)
    near = [a for a in within if a.nbytes <= SAME_SIZE * least]
    return max(near, key=lambda a: (right[a.name], -a.nbytes))
