"""Whether rows and classes fit a model, and rows brought into the shape it takes."""

from __future__ import annotations

import math

import numpy as np

from toolkit.errors import MatchError
from toolkit.glossary import Data, Floats

Shape = tuple[int | None, ...]
"""The shape of one row as a model declares it; None where any length goes."""


def in_shape(x: Floats, shape: Shape) -> Floats:
    """Rows as f32 (n, *shape) when they have the right number of values.

    Raises MatchError when they have not.

    >>> in_shape(np.zeros((2, 28, 28), np.float32), (784,)).shape
    (2, 784)
    """
    x = np.asarray(x, np.float32)
    row = x.shape[1:]
    if len(row) == len(shape) and all(d in (None, n) for d, n in zip(shape, row, strict=True)):
        return x
    if None in shape or math.prod(row) != math.prod(d or 1 for d in shape):
        raise MatchError(
            f"rows of shape {row} for a model that takes {shape}",
            "equal shapes, or the same number of values",
            "give the data this model was trained on",
        )
    return x.reshape(len(x), *(d or 1 for d in shape))


def matching(shape: Shape, classes: int, data: Data, name: str = "the model") -> None:
    """Raise MatchError when a model's input or number of classes is not that of the data."""
    in_shape(data.x[:1], shape)
    if classes != len(data.classes):
        raise MatchError(
            f"{name} knows {classes} classes, the data has {len(data.classes)}",
            "equal numbers",
            "give the data this model was trained on",
        )
