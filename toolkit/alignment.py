"""Another model made to answer as the base does: its classes in the same order, its range known.

What is told for sure is mapped and said; what is only likely is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from toolkit import contract
from toolkit.errors import MatchError
from toolkit.glossary import Data, Finding, Floats, Predictor
from toolkit.masked import Masked
from toolkit.metrics import accuracy_drop, share
from toolkit.shapes import matching

_ROWS = 2000
_MOST = 0.5
"""Of the rows of a class, what must surely go to another output for the two to be one class."""


class Mapped:
    """A predictor whose input is rescaled and whose classes are put into another order."""

    def __init__(
        self, predict: Any, *, scale: float = 1.0, offset: float = 0.0, order: Any = None
    ) -> None:
        """Of a predictor; order: for each class of the data, its place in the model's output."""
        self._predict, self._scale, self._offset = predict, np.float32(scale), np.float32(offset)
        self._order = np.arange(predict.classes) if order is None else np.asarray(order)
        self.name, self.classes, self.shape = predict.name, predict.classes, predict.shape

    def __call__(self, x: Floats, /) -> Floats:
        """Class probabilities of the rows `x`, in the order of the data's classes."""
        return np.asarray(self._predict(self._brought(x))[:, self._order])

    def logits(self, x: Floats) -> Floats | None:
        """Its logits in the same order, or None where it has none."""
        ask = getattr(self._predict, "logits", None)
        found = None if ask is None else ask(self._brought(x))
        return None if found is None else np.asarray(found[:, self._order])

    @property
    def masked(self) -> Any:
        """Rows with hidden players -> their probabilities, or None where it wants them made."""
        ask = getattr(self._predict, "masked", None)
        if ask is None:
            return None

        def answer(asked: Masked) -> Floats:
            brought = replace(asked, x=self._brought(asked.x), other=self._brought(asked.other))
            return np.asarray(ask(brought)[:, self._order])

        return answer

    @property
    def gradients(self) -> Any:
        """(x, target) -> its slopes by the values of x, or None where it has none."""
        ask = getattr(self._predict, "gradients", None)
        if ask is None:
            return None
        return lambda x, target: self._scale * ask(self._brought(x), int(self._order[target]))

    @property
    def contributions(self) -> Any:
        """(x, background, target) -> what the values of x add, or None where it is not told."""
        ask = getattr(self._predict, "contributions", None)
        if ask is None:
            return None
        order, brought = self._order, self._brought
        return lambda x, rest, target: ask(brought(x), brought(rest), int(order[target]))

    @property
    def shuffled(self) -> Any:
        """Seed -> the same with shuffled weights, or None where they are not known."""
        shuffle = getattr(self._predict, "shuffled", None)
        if shuffle is None:
            return None
        scale, offset = float(self._scale), float(self._offset)
        return lambda seed: Mapped(shuffle(seed), scale=scale, offset=offset, order=self._order)

    def _brought(self, x: Floats) -> Floats:
        if self._scale == 1 and self._offset == 0:
            return x
        return np.asarray(x, np.float32) * self._scale + self._offset


def aligned(
    base: Predictor, others: Sequence[Predictor], train: Data
) -> tuple[tuple[Predictor, ...], tuple[Finding, ...]]:
    """The other models, mapped onto the base where that is sure, with what was done.

    Classes that a file names in another order, and pictures that it surely takes in another range,
    are mapped. Raises MatchError for other shapes, other classes, or answers that would agree with
    the base's in another order of the classes.
    """
    found: list[Predictor] = []
    said: list[Finding] = []
    for other in others:
        matching(other.shape, other.classes, train, other.name)
        now: Predictor = other
        order = _named_order(other, train)
        if order is not None:
            now = Mapped(now, order=order)
            said.append(
                Finding.of(
                    "M1",
                    "info",
                    other.name,
                    "{name} names its classes in another order: they are mapped.",
                    name=other.name,
                )
            )
        scale = contract.other_range(now, train)
        if scale is not None:
            now = Mapped(now, scale=scale[0], offset=scale[1])
            said.append(
                Finding.of(
                    "M1",
                    "info",
                    other.name,
                    "{name} takes values times {scale:.3g} plus {offset:g}: they are brought so.",
                    name=other.name,
                    scale=scale[0],
                    offset=scale[1],
                )
            )
        if order is None:
            _same_order(base, now, train)
        found.append(now)
    return tuple(found), tuple(said)


def _named_order(other: Predictor, data: Data) -> list[int] | None:
    """The place of each class of the data in a model that names its classes otherwise, or None."""
    told = tuple(getattr(other, "class_names", ()))
    if not told or told == data.classes:
        return None
    if sorted(told) != sorted(data.classes):
        strange = next(iter(set(told) - set(data.classes)), told[0])
        raise MatchError(
            f"{other.name} knows a class '{strange}', the data does not",
            "the same classes",
            "give the data that both models were trained on",
        )
    return [told.index(name) for name in data.classes]


def _same_order(base: Predictor, other: Predictor, data: Data) -> None:
    """Raise MatchError when the answers of both would surely agree in another order."""
    rows = np.linspace(0, len(data) - 1, min(len(data), _ROWS)).astype(int)
    x = data.rows(rows).x
    ours, theirs = base(x), other(x)
    k = ours.shape[1]
    counts = np.zeros((k, k))
    np.add.at(counts, (ours.argmax(axis=1), theirs.argmax(axis=1)), 1)
    place = counts.argmax(axis=1)
    # a class that the base never gives has no place, and one class has no order
    given = counts.any(axis=1)
    if given.sum() < 2 or len(set(place[given].tolist())) < given.sum():
        return
    place[~given] = np.setdiff1d(np.arange(k), place[given])
    moved = np.flatnonzero(given & (place != np.arange(k)))
    # a better model parts classes that the base takes for one: no others have changed places
    if not len(moved) or set(place[moved].tolist()) != set(moved.tolist()):
        return
    gain = accuracy_drop(theirs[:, place], theirs, ours.argmax(axis=1).astype(np.int64))
    # two classes of many that changed places cost little: they are told by their own rows
    most = all(share(int(counts[i].max()), int(counts[i].sum())).low > _MOST for i in moved)
    if not most and 100 * gain.low <= 10 * contract.SURE:
        return
    i = int(moved[0])
    named = tuple(getattr(other, "class_names", ())) == data.classes
    raise MatchError(
        f"output {int(place[i])} of {other.name} answers where {base.name} says "
        f"'{data.classes[i]}'",
        "classes in the same order",
        f"{other.name} names them as the data does: look which of both learnt other labels"
        if named
        else "export it with its classes named, or sort them as in the data",
    )
