"""What an explainer is: settings, an estimate, and the checks that all of them share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np

from toolkit.errors import DataError, MatchError, RecipeError
from toolkit.explainers.players import Coalitions, Players
from toolkit.glossary import Attribution, Doubles, Facts, Floats, Predictor
from toolkit.shapes import in_shape

TOLERANCE = 0.01
"""A standard error of the probability below which an attribution counts as converged."""

FEWEST = 20
"""Questions with which an estimate can be made at all."""

Game = Callable[[Coalitions], Doubles]
"""bool (m, p) -> f64 (m,): the probability of the target when only these players are present."""


@dataclass(frozen=True, eq=False)
class Estimate:
    """values: f64 (r, p), r independent estimates (one when exact). base: nobody is present.

    stderr: f64 (p,), where the method knows it better than from the spread of the estimates, and
    degrees, of its freedom, where these are few.
    prediction: everybody is present; evaluations: rows the model was asked for; both are filled in
    for a method that asks row by row.
    """

    values: Doubles
    base: float
    facts: Facts = field(default_factory=dict)
    stderr: Doubles | None = None
    prediction: float = float("nan")
    evaluations: int = 0
    degrees: int | None = None


@dataclass(frozen=True, kw_only=True)
class Explainer(ABC):
    """A method with its settings; the same seed asks the same questions of every model.

    needs: what a model must tell beside its answers, as "gradients"; most methods need nothing.
    samples: questions in all. tolerance: the standard error, in probability, below which a value
    counts as converged; `TOLERANCE` if None.
    """

    method: ClassVar[str]
    needs: ClassVar[str] = ""
    samples: int = 4096
    tolerance: float | None = None

    def __post_init__(self) -> None:
        """Refuse settings with which nothing can be estimated."""
        if self.samples < FEWEST and self.samples != type(self).samples:
            raise RecipeError(
                f"{self.method} with {self.samples} samples",
                f"at least {FEWEST}",
                "ask for more samples",
            )
        if self.tolerance is not None and not 0 < self.tolerance < 1:
            raise RecipeError(
                f"tolerance {self.tolerance}", "a probability above 0 and below 1", "try 0.01"
            )

    @abstractmethod
    def estimate(self, predict: Predictor, players: Players, target: int, seed: int) -> Estimate:
        """Estimate what each player adds to the probability of `target`."""

    def __call__(
        self, predict: Predictor, players: Players, target: int, *, row: int = 0, seed: int = 0
    ) -> Attribution:
        """Explain one row: how much each player moved the probability of class `target`.

        row: its index, kept for reference. Raises MatchError for a target or a shape that the
        model does not know, DataError for a row with NaN or infinities, RecipeError for a model
        that does not tell what the method needs.
        """
        return self.several(predict, {row: players}, [target], seed=seed)[0]

    def suiting(self, predict: Predictor) -> None:
        """Raise RecipeError for a model that does not tell what this method needs."""
        if self.needs and getattr(predict, self.needs, None) is None:
            raise RecipeError(
                f"{self.method} of {predict.name}, which tells no {self.needs}",
                "a Keras model",
                "give the Keras file, or explain by shapley or lime",
            )

    def several(
        self, predict: Predictor, rows: dict[int, Players], targets: Sequence[int], *, seed: int = 0
    ) -> tuple[Attribution, ...]:
        """Explain rows, each for its own target, as each would be explained alone, to the bit."""
        self.suiting(predict)
        for (row, players), target in zip(rows.items(), targets, strict=True):
            _possible(predict, players, target, row)
        found = self.estimates(predict, list(rows.values()), targets, seed)
        return tuple(
            self._told(predict.name, (row, players, target), one, seed)
            for (row, players), target, one in zip(rows.items(), targets, found, strict=True)
        )

    def estimates(
        self, predict: Predictor, players: Sequence[Players], targets: Sequence[int], seed: int
    ) -> list[Estimate]:
        """Estimate row by row; a method that can ask for several at once does so here instead."""
        found = []
        for them, target in zip(players, targets, strict=True):
            counted = _Counted(predict)
            every = np.ones((1, len(them)), bool)
            prediction = float(them.value(counted, every, target)[0])
            one = self.estimate(counted, them, target, seed)
            found.append(replace(one, prediction=prediction, evaluations=counted.rows))
        return found

    def _told(
        self, subject: str, asked: tuple[int, Players, int], found: Estimate, seed: int
    ) -> Attribution:
        row, players, target = asked
        n = len(found.values)
        spread = found.values.std(axis=0, ddof=1) / n**0.5 if n > 1 else 0 * found.values[0]
        error = spread if found.stderr is None else found.stderr
        values = found.values.mean(axis=0)
        # one estimate that is not exact tells nothing of its error
        unsure = n == 1 and found.stderr is None and found.facts.get("exact") is False
        if not np.isfinite([*values, *error, found.base, found.prediction]).all():
            raise DataError(
                f"{subject} answers row {row} and its background with NaN",
                "probabilities",
                "look for missing values in the background, and at the model",
            )
        return Attribution(
            method=self.method,
            subject=subject,
            row=row,
            values=values,
            stderr=error,
            base=found.base,
            prediction=found.prediction,
            target=target,
            evaluations=found.evaluations,
            seed=seed,
            converged=bool((error <= (self.tolerance or TOLERANCE)).all()) and not unsure,
            facts={"samples": self.samples, "repeats": n, "hidden": players.hidden, **found.facts},
            degrees=n - 1 if n > 1 and found.stderr is None else found.degrees,
            names=players.names,
            shown=players.shown(),
            written=players.written(),
            worded=players.worded,
            picture=None if players.segments is None else (players.x, players.segments),
        )


def _possible(predict: Predictor, players: Players, target: int, row: int) -> None:
    """Raise MatchError or DataError for what cannot be explained."""
    if not 0 <= target < predict.classes:
        raise MatchError(
            f"target {target}", f"a class from 0 to {predict.classes - 1}", "correct it"
        )
    if not np.isfinite(players.x).all():
        raise DataError(
            f"row {row} has NaN or infinite values", "finite numbers", "pick another row"
        )
    if not np.isfinite(players.background).all():
        raise DataError(
            "the background has NaN or infinite values",
            "finite numbers",
            "fill or drop what is missing",
        )
    in_shape(players.x[None], predict.shape)


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

    def gradients(self, x: Floats, target: int) -> Floats:
        """Those of the model, counted as rows."""
        self.rows += len(x)
        predict: Any = self.predict
        found: Floats = predict.gradients(in_shape(x, self.shape), target)
        return found.reshape(x.shape)

    def contributions(self, x: Floats, background: Floats, target: int) -> Doubles:
        """Those of the model; each row of the background is asked beside the row."""
        self.rows += 2 * len(background)
        predict: Any = self.predict
        found: Doubles = predict.contributions(x, background, target)
        return found
