"""The sections of the compression page: what came out, what it cost, how it was made."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from toolkit.report import charts
from toolkit.report.templates import rendered
from toolkit.report.words import verdict
from toolkit.run import Run

Part = tuple[str, str, Markup] | None


def result(run: Run) -> Part:
    """The verdict, first and large."""
    drop = run.measured(run.chosen, "accuracy_drop") if run.chosen else None
    lost = run.chosen is None or (drop is not None and drop.low is not None and drop.low > 0)
    return "verdict", "Verdict", rendered("verdict.html", text=verdict(run), warn=lost, run=run)


def candidates(run: Run) -> Part:
    """The table of everything measured, the base first."""
    if not run.measurements:
        return None
    names = [name for name in run.subjects() if run.measured(name, "bytes")]
    about = {a.name: a.recipe for a in run.artifacts}
    return (
        "candidates",
        "Candidates",
        rendered("candidates.html", run=run, names=names, about=about),
    )


def tradeoff(run: Run) -> Part:
    """Accuracy against size, as a picture."""
    points = []
    for name in run.subjects():
        size, right = run.measured(name, "bytes"), run.measured(name, "accuracy")
        if size is None or right is None or right.low is None or right.high is None:
            continue
        time = run.measured(name, "latency_p50")
        mark = "chosen" if name == run.chosen else "base" if name == run.base else ""
        points.append(
            charts.Point(
                name,
                size.value,
                right.value,
                right.low,
                right.high,
                None if time is None else time.value,
                mark,
            )
        )
    if len(points) < 2:
        return None
    return (
        "trade-off",
        "Size against accuracy",
        rendered("tradeoff.html", chart=charts.tradeoff(points)),
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
    return "devices", "On devices", rendered("devices.html", run=run, rows=rows)


_TOLD = ("latency_p50", "latency_p95", "load", "peak_memory", "replay_difference")


def findings(run: Run) -> Part:
    """What the reader must know, with a next step."""
    if not run.findings:
        return None
    return "findings", "Good to know", rendered("findings.html", findings=run.findings)


def passes(run: Run) -> Part:
    """What was done to each candidate, pass by pass, and what was skipped and why."""
    made = [a for a in run.artifacts if a.facts]
    if not made:
        return None
    return "passes", "What was done", rendered("passes.html", artifacts=made, hidden=_HIDDEN)


_HIDDEN = ("pass", "settings", "skipped", "history", "seconds")


def training(run: Run) -> Part:
    """Loss and accuracy over the epochs of every training."""
    if not run.histories:
        return None
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
                label = f"{history.subject}{by}: {kind} over the epochs"
                drawn.append((history, kind, charts.lines(series, label)))
    return "training", "Training", rendered("training.html", drawn=drawn)


def confusions(run: Run) -> Part:
    """Which classes are taken for which, by the base and by the chosen candidate."""
    wanted = [c for c in run.confusions if c.subject in (run.base, run.chosen)]
    classes = [str(name) for name in run.data.get("classes", ())]
    # beyond these the cells cannot be read
    if not wanted or not 2 <= len(classes) <= 20:
        return None
    drawn = [
        (c.subject, charts.confusion(c.counts, classes, f"{c.subject}: true against predicted"))
        for c in wanted
    ]
    return "confusion", "What is taken for what", rendered("confusion.html", drawn=drawn)


def provenance(run: Run) -> Part:
    """Data, machine, versions, seeds and hashes."""
    return "provenance", "How to repeat this", rendered("provenance.html", run=run)


SECTIONS = (
    result,
    candidates,
    tradeoff,
    devices,
    findings,
    passes,
    training,
    confusions,
    provenance,
)
