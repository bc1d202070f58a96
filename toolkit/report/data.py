"""The part of a Run that a page carries: figures, decisions, attributions, no heavy arrays."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from toolkit.run import Run

ROWS = 200
"""Rows whose attributions a page carries; a thousand would be five megabytes of them."""


def carried(run: Run) -> list[int]:
    """The rows whose attributions the page carries: those shown first, then the others."""
    explained = dict.fromkeys(a.row for a in run.attributions)
    shown = [d.row for d in run.decisions if d.row in explained]
    return list(dict.fromkeys([*shown, *explained]))[:ROWS]


def slim(run: Run) -> Run:
    """The run without layers and pictures; the hashes tell which data these are in."""
    rows = set(carried(run))
    decisions = tuple(
        d if d.segments is None else replace(d, x=np.zeros(0, np.float32), segments=None)
        for d in run.decisions
    )
    attributions = tuple(a for a in run.attributions if a.row in rows)
    flips = tuple(f for f in run.flips if f.row in rows)
    # where files lay on the machine that made them is nobody else's business
    artifacts = tuple(replace(a, path=Path(a.path.name)) for a in run.artifacts)
    return replace(
        run,
        layers=(),
        cuts=(),
        artifacts=artifacts,
        decisions=decisions,
        attributions=attributions,
        flips=flips,
    )
