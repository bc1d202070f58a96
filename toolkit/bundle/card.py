"""The model card of a bundle (after Mitchell et al. 2019): only what was measured, as Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterator

from toolkit.glossary import Artifact, Data, Facts
from toolkit.report.words import ends, figure, verdict
from toolkit.run import Run

_FIGURES = {
    "accuracy": "right, %",
    "accuracy_drop": "points of accuracy lost",
    "agreement": "same answer as the base, %",
    "calibration_error": "calibration error, 0 to 1",
    "bytes": "size",
    "latency_p50": "time for one row",
    "latency_ratio": "times the base's time",
    "load": "time to load",
    "peak_memory": "peak memory, MB",
}
_MOST_GROUPS = 30
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|!])")


def card(run: Run, small: Artifact, data: Data, sampled: Facts) -> str:
    """What a reader must know of the model before using it, in Markdown.

    sampled: how many samples travel, and the fields of their Tolerance.
    """
    return "\n".join(_lines(run, small, data, sampled)) + "\n"


def _lines(run: Run, small: Artifact, data: Data, sampled: Facts) -> Iterator[str]:
    yield f"# {_text(small.name)}: a classifier of {_text(run.data.get('name', 'its data'))}"
    yield ""
    yield (
        f"It tells {len(data.classes)} classes apart and was made smaller from "
        f"`{_text(run.base)}`. {_text(verdict(run)) if run.chosen == small.name else ''}"
    ).strip()
    yield "\n## Figures\n"
    yield from _figures(run, small)
    yield from _groups(run, small, "class")
    yield from _groups(run, small, "slice")
    yield "\n## What it is for\n"
    yield (
        "Nobody has said so here. Before it is passed on, write down whom its answers concern, "
        "what they may be used for and what they may not."
    )
    yield "\n## Data\n"
    rows = run.data.get("rows", {})
    yield (
        f"{_text(run.data.get('name', ''))}, {data.kind}: "
        f"{rows.get('train', 0):,} rows to train on, {rows.get('test', 0):,} to test on. "
        f"SHA-256 {_text(run.hashes.get('data', 'not known'))}."
    )
    yield (
        f"\n`samples.npz` holds {sampled['rows']} rows of the test part, as the model takes them: "
        "pass the bundle on only where these rows may go."
    )
    yield from _findings(run, small)
    yield "\n## What is not known\n"
    yield "- How right it is on rows that do not come from where the test rows came from."
    yield "- Whether it is right for every group of people or things, beyond the figures above."
    yield (
        f"- How fast it is elsewhere: times are from {_text(run.machine.get('processor', 'there'))}"
        f" ({_text(run.machine.get('system', 'unknown'))}). `python run.py --measure` tells."
    )
    yield "\n## Does it answer the same here?\n"
    yield (
        "`python run.py --verify` asks the samples again. The same kernels give the same bits; on "
        f"another processor a probability may differ by {sampled['rounding']:.2g}, what rounding "
        "can do to this file"
        + (
            f", and in {sampled['falls']} of {sampled['rows']} samples by {sampled['step']:.2g}, "
            "where a sum falls to the other side of a step."
            if sampled["falls"]
            else "."
        )
    )
    yield from _made(run, small)


def _figures(run: Run, small: Artifact) -> Iterator[str]:
    yield f"| | {_text(run.base)} | {_text(small.name)} | 95 % | n |"
    yield "|---|---|---|---|---|"
    for name, words in _FIGURES.items():
        base, mine = run.measured(run.base, name), run.measured(small.name, name)
        if mine is not None:
            yield f"| {words} | {figure(base)} | {figure(mine)} | {ends(mine)} | {mine.n:,} |"


def _groups(run: Run, small: Artifact, kind: str) -> Iterator[str]:
    """Accuracy of each class or slice, the worst first."""
    start = f"accuracy {kind}:"
    found = [m for m in run.measurements if m.subject == small.name and m.name.startswith(start)]
    if not found:
        return
    yield f"\n| {kind} | right in base, % | right, % | 95 % | n |"
    yield "|---|---|---|---|---|"
    worst = sorted(found, key=lambda m: m.value)[:_MOST_GROUPS]
    for m in worst:
        base = run.measured(run.base, m.name)
        label = _text(m.name.removeprefix(start))
        yield f"| {label} | {figure(base)} | {figure(m)} | {ends(m)} | {m.n:,} |"
    if len(found) > len(worst):
        yield f"\nThe {len(worst)} worst of {len(found)}."


def _findings(run: Run, small: Artifact) -> Iterator[str]:
    mine = {small.name, run.base}
    found = [f for f in run.findings if mine & set(f.subject.split(", "))]
    if found:
        yield "\n## Good to know\n"
    for f in found:
        yield f"- {_text(f.sentence)} {_text(f.next_step)}"


def _made(run: Run, small: Artifact) -> Iterator[str]:
    yield "\n## How it was made\n"
    for facts in small.facts:
        settings = ", ".join(f"{k} {v}" for k, v in facts.get("settings", {}).items())
        yield f"- {_text(facts.get('pass', ''))}{': ' + _text(settings) if settings else ''}"
    yield ""
    yield ", ".join(f"{_text(k)} {_text(v)}" for k, v in run.versions.items())
    yield f"\nSeed {run.seeds.get('seed', 0)}; {_text(run.created)}. All of it: `manifest.json`."


def _text(value: object) -> str:
    r"""A user's text as Markdown that shows it and does nothing.

    >>> _text("a|b <i>")
    'a\\|b \\<i\\>'
    """
    return _SPECIAL.sub(r"\\\1", " ".join(str(value).split()))
