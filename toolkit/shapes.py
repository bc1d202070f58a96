"""Whether rows and classes fit a model, and rows brought into the shape it takes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from toolkit.errors import MatchError
from toolkit.glossary import Data, Floats

Shape = tuple[int | None, ...]
"""The shape of one row as a model declares it; None where any length goes."""


COLOURS = (3, 4)
"""Channels of a picture in colour, without and with transparency."""


def in_shape(x: Floats, shape: Shape) -> Floats:
    """Rows as f32 (n, *shape) when they have the right number of values.

    Pictures in colour are turned where the model takes channels first and the rows have them last,
    or the other way round. Raises MatchError when rows do not fit.

    >>> in_shape(np.zeros((2, 28, 28), np.float32), (784,)).shape
    (2, 784)
    >>> in_shape(np.zeros((2, 24, 6, 1), np.float32), (None, 6)).shape
    (2, 24, 6)
    >>> in_shape(np.zeros((2, 20, 24, 3), np.float32), (3, 20, 24)).shape
    (2, 3, 20, 24)
    """
    streamed = hasattr(x, "shaped")
    x = x if streamed else np.asarray(x, np.float32)
    row = x.shape[1:]
    if len(row) == len(shape) and all(d in (None, n) for d, n in zip(shape, row, strict=True)):
        return x
    series = not streamed and row[-1:] == (1,) and len(row) == len(shape) + 1
    if series and all(d in (None, n) for d, n in zip(shape, row, strict=False)):
        # steps and channels, to which an axis was added when they were read
        return x.reshape(x.shape[:-1])
    if not streamed and len(row) == len(shape) == 3:
        if row[2] in COLOURS and shape == (row[2], *row[:2]):
            return np.ascontiguousarray(np.moveaxis(x, 3, 1))
        if row[0] in COLOURS and shape == (*row[1:], row[0]):
            return np.ascontiguousarray(np.moveaxis(x, 1, 3))
    grid, wanted = ([d for d in sizes if d != 1] for sizes in (row, shape))
    turned = len(grid) > 1 and len(wanted) > 1 and grid != wanted
    if None in shape or turned or math.prod(row) != math.prod(d or 1 for d in shape):
        raise MatchError(
            f"rows of shape {row} for a model that takes {shape}",
            "equal shapes, or the same number of values",
            _mend(row, shape),
        )
    if streamed:
        return x.shaped(tuple(d or 1 for d in shape))  # type: ignore[attr-defined,no-any-return]
    return x.reshape(len(x), *(d or 1 for d in shape))


def _mend(row: tuple[int, ...], shape: Shape) -> str:
    """What would make rows of one shape fit a model of another."""
    if len(row) == len(shape) == 3:
        colour = {1: "grey", 3: "colour"}
        wanted = "x".join(str(d or n) for d, n in zip(shape, row, strict=True))
        if row[2] != shape[2] and row[2] in colour and shape[2] in colour:
            return (
                f"the model takes {colour[shape[2]]} pictures and these are {colour[row[2]]}: "
                f"load their folder with --size {wanted}"
            )
        if row[:2] != shape[:2] and row[2] == shape[2]:
            return f"load the folder of pictures with --size {wanted}"
        if shape == (row[2], *row[:2]):
            return (
                "the model takes channels first, and so many pictures stay in their files, which "
                "have them last: write them into an .npz, channels first"
            )
    if len(row) == len(shape) == 1:
        return f"give the {shape[0]} columns this model was trained on, of {row[0]} here"
    return "give the data this model was trained on"


def matching(shape: Shape, classes: int, data: Data, name: str = "the model") -> None:
    """Raise MatchError when a model's input or number of classes is not that of the data."""
    in_shape(data.x[:1], shape)
    if classes != len(data.classes):
        raise MatchError(
            f"{name} knows {classes} classes, the data has {len(data.classes)}",
            "equal numbers",
            "give the data this model was trained on",
        )


def shape_of(ready: Any) -> tuple[int | None, ...]:
    """The shape of one row that a graph takes, None for what it leaves open."""
    dims = ready.graph.input[0].type.tensor_type.shape.dim
    return tuple(d.dim_value or None for d in list(dims)[1:])
