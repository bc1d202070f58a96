"""Rows in which players are hidden, told by what they are made of, and made only where needed.

A row with players hidden has some values of one row and the others of another. A net whose first
layer is dense needs no such rows (models/first_layer.py), and making them takes about as long as a
small net takes to answer; whoever has to see them asks for `rows()`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.glossary import Floats, Ints, Predictor

Bits = NDArray[np.uint32]
"""Floats by their bits."""


@dataclass(frozen=True, eq=False)
class Masks:
    """`count` coalitions of k players: those of `chosen`, bool (m, k), from the `first`-th on.

    Where none are chosen they are all 2^k in the order of binary numbers, player j as bit j.

    >>> Masks(2, 1, 3).there.astype(int).tolist()
    [[1, 0], [0, 1], [1, 1]]
    """

    k: int
    first: int
    count: int
    chosen: NDArray[np.bool_] | None = None

    @cached_property
    def there(self) -> NDArray[np.bool_]:
        """Who is there: bool (count, k)."""
        end = self.first + self.count
        if self.chosen is not None:
            return self.chosen[self.first : end]
        numbers = np.arange(self.first, end, dtype="<u4").view(np.uint8).reshape(-1, 4)
        return np.unpackbits(numbers, axis=1, count=self.k, bitorder="little").view(np.bool_)

    @cached_property
    def floats(self) -> Floats:
        """1 for those who are there, f32 (count, k + 1); one more player always is."""
        found = np.ones((self.count, self.k + 1), np.float32)
        found[:, : self.k] = self.there
        return found

    @cached_property
    def bits(self) -> Bits:
        """All bits of those who are there, u32 (count, k + 1); one more player never is."""
        found = np.zeros((self.count, self.k + 1), np.uint32)
        found[:, : self.k] = np.where(self.there, np.uint32(2**32 - 1), np.uint32(0))
        return found


@dataclass(frozen=True, eq=False)
class Masked:
    """Every coalition of `masks` in every game: m * games rows, those of a coalition together.

    x, other: f32 (games, values), the row whose players are shown and the one that stands in.
    place: i64 (games, values), whose each value is in `masks`, k for one that stays the other's.
    shape: of a row as the model's user has it.
    """

    x: Floats
    other: Floats
    place: Ints
    masks: Masks
    shape: tuple[int, ...]

    def rows(self) -> Floats:
        """Them all, f32 (m * games, *shape)."""
        made = self._chosen() if self.masks.chosen is not None else self._counted()
        return made.view(np.float32).reshape(-1, *self.shape)

    @property
    def apart(self) -> Bits:
        """The bits in which the two rows of each game differ: u32 (games, values)."""
        return self.x.view(np.uint32) ^ self.other.view(np.uint32)

    def _chosen(self) -> Bits:
        # bit by bit, which is exact and takes half the time of a choice of floats; taken, and not
        # picked by an index, which would lay them out so that they are copied again
        rows = np.take(self.masks.bits, self.place, axis=1)
        rows &= self.apart
        rows ^= self.other.view(np.uint32)
        return rows

    def _counted(self) -> Bits:
        # each row is one before it with one player more, so that it is made in one pass
        first, last = self.masks.first, self.masks.first + self.masks.count - 1
        low = (first ^ last).bit_length()  # the players that are there in some and not in others
        joins = [np.where(self.place == j, self.apart, np.uint32(0)) for j in range(self.masks.k)]
        rows = np.empty((2**low, *self.x.shape), np.uint32)
        rows[0] = self.other.view(np.uint32)
        for j in range(low, self.masks.k):
            if first >> j & 1:
                rows[0] ^= joins[j]
        for j in range(low):
            np.bitwise_xor(rows[: 2**j], joins[j], out=rows[2**j : 2 ** (j + 1)])
        begin = first & (2**low - 1)
        return rows[begin : begin + self.masks.count]


def answers(predict: Predictor, asked: Masked) -> Any:
    """Probabilities of all its rows, (m * games, classes), without making them where it can."""
    unmade = getattr(predict, "masked", None)
    return predict(asked.rows()) if unmade is None else unmade(asked)
