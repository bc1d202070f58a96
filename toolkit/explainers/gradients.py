"""Gradients along the way from a baseline to the row, of models that have them."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, cast

import numpy as np

from toolkit.errors import RecipeError
from toolkit.explainers.base import Estimate, Explainer, derived
from toolkit.explainers.players import Players, mean_row
from toolkit.glossary import Differentiable, Doubles, Floats, Ints, Predictor

_VALUES = 2**22
_MANY = 16
"""Parts of a way from which on two cut short cost little."""


@dataclass(frozen=True, kw_only=True)
class Paths(Explainer):
    """What the two methods share: gradients at points of straight lines, in independent groups.

    samples: gradients in all; 0 is `DEFAULT` of the method. repeats: groups of points whose spread
    gives the standard error; few and large, since a group's error falls faster than its size grows.
    In a group every line has as many points as any other, one in each of equal parts of the way,
    and the points of a part are spread over it. Facts: `gap`, how far the values are from summing
    to the prediction less the base.
    """

    needs: ClassVar[str] = "gradients"
    DEFAULT: ClassVar[int]
    samples: int = 0
    repeats: int = 4

    def __post_init__(self) -> None:
        """Refuse settings with which nothing can be estimated."""
        super().__post_init__()
        if self.repeats < 2:
            raise RecipeError(
                f"{self.method} with {self.repeats} repeats", "2 and more", "correct it"
            )
        if 0 < self.samples < self.repeats:
            raise RecipeError(
                f"{self.method} with {self.samples} samples in {self.repeats} repeats",
                f"at least {self.repeats} samples, one a repeat",
                "ask for more samples",
            )

    @abstractmethod
    def starts(self, players: Players) -> tuple[Floats, str]:
        """Where the lines begin, f32 (b, ...), and what that is in words."""

    def estimate(self, predict: Predictor, players: Players, target: int, seed: int) -> Estimate:
        """The mean over lines of the integral of the gradient along each, times its length."""
        starts, said = self.starts(players)
        model = cast("Differentiable", predict)
        ends = predict(np.concatenate([players.x[None], starts])).astype(np.float64)[:, target]
        base = float(ends[1:].mean())
        size = (self.samples or self.DEFAULT) // self.repeats
        values, asked = [], 0
        for number in range(self.repeats):
            rng = np.random.default_rng(derived(seed, number))
            on_lines = points(len(starts), size, rng)
            values.append(_along(model, players, target, starts, on_lines))
            asked += len(on_lines[0])
        found = np.stack(values)
        facts = {
            "gap": abs(float(found.mean(axis=0).sum()) - (float(ends[0]) - base)),
            "samples": asked,
            "hidden": said,
        }
        return Estimate(found, base, facts)


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
        return mean_row(players.background, players.categories)[None], "the mean row"


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


def points(b: int, size: int, rng: np.random.Generator) -> tuple[Ints, Doubles, Doubles]:
    """The line of each of at most `size` points, i64 (n,), how far along it lies, f64 (n,), and its
    weight, f64 (n,), all of which sum to 1.

    Many parts begin somewhere else in every group, the first and the last cut short: where a slope
    jumps at the edge of a part, all groups would else be wrong by as much.

    >>> line, far, weight = points(2, 4, np.random.default_rng(0))
    >>> sorted(line.tolist()), np.sort((4 * far).astype(int)).tolist(), weight.tolist()
    ([0, 0, 1, 1], [0, 1, 2, 3], [0.25, 0.25, 0.25, 0.25])
    """
    parts, many = max(size // b, 1), min(size, b)
    edges = np.arange(parts + 1) / parts
    if parts >= _MANY:
        edges[1:-1] = (np.arange(parts - 1) + rng.random()) / (parts - 1)
    lines = rng.permutation(b)[:many]
    inside = [(rng.permutation(many) + rng.random(many)) / many for _ in range(parts)]
    wide = np.diff(edges)
    far = np.concatenate(
        [begin + w * one for begin, w, one in zip(edges[:-1], wide, inside, strict=True)]
    )
    return np.tile(lines, parts), far, np.repeat(wide / many, many)


def _along(
    predict: Differentiable,
    players: Players,
    target: int,
    starts: Floats,
    points: tuple[Ints, Doubles, Doubles],
) -> Doubles:
    """What each player gets, f64 (p,), by the gradients at these points of these lines."""
    line, far, weight = points
    x, size = players.x.astype(np.float64).reshape(-1), players.x.size
    total = np.zeros(size)
    step = max(_VALUES // size, 1)
    for i in range(0, len(line), step):
        start = starts[line[i : i + step]].reshape(-1, size).astype(np.float64)
        at = start + far[i : i + step, None] * (x - start)
        rows = at.astype(np.float32).reshape(-1, *players.x.shape)
        slopes = predict.gradients(rows, target).reshape(-1, size).astype(np.float64)
        total += (weight[i : i + step, None] * slopes * (x - start)).sum(axis=0)
    return players.summed(total)
