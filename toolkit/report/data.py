"""The part of a Run that a page carries: all figures and attributions, without heavy arrays."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from toolkit.run import Run


def slim(run: Run) -> Run:
    """The run without layers and pictures; the hashes tell which data these are in."""
    decisions = tuple(
        d if d.segments is None else replace(d, x=np.zeros(0, np.float32), segments=None)
        for d in run.decisions
    )
    return replace(run, layers=(), decisions=decisions)
