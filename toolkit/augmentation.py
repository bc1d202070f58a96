"""Pictures moved and mirrored in training, as far as a trained model takes them for the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from toolkit.glossary import Data, Floats

MOST_LOST = 0.02
"""The share of right answers that a change of the pictures may cost the judge."""

_ROWS = 2000


@dataclass(frozen=True)
class Augmentation:
    """What may be done to pictures f32 (n, h, w) or (n, h, w, c) without changing their class.

    mirror: left and right may be swapped. shift: pixels they may move, edges reflected.

    >>> x = np.arange(8, dtype=np.float32).reshape(1, 2, 4)
    >>> Augmentation(mirror=True).mirrored(x)[0, 0].tolist()
    [3.0, 2.0, 1.0, 0.0]
    """

    mirror: bool = False
    shift: int = 0

    def __call__(self, x: Floats, rng: np.random.Generator) -> Floats:
        """The pictures, each changed by chance."""
        if self.mirror:
            half = rng.random(len(x)) < 0.5
            x = x.copy()
            x[half] = self.mirrored(x[half])
        return self.shifted(x, rng) if self.shift else x

    def mirrored(self, x: Floats) -> Floats:
        """Left and right swapped."""
        return x[:, :, ::-1]

    def shifted(self, x: Floats, rng: np.random.Generator) -> Floats:
        """Each picture moved by up to `shift` pixels each way."""
        edge = self.shift
        wide = np.pad(x, ((0, 0), (edge, edge), (edge, edge), *((0, 0),) * (x.ndim - 3)), "reflect")
        height, width = x.shape[1:3]
        moves = rng.integers(0, 2 * edge + 1, (2, len(x)))
        rows = moves[0][:, None] + np.arange(height)
        columns = moves[1][:, None] + np.arange(width)
        moved: Floats = wide[
            np.arange(len(x))[:, None, None], rows[:, :, None], columns[:, None, :]
        ]
        return moved


def harmless(data: Data, judge: Callable[[Floats], Floats], seed: int = 0) -> Augmentation:
    """What `judge`, a trained predictor, hardly minds: a digit may not be mirrored, a cat may.

    data: labelled rows. A change is taken when it costs the judge at most `MOST_LOST` of them;
    pictures may be moved by an eighth of their size, else by half as much, else not at all.
    """
    if data.kind != "image" or data.x.ndim not in (3, 4) or len(data) == 0:
        return Augmentation()
    some: Any = data.rows(np.random.default_rng(seed).permutation(len(data))[:_ROWS])
    x = np.asarray(some.x[:])
    mirror, most = Augmentation(mirror=True), max(min(x.shape[1:3]) // 8, 1)

    def right(rows: Floats) -> float:
        return float((judge(rows).argmax(axis=1) == some.y).mean())

    least = right(x) - MOST_LOST
    # the judge of well centred pictures minds the whole way, and not half of it
    ways = [Augmentation(shift=way) for way in (most, most // 2) if way]
    moved = (way.shifted(x, np.random.default_rng(seed)) for way in ways)
    found = (way.shift for way, rows in zip(ways, moved, strict=True) if right(rows) >= least)
    return Augmentation(mirror=right(mirror.mirrored(x)) >= least, shift=next(found, 0))
