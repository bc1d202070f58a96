"""Sentences that figures allow: nothing is called faster, lost or alike unless its interval is."""

from __future__ import annotations

from toolkit.glossary import NOTICEABLE, Measurement
from toolkit.report.quantities import interval, listed, number, places, similarity, with_unit
from toolkit.report.strings import say
from toolkit.run import Run

FEW = 2
"""Models whose figures fit into one sentence."""

ALIKE = 0.999
"""A cosine from which two drawings of reasons look the same: less than three degrees."""


def verdict(run: Run) -> str:
    """The result in one or two plain sentences, without mark-up."""
    if run.command == "explain":
        return explained(run)
    if run.chosen is None:
        return say("No candidate is within the limits; the table says how far each is from them.")
    parts = [_size(run, run.chosen), _accuracy(run, run.chosen), _speed(run, run.chosen)]
    known = listed(part for part in parts if part)
    text = say("Take {name}: {what}.", name=run.chosen, what=known)
    return f"{text} {reasons(run)}".strip()


def explained(run: Run) -> str:
    """What the explanations say in a sentence."""
    n = len(run.decisions)
    return reasons(run) or say("Decisions of {name} explained: {n}.", n=n, name=run.base)


def reasons(run: Run) -> str:
    """Whether the compared models decide for the same reasons, beside the noise of the method."""
    found = [m for m in run.measurements if m.name.startswith("reason_cosine ")]
    # by class, by slice and stage by stage have sections of their own
    found = [m for m in found if " " not in m.name.split(" ", 1)[1] and "/" not in m.subject]
    subjects = list(dict.fromkeys(m.subject for m in found))
    if len(subjects) > FEW:
        return _of_many(run, found)
    return " ".join(_of_one(run, [m for m in found if m.subject == s]) for s in subjects)


def _of_one(run: Run, found: list[Measurement]) -> str:
    """Whether one model keeps the reasons, with its figure by each method."""
    parts = []
    for m in found:
        method = m.name.split(" ", 1)[1]
        floor = run.measured(run.base, f"reason_floor {method}")
        known = []
        if m.low is not None and m.high is not None:
            ends = say("{low} to {high}", low=similarity(m.low), high=similarity(m.high))
            known.append(f"95 %: {ends}")
        if floor is not None:
            known.append(say("noise alone {value}", value=similarity(floor.value)))
        text = say("{value} by {method}", value=similarity(m.value), method=name_of(method))
        parts.append(text + (f" ({'; '.join(known)})" if known else ""))
    name, base = found[0].subject, run.base
    if any(_differs(run, m) for m in found):
        told = say("The reasons of {name} differ from those of {base}", name=name, base=base)
    elif any(m.high is None for m in found):
        told = say(
            "Whether the reasons of {name} are those of {base}, so few rows do not tell",
            name=name,
            base=base,
        )
    else:
        told = say(
            "The reasons of {name} are those of {base}, as far as can be told", name=name, base=base
        )
    return say(
        "{told}: over {n} decisions a cosine of {figures}.",
        told=told,
        n=found[0].n,
        figures=listed(parts),
    )


def _of_many(run: Run, found: list[Measurement]) -> str:
    """Which of many models keep the reasons, and how far off the others are, by one method."""
    subjects = list(dict.fromkeys(m.subject for m in found))
    other = {m.subject for m in found if _differs(run, m)}
    kept, method = [s for s in subjects if s not in other], found[0].name.split(" ", 1)[1]
    told = []
    if kept and any(m.high is None for m in found):
        told.append(
            say(
                "Whether the reasons of {names} are those of {base}, so few rows do not tell.",
                names=listed(kept),
                base=run.base,
            )
        )
    elif kept:
        told.append(
            say(
                "The reasons of {names} are those of {base}, as far as can be told.",
                names=listed(kept),
                base=run.base,
            )
        )
    places = [run.measured(s, f"reason_place {method}") for s in subjects if s in other]
    known = sorted((p for p in places if p is not None), key=lambda p: p.value)
    if known:
        figures = listed(f"{p.subject} {_alike(p.value)}" for p in known)
        told.append(
            say(
                "Those of others differ: on a scale from random (0) to {base} beside itself (1), "
                "over {n} decisions by {method}, {figures}.",
                base=run.base,
                n=found[0].n,
                method=name_of(method),
                figures=figures,
            )
        )
    return " ".join(told)


def _differs(run: Run, m: Measurement) -> bool:
    """Whether two models differ more than one model does from itself under another seed.

    Where rows are too few for an interval: whether any row has drifted, which is told of each.
    """
    method = m.name.split(" ", 1)[1]
    if m.high is None:
        drift = run.measured(m.subject, f"reason_drift {method}")
        return drift is not None and drift.value > 0
    floor = run.measured(run.base, f"reason_floor {method}")
    # exact values have no noise at all, and a last bit is no other reason
    return floor is not None and m.high < min(floor.low or floor.value, ALIKE)


def name_of(method: str) -> str:
    """The name that people know a method by."""
    names = {
        "shapley": "SHAP",
        "lime": "LIME",
        "integrated": "Integrated Gradients",
        "expected": "Expected Gradients",
        "kernel": "KernelSHAP",
        "permutation": "PermutationSHAP",
        "partition": "PartitionSHAP",
        "deep": "DeepSHAP",
        "random": say("random order"),
        "nothing": say("no reasons"),
    }
    return " ".join(names.get(part) or _hidden(part) for part in method.split(" "))


HIDDEN = {
    "hidden:mean": "hidden by the mean",
    "hidden:blur": "hidden by blur",
    "hidden:colour": "hidden by one colour",
    "hidden:filling": "hidden by the filling",
}
"""What is added to a method of which players are hidden in a second way."""


def _hidden(part: str) -> str:
    return say(HIDDEN[part]) if part in HIDDEN else part


def figure(m: Measurement | None, decimals: int | None = None) -> str:
    """A measurement with its unit, with as many digits as its interval knows; – where none is."""
    if m is None:
        return "–"
    if m.unit in ("B", "us", "ms"):
        return with_unit(m.value, m.unit)
    digits = places(m.value, m.low, m.high) if decimals is None else decimals
    return number(m.value, digits)


def likeness(m: Measurement | None) -> str:
    """A likeness of reasons: near 1 with the digits that tell it from 1."""
    return "–" if m is None else _alike(m.value)


def likeness_ends(m: Measurement | None) -> str:
    """The 95 % interval of a likeness of reasons, or nothing."""
    if m is None or m.low is None or m.high is None:
        return ""
    return say("{low} to {high}", low=_alike(m.low), high=_alike(m.high))


def _alike(value: float) -> str:
    return similarity(value) if abs(value) > _NEAR else number(value, 3)


_NEAR = 0.9


def sortable(m: Measurement | None) -> str:
    """The value of a measurement as a script reads it, or nothing."""
    return "" if m is None else repr(float(m.value))


def ends(m: Measurement | None, decimals: int | None = None) -> str:
    """The 95 % interval of a measurement, or nothing."""
    if m is None or m.low is None or m.high is None:
        return ""
    digits = places(m.value, m.low, m.high) if decimals is None else decimals
    return interval(m.low, m.high, digits)


def turned(m: Measurement) -> str:
    """The 95 % interval of a loss as that of a gain."""
    return interval(-(m.high or 0.0), -(m.low or 0.0), 1)


def _size(run: Run, subject: str) -> str:
    base, small = run.measured(run.base, "bytes"), run.measured(subject, "bytes")
    if base is None or small is None or not small.value:
        return ""
    ratio = base.value / small.value
    size = with_unit(small.value, "B")
    if ratio < 1:
        return say("{ratio} times larger ({size})", ratio=number(1 / ratio, 1), size=size)
    return say("{ratio} times smaller ({size})", ratio=number(ratio, 1), size=size)


def _accuracy(run: Run, subject: str) -> str:
    drop = run.measured(subject, "accuracy_drop")
    if drop is None or drop.low is None or drop.high is None:
        return ""
    known, points = ends(drop, 1), number(drop.value, 1)
    if drop.low > 0:
        return say("{points} points of accuracy lost (95 %: {known})", points=points, known=known)
    if drop.high < 0:
        return say(
            "{points} points of accuracy gained (95 %: {known})",
            points=number(-drop.value, 1),
            known=turned(drop),
        )
    return say(
        "no loss of accuracy beyond chance ({points} points, 95 %: {known})",
        points=points,
        known=known,
    )


def _speed(run: Run, subject: str) -> str:
    ratio = run.measured(subject, "latency_ratio")
    if ratio is None or ratio.low is None or ratio.high is None:
        return ""
    known, value = interval(ratio.low, ratio.high, 2), number(ratio.value, 2)
    if ratio.high < 1 / NOTICEABLE:
        return say(
            "faster, at {value} of the base's time a row (95 %: {known})",
            value=value,
            known=known,
        )
    if ratio.low > NOTICEABLE:
        return say(
            "slower, at {value} times the base's time a row (95 %: {known})",
            value=value,
            known=known,
        )
    return say(
        "about as fast as the base (times {value}, 95 %: {known})",
        value=value,
        known=known,
    )
