"""Names as a page shows them: parts without a name in its language, and none that turns the rest.

A name that is written from right to left, or holds characters that change the direction, stands
between FSI and PDI (Unicode Annex 9), so that signs and figures beside it stay where they are.
"""

from __future__ import annotations

import unicodedata
from dataclasses import replace
from typing import Any

from toolkit.glossary import Decision
from toolkit.report.strings import say
from toolkit.run import Run

NAMELESS = {"patch": "patch {n}", "pixel": "pixel {n}", "word": "word {n}"}
"""Players that have a number alone, as the explainers call them and as pages do."""

_TURNING = {"R", "AL", "RLE", "RLO", "RLI", "LRE", "LRO", "LRI", "FSI", "PDF", "PDI"}
_FSI, _PDI = "\u2068", "\u2069"


def isolated(text: str) -> str:
    r"""The text, apart from what stands beside it where it would turn that around.

    >>> isolated("film"), isolated("\u05e9\u05dc\u05d5\u05dd")
    ('film', '\u2068\u05e9\u05dc\u05d5\u05dd\u2069')
    """
    if text.isascii() or not any(unicodedata.bidirectional(c) in _TURNING for c in text):
        return text
    # what it leaves open would end the isolation, and what it ends too often too
    plain = "".join(c for c in text if unicodedata.bidirectional(c) not in ("PDI", "PDF"))
    return f"{_FSI}{plain}{_PDI}"


def shown(run: Run) -> Run:
    """The run with its names as the page shows them."""
    data = dict(run.data)
    for key in ("classes", "features"):
        if key in data:
            data[key] = [isolated(str(name)) for name in data[key]]
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


def finalized(value: Any) -> Any:
    """What a template writes: a text apart, as `isolated`; anything else as it is."""
    return isolated(value) if type(value) is str else value
