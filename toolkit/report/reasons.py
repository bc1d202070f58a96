"""The sections of the reasons page: whether the small model decides for the same reasons."""

from __future__ import annotations

import re

from markupsafe import Markup

from toolkit.glossary import Measurement
from toolkit.report import charts
from toolkit.report.origin import findings, provenance
from toolkit.report.quantities import interval, number
from toolkit.report.reason_rows import changed, distribution, worst
from toolkit.report.strings import say
from toolkit.report.templates import figure, rendered
from toolkit.report.words import name_of, reasons
from toolkit.run import Run

Part = tuple[str, str, Markup] | None

STAGE = re.compile(r"(?P<recipe>.+)/(?P<number>\d+) (?P<name>.+)$")
"""The subject of a stage: "RECIPE/2 channels"."""


def result(run: Run) -> Part:
    """Whether the models decide for the same reasons, first and large."""
    text = reasons(run)
    if not text:
        return None
    return (
        "verdict",
        say("Verdict"),
        rendered("verdict.html", text=text, warn=False, tiles=()),
    )


def place(run: Run) -> Part:
    """Where each model lies between reasons at random and the noise of the method itself."""
    found = [m for m in run.measurements if _by_method(m, "reason_place")]
    found = [m for m in found if not STAGE.match(m.subject)]
    if found:
        places = [
            charts.Place(f"{m.subject}, {name_of(m.name.split()[1])}", m.value, m.low, m.high)
            for m in found
        ]
        places += [
            charts.Place(_recut(m), m.value, m.low, m.high)
            for m in run.measurements
            if m.name.startswith("reason_place ") and " cut:" in m.name
            if not STAGE.match(m.subject)
        ]
        marks = {say("random"): 0.0, say("noise floor"): 1.0}
        caption = say(
            "0: no more alike than reasons at random. 1: as alike as the base is to itself under "
            "another seed. A retrained base, where there is one, says what two good models share."
        )
        for m in run.measurements:
            if _by_method(m, "reason_ceiling"):
                method = m.name.split()[1]
                name = say("retrained base, {method}", method=name_of(method))
                at = _on_scale(run, m.value, method)
                if at is not None:
                    places.append(charts.Place(name, at))
        return _ruled("place", say("From random to the noise floor"), places, marks, caption)
    cosines = [m for m in run.measurements if _by_method(m, "reason_cosine")]
    cosines = [m for m in cosines if not STAGE.match(m.subject)]
    if not cosines:
        return None
    places, marks = [], {}
    for m in cosines:
        method = m.name.split()[1]
        name = f"{m.subject}, {name_of(method)}"
        places.append(charts.Place(name, m.value, m.low, m.high))
        floor = run.measured(run.base, f"reason_floor {method}")
        if floor is not None:
            name = say("{name}, another seed, {method}", name=run.base, method=name_of(method))
            places.append(charts.Place(name, floor.value, floor.low, floor.high))
    caption = say(
        "Mean cosine of the reasons with its 95 % interval over decisions; beneath each model the "
        "base beside itself under another seed, which is what the noise of the method alone does."
    )
    marks = {say("the same"): 1.0}
    return _ruled("place", say("How alike the reasons are"), places, marks, caption)


def _recut(m: Measurement) -> str:
    """A figure over patches of another cut, by its name "reason_place METHOD cut:9"."""
    _, method, cut = m.name.split(" ")
    patches = cut.removeprefix("cut:")
    return say("{name}, {method}, {n} patches", name=m.subject, method=name_of(method), n=patches)


def _on_scale(run: Run, cosine: float, method: str) -> float | None:
    """A cosine between that of reasons at random (0) and that of the noise alone (1)."""
    null = run.measured(run.base, f"reason_null {method}")
    floor = run.measured(run.base, f"reason_floor {method}")
    if null is None or floor is None or not floor.value > null.value:
        return None
    return (cosine - null.value) / (floor.value - null.value)


def _ruled(
    anchor: str, title: str, places: list[charts.Place], marks: dict[str, float], caption: str
) -> Part:
    drawing = charts.ruler(places, marks, title)
    rows = [
        (
            p.name,
            number(p.value, 3),
            "" if p.low is None or p.high is None else interval(p.low, p.high, 3),
        )
        for p in places
    ]
    columns = (say("Model"), say("Mean"), "95 %")
    return anchor, title, figure(drawing, title, caption, columns, rows)


def likeness(run: Run) -> Part:
    """The figures of fidelity, a row for each model and method."""
    pairs = [
        (m.subject, m.name.split()[1])
        for m in run.measurements
        if _by_method(m, "reason_cosine") and not STAGE.match(m.subject)
    ]
    if not pairs:
        return None
    names = [name for name in _LIKENESS if any(_by_method(m, name) for m in run.measurements)]
    rows = [
        (
            subject,
            method,
            [
                run.measured(run.base if name in _OF_BASE else subject, f"{name} {method}")
                for name in names
            ],
        )
        for subject, method in pairs
    ]
    heads = [_LIKENESS[name] for name in names]
    return (
        "likeness",
        say("The same reasons?"),
        rendered("likeness.html", rows=rows, heads=heads, base=run.base),
    )


_LIKENESS = {
    "reason_cosine": "Cosine, mean",
    "reason_floor": "Noise alone",
    "reason_null": "At random",
    "reason_ceiling": "Retrained base",
    "reason_cosine_p5": "Cosine, 5th percentile",
    "reason_spearman": "Rank correlation",
    "reason_top3": "Shared top 3",
    "reason_sign": "Same sign, by weight",
    "reason_rank3": "Same order in the top 3",
    "reason_signed_top3": "Shared top 3 with the same sign",
    "reason_moved": "Share of attribution moved",
    "reason_shift": "Change of the probability",
    "reason_drift": "Same answer, other reasons",
    "reason_transfer": "Reasons carried over",
    "reason_transfer_back": "Reasons carried back",
}
_OF_BASE = ("reason_floor", "reason_null", "reason_ceiling")


def parts(run: Run) -> Part:
    """Likeness of reasons by class and by slice, where it was measured."""
    rows = []
    for m in run.measurements:
        figure_of, method, part = [*m.name.split(" ", maxsplit=2), "", ""][:3]
        if part and figure_of in ("reason_cosine", "reason_drift"):
            kind, _, name = part.partition(":")
            shown = say("class {name}", name=name) if kind == "class" else name
            rows.append((m, method, shown, _LIKENESS[figure_of]))
    if not rows:
        return None
    rows.sort(key=lambda row: (row[3], row[0].value))
    return "parts", say("By class and slice"), rendered("parts.html", rows=rows)


def stages(run: Run) -> Part:
    """What each pass of a recipe did to the reasons, stage by stage."""
    found: dict[str, list[tuple[int, str, str]]] = {}
    for subject in run.subjects():
        match = STAGE.match(subject)
        if match:
            one = (int(match["number"]), match["name"], subject)
            found.setdefault(match["recipe"], []).append(one)
    if not found:
        return None
    names = dict.fromkeys(m.name for m in run.measurements if STAGE.match(m.subject))
    kept = [n for n in names if n in ("accuracy", "agreement") or _of_stage(n)]
    heads = [_head(name) for name in kept]
    tables = [
        (recipe, [(n, name, [run.measured(s, k) for k in kept]) for n, name, s in sorted(each)])
        for recipe, each in found.items()
    ]
    return "stages", say("Stage by stage"), rendered("stages.html", tables=tables, heads=heads)


def _of_stage(name: str) -> bool:
    first, _, method = name.partition(" ")
    return (
        bool(method)
        and " " not in method
        and first in ("reason_place", "reason_cosine", "reason_drift")
    )


def _head(name: str) -> str:
    first, _, method = name.partition(" ")
    titles = {
        "accuracy": say("Accuracy, %"),
        "agreement": say("Agrees with base, %"),
        "reason_place": say("Reasons kept ({method}), 0 to 1", method=name_of(method)),
    }
    return titles.get(first) or f"{say(_LIKENESS[first])}, {name_of(method)}"


def _by_method(m: Measurement, name: str) -> bool:
    """Whether it is the figure `name` of one method over all rows."""
    return m.name.startswith(f"{name} ") and m.name.count(" ") == 1


SECTIONS = (
    result,
    place,
    likeness,
    distribution,
    worst,
    changed,
    parts,
    stages,
    findings,
    provenance,
)
"""Of the page by itself."""

WITHIN = (place, likeness, distribution, worst, changed, parts, stages)
"""Those that stand on the explanation page where it is the only one."""
