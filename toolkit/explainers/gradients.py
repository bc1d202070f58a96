"""Gradients along the way from a baseline to the row, of models that have them."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from toolkit.errors import RecipeError
from toolkit.explainers.base import Estimate, Explainer, derived
from toolkit.explainers.players import Players
from toolkit.glossary import Doubles, Floats, Ints, Predictor

_VALUES = 2**22


@dataclass(frozen=True, kw_only=True)
class Paths(Explainer):
    """What the two methods share: gradients at points of straight lines, in independent groups.

    samples: gradients in all; 0 is `DEFAULT` of the method. repeats: groups of points whose spread
    gives the standard error. A group has a point in each half of each of equal parts of the way,
    mirrored at its middle, so that it errs little even where it is small. Facts: `gap`, how far the
    values are from summing to the prediction less the base.
    """

    needs: ClassVar[str] = "gradients"
    DEFAULT: ClassVar[int]
    samples: int = 0
    repeats: int = 8

    def __post_init__(self) -> None:
        """Refuse settings with which nothing can be estimated."""
        super().__post_init__()
        if self.repeats < 2 or 0 < self.samples < 2 * self.repeats:
            raise RecipeError(
                f"{self.method} with {self.samples} samples in {self.repeats} repeats",
                "at least 2 repeats of 2 samples",
                "ask for more samples",
            )

    @abstractmethod
    def starts(self, players: Players) -> tuple[Floats, str]:
        """Where the lines begin, f32 (b, ...), and what that is in words."""

    def estimate(self, predict: Predictor, players: Players, target: int, seed: int) -> Estimate:
        """The mean over lines of the integral of the gradient along each, times its length."""
        starts, said = self.starts(players)
        ends = predict(np.concatenate([players.x[None], starts])).astype(np.float64)[:, target]
        base = float(ends[1:].mean())
        pairs = (self.samples or self.DEFAULT) // (2 * self.repeats)
        # every start as often as any other, where there are enough
        pairs -= pairs % len(starts) if pairs > len(starts) else 0
        values = np.stack(
            [
                _along(
                    predict,
                    players,
                    target,
                    (starts, *_points(len(starts), pairs, np.random.default_rng(derived(seed, i)))),
                )
                for i in range(self.repeats)
            ]
        )
        facts = {
            "gap": abs(float(values.mean(axis=0).sum()) - (float(ends[0]) - base)),
            "samples": 2 * pairs * self.repeats,
            "hidden": said,
        }
        return Estimate(values, base, facts)


@dataclass(frozen=True, kw_only=True)
class Integrated(Paths):
    """Integrated gradients (Sundararajan et al. 2017): the way from what hides the players.

    The way begins at the mean of the background: for a picture the mean picture or what was chosen
    to hide it. The base is the model's answer there.
    """

    method: ClassVar[str] = "integrated"
    DEFAULT: ClassVar[int] = 1024

    def starts(self, players: Players) -> tuple[Floats, str]:
        """The mean of what stands in for hidden values."""
        if len(players.background) == 1:
            return players.background, players.hidden
        mean = players.background.mean(axis=0, dtype=np.float64).astype(np.float32)
        return mean[None], "the mean row"


@dataclass(frozen=True, kw_only=True)
class Expected(Paths):
    """Expected gradients (Erion et al. 2021): integrated ones, averaged over the background.

    A Shapley value of the game in which values move together along lines instead of one by one; its
    base is that of `shapley` on tables. For a picture lines begin at pictures of the background.
    """

    method: ClassVar[str] = "expected"
    DEFAULT: ClassVar[int] = 4096

    def starts(self, players: Players) -> tuple[Floats, str]:
        """Rows of the background as they are."""
        return players.rows()


def _points(b: int, pairs: int, rng: np.random.Generator) -> tuple[Ints, Doubles]:
    """The line of each point, i64 (2 pairs,), and how far along it lies, f64 (2 pairs,)."""
    shuffles = [rng.permutation(b) for _ in range(-(-pairs // b))]
    line = np.concatenate(shuffles)[:pairs]
    part, inside = rng.permutation(pairs), rng.random(pairs)
    far = np.concatenate([part + inside, part + 1 - inside]) / pairs
    return np.concatenate([line, line]), far


def _along(
    predict: Any, players: Players, target: int, points: tuple[Floats, Ints, Doubles]
) -> Doubles:
    """What each player gets, f64 (p,), by the gradients at these points of these lines."""
    starts, line, far = points
    x, size = players.x.astype(np.float64).reshape(-1), players.x.size
    total = np.zeros(size)
    step = max(_VALUES // size, 1)
    for i in range(0, len(line), step):
        start = starts[line[i : i + step]].reshape(-1, size).astype(np.float64)
        at = start + far[i : i + step, None] * (x - start)
        rows = at.astype(np.float32).reshape(-1, *players.x.shape)
        slopes = predict.gradients(rows, target).reshape(-1, size).astype(np.float64)
        total += (slopes * (x - start)).sum(axis=0)
    return players.summed(total / len(line))
