"""Rows asked in batches, and the answers of nets of one unit: what all predictors share."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from toolkit.glossary import Floats
from toolkit.shapes import in_shape

VALUES = 2**20
"""Input values in one batch: large enough to hide Python, small enough for any memory."""


def batched(
    ask: Callable[[Floats], Floats], x: Floats, shape: tuple[int | None, ...], classes: int
) -> Floats:
    """Ask in batches that are large, but bounded in memory."""
    x = in_shape(x, shape)
    if len(x) == 0:
        return np.zeros((0, classes), np.float32)
    step = at_once(math.prod(x.shape[1:]))
    return np.concatenate([ask(x[i : i + step]) for i in range(0, len(x), step)])


def at_once(values: int) -> int:
    """How many rows of so many values are asked in a batch."""
    return min(max(VALUES // max(values, 1), 32), 16384)


def two(logits: Floats) -> Floats:
    """Logits f32 (n, k); of a single unit z they are (0, z)."""
    logits = np.asarray(logits, np.float32)
    return logits if logits.shape[1] > 1 else np.concatenate([0 * logits, logits], axis=1)


def reordered(weights: Any, rng: np.random.Generator) -> Any:
    """The same values in a random order; of one axis, such as biases and scales, as they are."""
    if weights.ndim < 2:
        return weights
    return rng.permutation(weights.reshape(-1)).reshape(weights.shape)
