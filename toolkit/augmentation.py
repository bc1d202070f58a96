"""Pictures moved and mirrored in training, as far as a trained model takes them for the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from toolkit.glossary import Data, Floats, Ints

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
        return self.changed(x, self.drawn(len(x), rng))

    def drawn(self, count: int, rng: np.random.Generator) -> Ints:
        """What chance does to each of `count` pictures, i64 (n, 3): mirrored, moved down, right."""
        half = rng.random(count) < 0.5 if self.mirror else np.zeros(count, bool)
        moves = rng.integers(0, 2 * self.shift + 1, (2, count))
        return np.stack([half, *moves], axis=1).astype(np.int64)

    def changed(self, x: Floats, draws: Ints) -> Floats:
        """The pictures after what was drawn for them."""
        half = draws[:, 0] == 1
        if half.any():
            x = x.copy()
            x[half] = self.mirrored(x[half])
        return self._moved(x, draws[:, 1:]) if self.shift else x

    def mirrored(self, x: Floats) -> Floats:
        """Left and right swapped."""
        return x[:, :, ::-1]

    def shifted(self, x: Floats, rng: np.random.Generator) -> Floats:
        """Each picture moved by up to `shift` pixels each way."""
        return self._moved(x, rng.integers(0, 2 * self.shift + 1, (2, len(x))).T)

    def _moved(self, x: Floats, moves: Ints) -> Floats:
        edge = self.shift
        wide = np.pad(x, ((0, 0), (edge, edge), (edge, edge), *((0, 0),) * (x.ndim - 3)), "reflect")
        height, width = x.shape[1:3]
        rows = moves[:, :1] + np.arange(height)
        columns = moves[:, 1:] + np.arange(width)
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
