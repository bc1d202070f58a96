"""Arrays -> small PNG pictures inside the page, shown pixel by pixel."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Sequence

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from toolkit.glossary import Doubles, Floats, Ints

Colours = NDArray[np.uint8]

FOR, AGAINST = (194, 65, 12), (29, 95, 168)
"""Vermilion and blue, which people with any of the common colour blindnesses tell apart."""

_USUAL = ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0))
"""In what values of pictures lie, as a rule."""


def png(pixels: Colours) -> bytes:
    r"""Encode u8 (h, w, 3) as PNG (RFC 2083), without filters.

    >>> png(np.zeros((2, 3, 3), np.uint8))[:4]
    b'\x89PNG'
    """
    h, w = pixels.shape[:2]
    rows = b"".join(b"\0" + pixels[i].tobytes() for i in range(h))

    def chunk(kind: bytes, body: bytes) -> bytes:
        check = zlib.crc32(kind + body)
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", check)

    head = struct.pack(">IIBBBBB", w, h, 8, 2, 0, 0, 0)
    body = zlib.compress(rows, 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def image(pixels: Colours, label: str, width: int, height: int | None = None) -> Markup:
    """An <img> that says what it shows, `width` wide; its pixels stay squares when enlarged.

    height: where it is not to keep the shape of `pixels`.
    """
    data = base64.b64encode(png(pixels)).decode("ascii")
    h, w = pixels.shape[:2]
    return Markup(
        '<img class="pixels" alt="{}" width="{}" height="{}" src="data:image/png;base64,{}">'
    ).format(label, width, height or max(round(width * h / w), 1), data)


def ends(x: Floats, others: Sequence[Floats] = ()) -> tuple[float, float]:
    """What is black and what is white of a row: its own least and most.

    One whose values are all the same has a place between those of `others` alone, widened to what
    values of pictures usually lie in, where they do.

    >>> ends(np.float32([2, 3])), ends(np.float32([1, 1])), ends(np.float32([1]), [np.float32([9])])
    ((2.0, 3.0), (0.0, 1.0), (0.0, 255.0))
    """
    low, high = float(x.min()), float(x.max())
    if low < high:
        return low, high
    low = min(float(one.min()) for one in (x, *others))
    high = max(float(one.max()) for one in (x, *others))
    usual = (both for both in _USUAL if both[0] <= low <= high <= both[1])
    return next(usual, (low, high))


def grey(x: Floats, others: Sequence[Floats] = ()) -> Colours:
    """A row (h, w, c) as a picture u8 (h, w, 3), beside others of the same data."""
    low, high = ends(x, others)
    shown = (x - low) / (high - low) if high > low else np.full_like(x, 0.5)
    if shown.shape[2] != 3:
        shown = np.repeat(shown.mean(axis=2, keepdims=True), 3, axis=2)
    return np.asarray(np.round(255 * shown), np.uint8)


def diverging(values: Doubles, most: float) -> Colours:
    """Signed values (...) as colours u8 (..., 3): white at 0, full colour at -most and most."""
    part = np.clip(values / most if most > 0 else 0 * values, -1, 1)[..., None]
    ends = np.where(part > 0, np.array(FOR), np.array(AGAINST))
    return np.asarray(np.round(255 + np.abs(part) * (ends - 255)), np.uint8)


def overlay(shown: Colours | None, segments: Ints, values: Doubles, most: float) -> Colours:
    """The players of a picture coloured by their value, over the faint picture if it is shown."""
    plain = diverging(values[segments], most)
    if shown is None:
        return plain
    colour = plain.astype(np.float64)
    shade = shown.mean(axis=2, keepdims=True)
    # the strokes stay visible as a darker tone of the player's colour
    mixed = colour * (1 - 0.3 * (shade / 255))
    return np.asarray(np.round(mixed), np.uint8)


def without(shown: Colours | None, segments: Ints, hidden: Sequence[int]) -> Colours:
    """A picture with some players greyed; these alone, dark on white, where it is not shown."""
    gone = np.isin(segments, hidden)[..., None]
    if shown is None:
        return np.where(gone, np.uint8(70), np.full((*segments.shape, 3), 255, np.uint8))
    return np.where(gone, np.uint8(128), shown)


def shrunk(pixels: Colours, most: int) -> Colours:
    """u8 (h, w, 3) with its longer side at most `most`, each pixel the mean of those it stands for.

    >>> shrunk(np.uint8([[[0, 0, 0], [100, 100, 100]]]), 1).tolist()
    [[[50, 50, 50]]]
    """
    longest = max(pixels.shape[:2])
    found = pixels.astype(np.float64)
    for axis in (0, 1) if longest > most else ():
        n = pixels.shape[axis]
        m = max(n * most // longest, 1)
        edges = np.arange(m) * n // m
        counts = np.diff([*edges, n])
        sums = np.add.reduceat(found, edges, axis=axis)
        found = sums / counts.reshape((-1, 1, 1) if axis == 0 else (1, -1, 1))
    return np.asarray(np.round(found), np.uint8)
