"""Rows in which players are hidden, told by what they are made of, and made only where needed.

A row with players hidden has some values of one row and the others of another. A net whose first
layer is dense needs no such rows (models/first_layer.py), and making them takes about as long as a
small net takes to answer; whoever has to see them asks for `rows()`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.glossary import Floats, Ints, Predictor

Bits = NDArray[np.uint32]
"""Floats by their bits."""

_VALUES = 2**18
"""Values in rows that are made at once."""


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

    def parts(self, most: int) -> Iterator[Masks]:
        """The same in order, at most so many at a time; of all coalitions those of few players."""
        end = self.first + self.count
        if self.chosen is not None:
            parts = -(-self.count // most)
            ends = [self.first + self.count * i // parts for i in range(parts + 1)]
        else:
            block = 2 ** (most.bit_length() - 1)
            ends = [self.first, *range((self.first // block + 1) * block, end, block), end]
        for first, last in pairwise(ends):
            yield Masks(self.k, first, last - first, self.chosen)

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

    def parts(self) -> Iterator[Masked]:
        """The same in order, a bounded number of values at a time."""
        for masks in self.masks.parts(max(_VALUES // self.x.size, 1)):
            yield replace(self, masks=masks)

    def of(self, games: Any) -> Masked:
        """The same of some games, a slice of them or bool (games,)."""
        return replace(self, x=self.x[games], other=self.other[games], place=self.place[games])

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
    return by_rows(predict, asked) if unmade is None else unmade(asked)


def by_rows(ask: Callable[[Floats], Floats], asked: Masked) -> Floats:
    """Answers to all its rows, (m * games, classes), made part by part."""
    return np.concatenate([ask(part.rows()) for part in asked.parts()])
