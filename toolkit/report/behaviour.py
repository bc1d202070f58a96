"""What compression changed beyond one figure: by class, by slice, by processor, by mistake."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from toolkit.glossary import Confusion, Measurement
from toolkit.metrics import share
from toolkit.report import charts
from toolkit.report.quantities import interval, marked, number
from toolkit.report.strings import say
from toolkit.report.templates import figure, rendered
from toolkit.run import Run

Part = tuple[str, str, Markup] | None

_CELLS, _MISTAKES, _CLASSES = 20, 8, 60


@dataclass(frozen=True)
class Line:
    """A class or a slice before and after; drop: points of accuracy lost, where measured."""

    name: str
    n: int
    before: Measurement
    after: Measurement
    flips: Measurement | None
    drop: Measurement | None

    @property
    def lost(self) -> float:
        """Points of accuracy that were lost."""
        return self.before.value - self.after.value


def classes(run: Run) -> Part:
    """Accuracy in each class, of the base and of the chosen, the greatest loss first."""
    names = [str(name) for name in run.data.get("classes", ())]
    ours = {c.subject: c for c in run.confusions}
    if run.chosen is None or run.base not in ours or run.chosen not in ours:
        return None
    lines = []
    for i, name in enumerate(names):
        before, after = (_right(ours[s], i, name) for s in (run.base, run.chosen))
        if before is not None and after is not None:
            flips = run.measured(run.chosen, f"flips class:{name}")
            drop = run.measured(run.chosen, f"accuracy_drop class:{name}")
            lines.append(Line(name, before.n, before, after, flips, drop))
    note = say(
        "Of the rows of a class, the share that is answered right, with its 95 % interval (Wilson)."
    )
    return _table(run, lines, note, ("classes", say("Class by class"), say("Class")))


def slices(run: Run) -> Part:
    """Accuracy in slices of the rows, where they were measured."""
    lines = []
    for m in run.measurements:
        if m.subject == run.base and m.name.startswith("accuracy slice:"):
            after = run.measured(run.chosen or "", m.name)
            if after is not None:
                name = m.name.removeprefix("accuracy slice:")
                flips = run.measured(after.subject, f"flips slice:{name}")
                drop = run.measured(after.subject, f"accuracy_drop slice:{name}")
                lines.append(Line(_slice(name), m.n, m, after, flips, drop))
    note = say("The test rows in parts: columns with their values, or quarters of numbers.")
    return _table(run, lines, note, ("slices", say("Slice by slice"), say("Slice")))


def _slice(name: str) -> str:
    """COLUMN=VALUE, where a quarter of numbers is said in the language of the page.

    >>> _slice("age=to 2.75"), _slice("job=clerk")
    ('age: to 2.75', 'job=clerk')
    """
    column, _, value = name.partition("=")
    end = re.fullmatch(r"(to|above) (-?[0-9.e+-]+)", value)
    if end is None:
        return name
    told = {"column": column, "end": marked(end[2])}
    return (
        say("{column}: to {end}", **told)
        if end[1] == "to"
        else say("{column}: above {end}", **told)
    )


def targets(run: Run) -> Part:
    """Accuracy on the processors that the files may run on."""
    found: dict[str, dict[str, Measurement]] = {}
    for m in run.measurements:
        if m.name.startswith("accuracy target:"):
            found.setdefault(m.subject, {})[m.name.removeprefix("accuracy target:")] = m
    if not found:
        return None
    names = list(dict.fromkeys(name for each in found.values() for name in each))
    lines = [
        (s, [each.get(n) for n in names], run.measured(s, "target_spread"))
        for s, each in found.items()
    ]
    return (
        "targets",
        say("Other processors"),
        rendered("targets.html", names=names, lines=lines),
    )


def devices(run: Run) -> Part:
    """What `run.py --measure` told of the devices that a bundle went to."""
    known = run.machine.get("devices", {})
    rows = [
        (m.subject, name, facts, {n: run.measured(m.subject, f"{n} device:{name}") for n in _TOLD})
        for name, facts in known.items()
        for m in run.measurements
        if m.name == f"latency_p50 device:{name}"
    ]
    if not rows:
        return None
    return "devices", say("On devices"), rendered("devices.html", run=run, rows=rows)


_TOLD = ("latency_p50", "latency_p95", "load", "peak_memory", "replay_difference")


def calibration(run: Run) -> Part:
    """How often answers of each confidence are right, of the base and of the chosen candidate."""
    subjects = [name for name in (run.base, run.chosen) if name]
    series = {name: bins for name in subjects if (bins := _bins(run, name))}
    if not series:
        return None
    title = say("Is it as often right as it is sure?")
    rows = [
        (
            name,
            number(b.sure, 1),
            number(b.right, 1),
            interval(b.low, b.high, 1),
            number(b.n, 0),
        )
        for name, bins in series.items()
        for b in bins
    ]
    columns = (say("Model"), say("how sure, %"), say("right, %"), "95 %", say("Answers"))
    caption = say(
        "Answers in ten bins by their probability. On the diagonal a model is right as often as "
        "it is sure; below it, it is too sure, and a threshold lets more mistakes through than it "
        "says. Whiskers: 95 % interval."
    )
    drawing = charts.reliability(series, title)
    return "calibration", title, figure(drawing, title, caption, columns, rows)


def _bins(run: Run, subject: str) -> list[charts.Bin]:
    found = []
    for m in run.measurements:
        sure = run.measured(subject, m.name.replace("right ", "sure "))
        if m.subject == subject and m.name.startswith("right bin:") and sure is not None:
            ends = (m.value if m.low is None else m.low, m.value if m.high is None else m.high)
            found.append(charts.Bin(sure.value, m.value, *ends, m.n))
    return found


def confusions(run: Run) -> Part:
    """Which classes are taken for which, by the base and by the chosen candidate."""
    wanted = [c for c in run.confusions if c.subject in (run.base, run.chosen)]
    names = [str(name) for name in run.data.get("classes", ())]
    if not wanted or len(names) < 2:
        return None
    drawn = []
    # beyond these the cells cannot be read
    for c in wanted if len(names) <= _CELLS else ():
        wrong = int(c.counts.sum() - np.trace(c.counts))
        label = say("{name}: true against predicted classes", name=c.subject)
        told = say(
            "{name}: {wrong} of {n} rows wrong",
            name=c.subject,
            wrong=number(wrong, 0),
            n=number(int(c.counts.sum()), 0),
        )
        rows = [(name, *map(str, row)) for name, row in zip(names, c.counts.tolist(), strict=True)]
        columns = (say("True class"), *names)
        drawn.append(figure(charts.confusion(c.counts, names, label), label, told, columns, rows))
    grown = _grown(wanted, names, run) if len(wanted) == 2 else []
    if not drawn and not grown:
        return None
    values = {"base": run.base, "small": run.chosen, "drawn": drawn, "grown": grown}
    return "confusion", say("What is taken for what"), rendered("confusion.html", **values)


def _grown(wanted: list[Confusion], names: list[str], run: Run) -> list[tuple[str, str, int, int]]:
    """The mistakes whose number changed most: true class, answer, before, after."""
    counts = {c.subject: c.counts for c in wanted}
    before, after = counts[run.base], counts[run.chosen or run.base]
    change = np.abs(after - before)
    np.fill_diagonal(change, 0)
    order = np.argsort(-change, axis=None, kind="stable")[:_MISTAKES]
    places = [divmod(int(i), len(names)) for i in order if change.reshape(-1)[i] > 0]
    return [(names[i], names[j], int(before[i, j]), int(after[i, j])) for i, j in places]


def _right(c: Confusion, place: int, name: str) -> Measurement | None:
    n = int(c.counts[place].sum())
    if n == 0:
        return None
    found = share(int(c.counts[place, place]), n)
    ends = (100 * found.low, 100 * found.high)
    return Measurement(c.subject, f"accuracy class:{name}", 100 * found.value, "%", n, *ends)


def _table(run: Run, lines: list[Line], note: str, names: tuple[str, str, str]) -> Part:
    anchor, title, head = names
    if not lines:
        return None
    lines = sorted(lines, key=lambda line: -line.lost)
    if len(lines) > _CLASSES:
        note += " " + say("The {n} that lost most.", n=_CLASSES)
    return (
        anchor,
        title,
        rendered(
            "classes.html",
            title=title,
            head=head,
            note=note,
            base=run.base,
            small=run.chosen,
            lines=lines[:_CLASSES],
            lost=any(line.drop and (line.drop.low or 0) > 0 for line in lines),
            flips=any(line.flips for line in lines),
        ),
    )
