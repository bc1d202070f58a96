"""What an explainer is: settings, an estimate, and the checks that all of them share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from toolkit.errors import DataError, MatchError, RecipeError
from toolkit.explainers.players import Coalitions, Players
from toolkit.glossary import Attribution, Doubles, Facts, Floats, Predictor
from toolkit.shapes import in_shape

TOLERANCE = 0.01
"""A standard error of the probability below which an attribution counts as converged."""

Game = Callable[[Coalitions], Doubles]
"""bool (m, p) -> f64 (m,): the probability of the target when only these players are present."""


@dataclass(frozen=True, eq=False)
class Estimate:
    """values: f64 (r, p), r independent estimates (one when exact). base: nobody is present."""

    values: Doubles
    base: float
    facts: Facts = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Explainer(ABC):
    """A method with its settings; the same seed asks the same questions of every model.

    samples: questions in all; repeats: independent estimates they are shared among, whose spread
    gives the standard error.
    """

    method: ClassVar[str]
    samples: int = 4096
    repeats: int = 4

    def __post_init__(self) -> None:
        """Refuse settings with which nothing can be estimated."""
        if self.repeats < 2 or self.samples < 20 * self.repeats:
            raise RecipeError(
                f"{self.method} with {self.samples} samples in {self.repeats} repeats",
                "at least 2 repeats of 20 samples",
                "ask for more samples",
            )

    @abstractmethod
    def estimate(self, predict: Predictor, players: Players, target: int, seed: int) -> Estimate:
        """Estimate what each player adds to the probability of `target`."""

    def __call__(
        self, predict: Predictor, players: Players, target: int, *, row: int = 0, seed: int = 0
    ) -> Attribution:
        """Explain one row: how much each player moved the probability of class `target`.

        row: its index, kept for reference. Raises MatchError for a target or a shape that the
        model does not know, DataError for a row with NaN or infinities.
        """
        if not 0 <= target < predict.classes:
            raise MatchError(
                f"target {target}", f"a class from 0 to {predict.classes - 1}", "correct it"
            )
        if not np.isfinite(players.x).all():
            raise DataError(
                f"row {row} has NaN or infinite values", "finite numbers", "pick another row"
            )
        in_shape(players.x[None], predict.shape)
        counted = _Counted(predict)
        every = np.ones((1, len(players)), bool)
        prediction = float(players.value(counted, every, target)[0])
        found = self.estimate(counted, players, target, seed)
        n = len(found.values)
        error = found.values.std(axis=0, ddof=1) / n**0.5 if n > 1 else 0 * found.values[0]
        return Attribution(
            method=self.method,
            subject=predict.name,
            row=row,
            values=found.values.mean(axis=0),
            stderr=error,
            base=found.base,
            prediction=prediction,
            target=target,
            evaluations=counted.rows,
            seed=seed,
            converged=bool((error <= TOLERANCE).all()),
            facts={"samples": self.samples, "repeats": n, **found.facts},
        )


def derived(seed: int, number: int) -> int:
    """The seed of repeat `number`, in the range that numpy's global generator takes.

    >>> derived(2, 1), derived(5_000_000, 0) < 2**32
    (2001, True)
    """
    return (seed * 1000 + number) % 2**32


class _Counted:
    """A Predictor that counts the rows it is asked for, and asks in the model's own shape."""

    def __init__(self, predict: Predictor) -> None:
        self.predict, self.rows = predict, 0
        self.name, self.classes, self.shape = predict.name, predict.classes, predict.shape

    def __call__(self, x: Floats, /) -> Floats:
        self.rows += len(x)
        return self.predict(in_shape(x, self.shape))
