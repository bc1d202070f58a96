"""Sentences that figures allow: nothing is called faster, lost or alike unless its interval is."""

from __future__ import annotations

from toolkit.glossary import NOTICEABLE, Measurement
from toolkit.report.quantities import interval, listed, number, places, similarity, with_unit
from toolkit.run import Run


def verdict(run: Run) -> str:
    """The result in one or two plain sentences, without mark-up."""
    if run.command == "explain":
        return reasons(run) or f"{len(run.decisions)} decisions of {run.base} explained."
    if run.chosen is None:
        return "No candidate is within the limits; the table says how far each is from them."
    parts = [_size(run, run.chosen), _accuracy(run, run.chosen), _speed(run, run.chosen)]
    text = f"Take {run.chosen}: {listed(part for part in parts if part)}."
    return f"{text} {reasons(run)}".strip()


def reasons(run: Run) -> str:
    """Whether the compared models decide for the same reasons, beside the noise of the method."""
    named = [m for m in run.measurements if m.name.startswith("reason_cosine ")]
    found = [m for m in named if m.name.count(" ") == 1]  # no class or slice
    parts = []
    for m in found:
        method = m.name.split(" ", 1)[1]
        floor = run.measured(run.base, f"reason_floor {method}")
        known = []
        if m.low is not None and m.high is not None:
            known.append(f"95 %: {similarity(m.low)} to {similarity(m.high)}")
        if floor is not None:
            known.append(f"noise alone {similarity(floor.value)}")
        text = f"{similarity(m.value)} by {name_of(method)}"
        parts.append(text + (f" ({'; '.join(known)})" if known else ""))
    if not parts:
        return ""
    subjects = listed(dict.fromkeys(m.subject for m in found))
    differ = any(_below_noise(run, m) for m in found)
    return (
        f"The reasons of {subjects} {'differ from' if differ else 'are'} those of {run.base}"
        f"{'' if differ else ', as far as can be told'}: over {found[0].n} decisions "
        f"a cosine of {listed(parts)}."
    )


def _below_noise(run: Run, m: Measurement) -> bool:
    """Whether two models differ more than one model does from itself under another seed."""
    floor = run.measured(run.base, m.name.replace("reason_cosine ", "reason_floor "))
    return m.high is not None and floor is not None and m.high < (floor.low or floor.value)


def name_of(method: str) -> str:
    """The name that people know a method by."""
    return {"shapley": "SHAP", "lime": "LIME", "random": "random order"}.get(method, method)


def figure(m: Measurement | None, decimals: int | None = None) -> str:
    """A measurement with its unit, with as many digits as its interval knows; – where none is."""
    if m is None:
        return "–"
    if m.unit in ("B", "us", "ms"):
        return with_unit(m.value, m.unit)
    digits = places(m.value, m.low, m.high) if decimals is None else decimals
    return number(m.value, digits)


def ends(m: Measurement | None, decimals: int | None = None) -> str:
    """The 95 % interval of a measurement, or nothing."""
    if m is None or m.low is None or m.high is None:
        return ""
    digits = places(m.value, m.low, m.high) if decimals is None else decimals
    return interval(m.low, m.high, digits)


def _size(run: Run, subject: str) -> str:
    base, small = run.measured(run.base, "bytes"), run.measured(subject, "bytes")
    if base is None or small is None or not small.value:
        return ""
    ratio = base.value / small.value
    if ratio < 1:
        return f"{number(1 / ratio, 1)} times larger ({with_unit(small.value, 'B')})"
    return f"{number(ratio, 1)} times smaller ({with_unit(small.value, 'B')})"


def _accuracy(run: Run, subject: str) -> str:
    drop = run.measured(subject, "accuracy_drop")
    if drop is None or drop.low is None or drop.high is None:
        return ""
    known = f"(95 %: {ends(drop, 1)})"
    if drop.low > 0:
        return f"{number(drop.value, 1)} points of accuracy lost {known}"
    if drop.high < 0:
        return f"{number(-drop.value, 1)} points of accuracy gained (loss, 95 %: {ends(drop, 1)})"
    return (
        f"no loss of accuracy beyond chance ({number(drop.value, 1)} points, 95 %: {ends(drop, 1)})"
    )


def _speed(run: Run, subject: str) -> str:
    ratio = run.measured(subject, "latency_ratio")
    if ratio is None or ratio.low is None or ratio.high is None:
        return ""
    known = f"(95 %: {interval(ratio.low, ratio.high, 2)})"
    if ratio.high < 1 / NOTICEABLE:
        return f"faster, at {number(ratio.value, 2)} of the base's time a row {known}"
    if ratio.low > NOTICEABLE:
        return f"slower, at {number(ratio.value, 2)} times the base's time a row {known}"
    return f"as fast as the base within the noise (times {number(ratio.value, 2)}, {known[1:]}"
