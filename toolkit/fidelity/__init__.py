"""Base against compressed: do both decide for the same reasons? Figures over paired rows.

measures.py: two attributions of one row. scale.py: random, noise and a retrained base, between
which a figure means something. difference.py: what compression changed, attributed. drift.py: the
same answer for other reasons. gained.py: the input that a model has come to lean on. transfer.py:
whether the base's reasons move the small model. comparison.py: all of it.
"""

from __future__ import annotations

from toolkit.fidelity.measures import compare, foremost, likeness, reasons

__all__ = ["compare", "foremost", "likeness", "reasons"]
