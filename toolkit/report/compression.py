"""The sections of the compression page: what came out, what it cost, how it was made."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from toolkit.report import cards, charts
from toolkit.report.behaviour import calibration, classes, confusions, devices, slices, targets
from toolkit.report.faults import layer_errors
from toolkit.report.origin import findings, provenance
from toolkit.report.quantities import interval, number, with_unit
from toolkit.report.strings import say
from toolkit.report.templates import figure, rendered
from toolkit.report.tiles import tiles
from toolkit.report.words import name_of, verdict
from toolkit.run import Run

Part = tuple[str, str, Markup] | None

_GALLERY = 12


@dataclass(frozen=True)
class Column:
    """A column of the table of candidates: the measurement it shows."""

    name: str
    title: str
    digits: int | None = None


def result(run: Run) -> Part:
    """The verdict, first and large."""
    drop = run.measured(run.chosen, "accuracy_drop") if run.chosen else None
    lost = run.chosen is None or (drop is not None and drop.low is not None and drop.low > 0)
    found = rendered("verdict.html", text=verdict(run), warn=lost, tiles=tiles(run))
    return "verdict", say("Verdict"), found


def candidates(run: Run) -> Part:
    """The table of everything measured, the base first."""
    names = [name for name in run.subjects() if run.measured(name, "bytes")]
    if not names:
        return None
    taken = {m.name for m in run.measurements if m.subject in names}
    columns = [column for column in _columns(run) if column.name in taken]
    return (
        "candidates",
        say("Candidates"),
        rendered("candidates.html", run=run, names=names, columns=columns),
    )


def _columns(run: Run) -> list[Column]:
    methods = dict.fromkeys(
        m.name.split(" ")[1] for m in run.measurements if re.match(r"reason_place \S+$", m.name)
    )
    return [
        Column("bytes", say("Size")),
        Column("accuracy", say("Accuracy, %"), 1),
        Column("accuracy_drop", say("Points lost"), 1),
        Column("latency_ratio", say("Time × base"), 2),
        *(
            Column(
                f"reason_place {m}", say("Reasons kept ({method}), 0 to 1", method=name_of(m)), 2
            )
            for m in methods
        ),
        Column("agreement", say("Agrees with base, %"), 1),
        Column("zipped", say("Zipped")),
        Column("latency_p50", say("A row, p50")),
        Column("latency_p95", say("p95")),
        Column("mcnemar_p", "p", 2),
        Column("calibration_error", say("Calibration error"), 3),
        Column("ece", say("Calibration error"), 3),
        Column("load", say("Load")),
        Column("peak_memory", say("Peak memory, MB"), 0),
    ]


def tradeoff(run: Run) -> Part:
    """Accuracy against size, as a picture."""
    found = [
        (name, size, right, run.measured(name, "latency_p50"))
        for name in run.subjects()
        if (size := run.measured(name, "bytes")) is not None
        and (right := run.measured(name, "accuracy")) is not None
    ]
    points = [
        charts.Point(
            name,
            size.value,
            right.value,
            right.value if right.low is None else right.low,
            right.value if right.high is None else right.high,
            None if time is None else time.value,
            "chosen"
            if name == run.chosen
            else "base"
            if name == run.base
            # some other file is at least as good in both, and better in one
            else "dominated"
            if any(
                (s.value, -r.value) != (size.value, -right.value)
                and s.value <= size.value
                and r.value >= right.value
                for _, s, r, _ in found
            )
            else "",
        )
        for name, size, right, time in found
    ]
    if len(points) < 2:
        return None
    base = run.measured(run.base, "accuracy")
    drop = run.budget.get("max_drop")
    label = say("Accuracy against file size of {n} files", n=len(points))
    drawing = charts.frontier(
        points,
        most_bytes=run.budget.get("max_bytes"),
        least_accuracy=base.value - drop if base is not None and drop is not None else None,
        label=label + (say("; {name} is taken", name=run.chosen) if run.chosen else ""),
    )
    caption = say(
        "Up and to the left is better. Whiskers: 95 % interval of the accuracy. A larger dot takes "
        "longer for a row. Faint: another file is smaller and no less accurate."
    )
    columns = (say("Model"), say("Size"), say("Accuracy, %"), "95 %", say("A row, p50"))
    rows = [
        (
            p.name,
            with_unit(p.nbytes, "B"),
            number(p.accuracy, 1),
            interval(p.low, p.high, 1),
            "–" if p.latency is None else with_unit(p.latency, "us"),
        )
        for p in points
    ]
    title = say("Size against accuracy")
    return "trade-off", title, figure(drawing, title, caption, columns, rows)


def passes(run: Run) -> Part:
    """What was done to each candidate, pass by pass, and what was skipped and why."""
    made = [a for a in run.artifacts if a.facts]
    if not made:
        return None
    return "passes", say("What was done"), rendered("passes.html", artifacts=made, hidden=_HIDDEN)


_HIDDEN = ("pass", "settings", "skipped", "history", "seconds")


def training(run: Run) -> Part:
    """Loss and accuracy over the epochs of every training."""
    drawn = []
    for history in run.histories:
        for kind in ("loss", "accuracy"):
            series: dict[str, Sequence[float]] = {
                name: values
                for name, values in history.series.items()
                if name.removeprefix("val_") == kind and values
            }
            if series:
                by = f", {history.facts['pass']}" if "pass" in history.facts else ""
                told = f"{history.subject}{by}: {kind}"
                drawing = charts.lines(series, say("{name} over the epochs", name=told))
                epochs = range(max(len(values) for values in series.values()))
                rows = [
                    (str(e + 1), *(number(v[e], 4) if e < len(v) else "" for v in series.values()))
                    for e in epochs
                ]
                drawn.append(figure(drawing, told, told, (say("epoch"), *series), rows))
    if not drawn:
        return None
    return "training", say("Training"), rendered("training.html", drawn=drawn)


def gallery(run: Run) -> Part:
    """The explained rows that the base and the chosen answer differently, with both reasons."""
    small = run.chosen
    differ = [d for d in run.decisions if "differ" in cards.outcome(run, d)]
    if small is None or not differ:
        return None
    ours = cards.attributions(run)
    made = [cards.card(run, d, ours.get(d.row, ()), prefix="differs") for d in differ[:_GALLERY]]
    return (
        "disagreements",
        say("Where they disagree"),
        rendered("gallery.html", cards=made, n=len(differ), total=len(run.decisions), small=small),
    )


SECTIONS = (
    result,
    tradeoff,
    candidates,
    findings,
    classes,
    slices,
    targets,
    devices,
    confusions,
    calibration,
    gallery,
    layer_errors,
    passes,
    training,
    provenance,
)
