"""The sections every page ends with: what a reader must know, and what made the results."""

from __future__ import annotations

import shlex

from markupsafe import Markup

from toolkit.report.data import carried
from toolkit.report.strings import say
from toolkit.report.templates import rendered
from toolkit.run import Run

Part = tuple[str, str, Markup] | None


def findings(run: Run) -> Part:
    """What the reader must know, with a next step."""
    if not run.findings:
        return None
    return "findings", say("Good to know"), rendered("findings.html", findings=run.findings)


def provenance(run: Run) -> Part:
    """Data, machine, versions, seeds, hashes, and the command that does it again."""
    return (
        "provenance",
        say("How to repeat this"),
        rendered(
            "provenance.html",
            run=run,
            again=command(run),
            carried=len(carried(run)),
            explained=len({a.row for a in run.attributions}),
        ),
    )


def command(run: Run) -> str:
    """The command that makes these results again, with MODEL for the file of the base.

    Only what the run knows is in it: a job begun in Python may have had other settings.
    """
    seed = run.seeds.get("seed", 0)
    words = [run.command, "MODEL"]
    if run.command == "explain" and run.chosen:
        words += ["--against", "OTHER"]
    words += ["--data", str(run.data.get("name", "DATA"))]
    for artifact in run.artifacts if run.command == "compress" else ():
        words += ["--recipe", artifact.name] if artifact.recipe else []
    for name, value in run.budget.items():
        for one in value if isinstance(value, list) else [value]:
            # a limit that is either there or not has no value
            words += [f"--{name.replace('_', '-')}", *([] if one is True else [f"{one}"])]
    if run.command == "explain":
        words += ["--rows", ",".join(str(d.row) for d in run.decisions)]
    words += ["--seed", str(seed), "--out", "OUT"]
    return shlex.join(words)
