"""Training rows as they are shown to a student, and what its teacher answers to them, asked once.

A teacher is often dearer than its student. Pictures are moved anew each epoch, and after a few
epochs they come as they came before, so that the answers to them are known by then: to the same
training, and to one that follows it on the same rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from toolkit.augmentation import Augmentation
from toolkit.glossary import Floats, Ints
from toolkit.training import Turn

Teacher = Callable[[Floats], Floats]
"""f32 (n, ...) -> f32 (n, k), probabilities; a Predictor is one."""

WAYS, SHOWN = 8, 400_000
"""How many ways each picture is shown in, an epoch each: 8, or more where these make fewer pictures
than that, since a small set learns from every further one and a teacher answers them soon."""

MOST = 2**28
"""Bytes of answers that are kept; beyond it, and of pictures that stay in their files and would
have to be read twice, every epoch has ways of its own."""

_CHUNK = 256


class Showings:
    """All rows in each of their ways; rows may stay in their files."""

    def __init__(self, x: Any, change: Augmentation, classes: int, seed: int) -> None:
        """x: (n, ...). Nothing is asked yet."""
        self._x, self._change, self._seed = x, change, seed
        ways = 1 if change == Augmentation() else max(WAYS, math.ceil(SHOWN / max(len(x), 1)))
        kept = 4 * ways * len(x) * classes <= MOST and not _in_files(x)
        self._ways = ways if kept else 0
        self._answers: dict[int, Floats] = {}
        self._drawn: tuple[int, Ints] = (-1, np.zeros((0, 3), np.int64))

    def __call__(self, ask: Teacher, x: Floats, turn: Turn) -> tuple[Floats, Floats]:
        """The rows of a batch as its epoch shows them, f32 (n, ...), and the answers, f32 (n, k).

        ask: the same teacher each time.
        """
        if not self._ways:
            shown = self._shown(x, turn.rows, turn.epoch)
            return shown, ask(shown)
        way = turn.epoch % self._ways
        if way not in self._answers:
            # in one order whatever the order of the batches: the same answers to the last bit
            every = np.arange(len(self._x))
            chunks = (every[i : i + _CHUNK] for i in range(0, len(every), _CHUNK))
            found = [ask(self._shown(self._x[some], some, way)) for some in chunks]
            self._answers[way] = np.concatenate(found)
        return self._shown(x, turn.rows, way), self._answers[way][turn.rows]

    def _shown(self, x: Floats, rows: Ints, way: int) -> Floats:
        if self._drawn[0] != way:
            rng = np.random.default_rng((self._seed, way))
            self._drawn = way, self._change.drawn(len(self._x), rng)
        return self._change.changed(x, self._drawn[1][rows])


_known: WeakKeyDictionary[Teacher, dict[Any, tuple[Any, Showings]]] = WeakKeyDictionary()


def showings(teacher: Teacher, x: Any, change: Augmentation, classes: int, seed: int) -> Showings:
    """The showings of rows to a teacher: those of an earlier training on the same, or new ones."""
    arrays = _arrays(x)
    key = (change, classes, seed, *map(id, arrays))
    fresh = Showings(x, change, classes, seed)
    try:
        known = _known.setdefault(teacher, {})
    except TypeError:
        return fresh  # a teacher that cannot be looked up, as a dataclass that may change
    # held with the showings, so that no other array gets their ids
    return known.setdefault(key, (arrays, fresh))[1]


def _in_files(x: Any) -> bool:
    return any(hasattr(part, "digests") for part in _arrays(x))


def _arrays(x: Any) -> tuple[Any, Any]:
    """What rows consist of: labelled ones, and unlabelled ones where there are any."""
    return getattr(x, "first", x), getattr(x, "second", None)
