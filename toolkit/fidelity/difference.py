"""What compression changed: the difference of two models, attributed as a model of its own.

Shapley values and the weights of LIME's linear fit are linear in the answers, so the attribution
of f - g is the difference of both attributions when all three are asked the same questions. What
sampling does to f and g alike cancels in it, and its standard errors say what is left.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from toolkit.glossary import Floats, Predictor
from toolkit.masked import Masked, answers

_BYTES = 2**26
"""Answers that are kept: those to a few rows' questions are enough, since rows come in turn."""


class Difference:
    """The probabilities of one model less those of another, f64 (n, k), called "BASE - OTHER"."""

    def __init__(self, base: Predictor, other: Predictor) -> None:
        """Of two predictors of the same classes; rows in the shape of the first."""
        self.base, self.other = base, other
        self.name = difference(base.name, other.name)
        self.classes, self.shape = base.classes, base.shape

    def __call__(self, x: Floats, /) -> Any:
        """Differences of the class probabilities of the rows `x`, in float64 so as not to round."""
        return self.base(x).astype(np.float64) - self.other(x).astype(np.float64)

    def masked(self, asked: Masked, /) -> Any:
        """Differences for rows with hidden players, f64 (n, k)."""
        return answers(self.base, asked).astype(np.float64) - answers(self.other, asked)

    @property
    def gradients(self) -> Any:
        """(x, target) -> differences of the slopes, or None where one of both has none."""
        return self._apart("gradients")

    @property
    def contributions(self) -> Any:
        """(x, background, target) -> differences of the contributions, or None."""
        return self._apart("contributions")

    def _apart(self, what: str) -> Any:
        one, other = (getattr(p, what, None) for p in (self.base, self.other))
        if one is None or other is None:
            return None
        return lambda *asked: one(*asked).astype(np.float64) - other(*asked)


class Remembered:
    """A predictor that answers what it was just asked without computing it again.

    Both models and their difference are asked the same rows in turn.
    """

    def __init__(self, predict: Predictor) -> None:
        """Of any predictor; what is kept is bounded in memory."""
        self.predict = predict
        self.name, self.classes, self.shape = predict.name, predict.classes, predict.shape
        self._known: OrderedDict[int, Floats] = OrderedDict()
        self._size = 0

    def __call__(self, x: Floats, /) -> Floats:
        """Class probabilities of the rows `x`."""
        x = np.ascontiguousarray(x, np.float32)
        return self._answered(hash(x.tobytes()), partial(self.predict, x))

    def masked(self, asked: Masked, /) -> Floats:
        """The same of rows with hidden players."""
        made_of = asked.x, asked.other, asked.place, asked.masks.there
        key = hash((*(part.tobytes() for part in made_of), *(part.shape for part in made_of)))
        return self._answered(key, partial(answers, self.predict, asked))

    def _answered(self, key: int, ask: Callable[[], Floats]) -> Floats:
        # of 64 bits: five times as quick as a digest, enough to tell thousands of questions apart
        if key not in self._known:
            answer = self._known[key] = ask()
            self._size += answer.nbytes
            while self._size > _BYTES and len(self._known) > 1:
                self._size -= self._known.popitem(last=False)[1].nbytes
        return self._known[key].copy()

    @property
    def gradients(self) -> Any:
        """(x, target) -> slopes of the predictor, or None where it has none."""
        return getattr(self.predict, "gradients", None)

    @property
    def contributions(self) -> Any:
        """(x, background, target) -> those of the predictor, or None where it has none."""
        return getattr(self.predict, "contributions", None)


def difference(base: str, other: str) -> str:
    """The subject of the attribution of a difference.

    >>> difference("base", "int8")
    'base - int8'
    """
    return f"{base} - {other}"
