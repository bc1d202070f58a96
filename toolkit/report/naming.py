"""Names as a page shows them: parts without a name of their own, names that turn what follows."""

from __future__ import annotations

from dataclasses import replace

from toolkit.glossary import Decision
from toolkit.report.strings import isolated, say
from toolkit.run import Run

NAMELESS = {"patch": "patch {n}", "pixel": "pixel {n}", "word": "word {n}"}
"""Players that have a number alone, as the explainers call them and as pages do."""


def shown(run: Run) -> Run:
    """The run with its names as the page shows them."""
    data = dict(run.data)
    # classes stay: figures are found by their names
    if "features" in data:
        data["features"] = [isolated(str(name)) for name in data["features"]]
    if "categories" in data:
        data["categories"] = {
            column: [isolated(str(name)) for name in names]
            for column, names in data["categories"].items()
        }
    if "fill" in data:
        data["fill"] = {isolated(str(name)): value for name, value in data["fill"].items()}
    return replace(
        run, data=data, decisions=tuple(_decision(d, data.get("kind")) for d in run.decisions)
    )


def _decision(d: Decision, kind: object) -> Decision:
    # columns have names of their own; what a page carries of a picture tells its kind no more
    called = isolated if kind == "tabular" else _player
    return replace(
        d,
        players=tuple(map(called, d.players)),
        pieces=tuple((isolated(one), player) for one, player in d.pieces),
    )


def _player(name: str) -> str:
    kind, _, n = name.rpartition(" ")
    return say(NAMELESS[kind], n=n) if kind in NAMELESS and n.isdigit() else isolated(name)
