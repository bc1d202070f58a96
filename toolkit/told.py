"""What an attribution tells, and what is only the rounding of float32."""

from __future__ import annotations

import numpy as np

from toolkit.glossary import Doubles

NOTHING, WHOLE = 1e-7, 1e-6
"""In probability: a value, and the length of all values together, below which nothing is told."""


def told(values: Doubles) -> Doubles:
    """The values f64 (..., p), those that are rounding alone being 0.

    >>> told(np.array([0.5, 1e-9])).tolist(), told(np.array([3e-7, 2e-7])).tolist()
    ([0.5, 0.0], [0.0, 0.0])
    """
    whole = np.linalg.norm(values, axis=-1, keepdims=True) >= WHOLE
    return np.where(whole & (np.abs(values) >= NOTHING), values, 0.0)
