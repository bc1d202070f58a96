"""A folder of Runs on one page, and two Runs beside each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from toolkit.glossary import Measurement
from toolkit.report.quantities import listed, number
from toolkit.report.strings import say
from toolkit.report.templates import rendered
from toolkit.report.words import ends, figure, name_of, verdict
from toolkit.run import Run

Part = tuple[str, str, Markup]

Links = Sequence[tuple[str, str]]
"""The address and the title of each page of a Run."""


@dataclass(frozen=True)
class Beside:
    """A figure of both Runs. known: whether their intervals lie apart; None where one has none."""

    title: str
    one: Measurement | None
    other: Measurement | None
    apart: bool | None


def listing(runs: Mapping[str, Run], links: Mapping[str, Links]) -> list[Part]:
    """The sections of the index: every Run with what came out and where its pages are."""
    lines = [
        {
            "name": name,
            "run": run,
            "links": links[name],
            "rows": number(run.data.get("rows", {}).get("test", 0), 0),
            "chosen": run.chosen or "",
            "figures": [run.measured(run.chosen or run.base, key) for key, _, _ in _HEADS],
        }
        for name, run in runs.items()
    ]
    heads = [say(title) for _, title, _ in _HEADS]
    digits = [places for _, _, places in _HEADS]
    table = rendered("listing.html", lines=lines, heads=heads, digits=digits)
    verdicts = [(name, verdict(run), links[name]) for name, run in runs.items()]
    return [
        ("verdict", say("Runs"), table),
        ("verdicts", say("Verdicts"), rendered("verdicts.html", verdicts=verdicts)),
    ]


_HEADS: tuple[tuple[str, str, int | None], ...] = (
    ("bytes", "Size", None),
    ("accuracy", "Accuracy, %", 1),
    ("accuracy_drop", "Points lost", 1),
    ("latency_ratio", "Time × base", 2),
)


def beside(names: tuple[str, str], one: Run, other: Run) -> list[Part]:
    """The sections of a comparison: figures of both choices, and what else is not the same."""
    both = one.chosen or one.base, other.chosen or other.base
    found = [
        _beside(title, one.measured(both[0], key), other.measured(both[1], key))
        for key, title in _keys(one, other, both)
    ]
    found = [line for line in found if line.one is not None or line.other is not None]
    apart = [line.title for line in found if line.apart]
    text = (
        say("Beyond chance the two differ in: {what}.", what=listed(apart))
        if apart
        else say("Nothing that has an interval differs beyond chance.")
    )
    if one.hashes.get("data") != other.hashes.get("data"):
        text = f"{text} {say('They are of different data: compare with care.')}"
    cells = [
        (
            line.title,
            figure(line.one),
            ends(line.one),
            figure(line.other),
            ends(line.other),
            line.apart,
        )
        for line in found
    ]
    return [
        ("verdict", say("Verdict"), rendered("verdict.html", text=text, warn=False, tiles=())),
        (
            "figures",
            say("Figures"),
            rendered("beside.html", names=names, subjects=both, cells=cells),
        ),
        (
            "otherwise",
            say("What else is not the same"),
            rendered("otherwise.html", names=names, lines=_otherwise(one, other)),
        ),
    ]


def _keys(one: Run, other: Run, both: tuple[str, str]) -> list[tuple[str, str]]:
    named = [
        ("bytes", say("Size")),
        ("zipped", say("Zipped")),
        ("accuracy", say("Accuracy, %")),
        ("accuracy_drop", say("Points lost")),
        ("agreement", say("Agrees with base, %")),
        ("calibration_error", say("Calibration error")),
        ("latency_p50", say("A row, p50")),
        ("latency_ratio", say("Time × base")),
        ("peak_memory", say("Peak memory, MB")),
    ]
    measured = [
        m
        for run, s in ((one, both[0]), (other, both[1]))
        for m in run.measurements
        if m.subject == s
    ]
    for kind, title in (
        ("reason_place", "Reasons kept ({method}), 0 to 1"),
        ("reason_cosine", "Cosine of reasons, {method}"),
    ):
        methods = dict.fromkeys(
            m.name.split()[1]
            for m in measured
            if m.name.startswith(f"{kind} ") and m.name.count(" ") == 1
        )
        named += [(f"{kind} {m}", say(title, method=name_of(m))) for m in methods]
    return named


def _beside(title: str, one: Measurement | None, other: Measurement | None) -> Beside:
    if one is None or other is None:
        return Beside(title, one, other, None)
    if one.low is None or one.high is None or other.low is None or other.high is None:
        return Beside(title, one, other, None)
    return Beside(title, one, other, one.high < other.low or other.high < one.low)


def _otherwise(one: Run, other: Run) -> list[tuple[str, str, str]]:
    """What made the two Runs, where it is not the same: versions, seeds, hashes, limits."""
    found = [(say("Date"), one.created, other.created)] if one.created != other.created else []
    parts = {
        "": ({"data": one.data.get("name", "")}, {"data": other.data.get("name", "")}),
        say("Versions"): (one.versions, other.versions),
        say("Seeds"): (one.seeds, other.seeds),
        say("Limits"): (one.budget, other.budget),
        say("Machine"): (one.machine, other.machine),
        "SHA-256": (one.hashes, other.hashes),
    }
    for title, (ours, theirs) in parts.items():
        for key in dict.fromkeys([*ours, *theirs]):
            mine, its = (str(part.get(key, "–"))[:_LONGEST] for part in (ours, theirs))
            if mine != its:
                found.append((f"{title} {key}".strip(), mine, its))
    return found


_LONGEST = 120
