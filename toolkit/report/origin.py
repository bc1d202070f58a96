"""The sections every page ends with: what a reader must know, and what made the results."""

from __future__ import annotations

import string
from typing import Any

from markupsafe import Markup

from toolkit.glossary import Finding
from toolkit.report.data import carried
from toolkit.report.quantities import marked
from toolkit.report.strings import language, say, spoken
from toolkit.report.templates import rendered
from toolkit.run import Run

Part = tuple[str, str, Markup] | None


def findings(run: Run) -> Part:
    """What the reader must know, with a next step."""
    if not run.findings:
        return None
    told = [(f, *_told(f)) for f in run.findings]
    return "findings", say("Good to know"), rendered("findings.html", findings=told)


def _told(f: Finding) -> tuple[str, str, str]:
    """A finding's sentence and next step, and the language that they are in."""
    if language() == "en" or not f.said or not all(map(spoken, f.said)):
        return f.sentence, f.next_step, "en"
    fill = _Numbers()
    sentence, step = (fill.vformat(say(text), (), f.values) for text in f.said)
    return sentence, step, ""


class _Numbers(string.Formatter):
    """Fills in {fields}, numbers as the language of the page writes them."""

    def format_field(self, value: Any, format_spec: str) -> str:
        """A value as its field says."""
        text = format(value, format_spec)
        return marked(text) if isinstance(value, int | float) else text


def provenance(run: Run) -> Part:
    """The command that does it again, data, machine, versions, seeds, hashes."""
    return (
        "provenance",
        say("How to repeat this"),
        rendered(
            "provenance.html",
            run=run,
            again=run.settings.get("command", ""),
            carried=len(carried(run)),
            explained=len({a.row for a in run.attributions}),
        ),
    )
