"""What a recipe that was not tried would come to, judged by those that were; and what to try next.

A linear model with normal priors over the passes and settings of recipes: their effects on the
logarithm of bytes and on accuracy nearly add up, and no pass means no loss. Its scales are not
chosen but averaged, each weighed by how likely it makes what was seen. Next comes what is expected
to win most room on the frontier of bytes and lost accuracy (Emmerich et al. 2006), for its time if
asked.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from toolkit.glossary import Doubles
from toolkit.pareto import improvement
from toolkit.recipe import Recipe
from toolkit.traits import features, likely_share, likely_work

DRAWS = 4096


@dataclass(frozen=True)
class Trial:
    """What came of a recipe: nbytes of the file, drop in points on validation rows, seconds."""

    recipe: Recipe
    nbytes: int
    drop: float
    seconds: float


@dataclass(frozen=True)
class _Scales:
    """What may be believed of a figure before anything is seen; all of it is tried.

    effects: how much a pass changes it. sizes: how much more, beside that, what leaves few bytes
    does. noises: by how much recipes differ from the sum of their effects. shared: of what all
    recipes have in common.
    """

    effects: tuple[float, ...]
    sizes: tuple[float, ...]
    noises: tuple[float, ...]
    shared: float


_OF_BYTES = _Scales((0.05, 0.15, 0.4), (0.0,), (0.03, 0.08), 1.0)
"""The logarithm, beside that of the likely share."""
_OF_DROPS = _Scales((0.25, 0.5, 1.0, 2.0), (0.3, 1.0, 3.0), (0.1, 0.25, 0.5), 0.0)
"""Points; of a recipe without a pass they are none."""
_OF_SECONDS = _Scales((0.5, 1.0, 2.0), (0.0,), (0.1, 0.3), 3.0)
"""The logarithm."""
_FLOORS = (0.0, 0.02, 0.08, 0.3)
"""Bytes that no pass can take, as a share of the base: graph, names, what stays float."""


def ranked(
    trials: Sequence[Trial],
    untried: Sequence[Recipe],
    worst: tuple[float, float],
    *,
    hurried: bool = False,
    seed: int = 0,
) -> list[Recipe]:
    """The untried recipes, those first of which most is expected.

    worst: bytes and points from which on a candidate is worth nothing. hurried: for each second.
    Without trials their order is kept.
    """
    if not trials or not untried:
        return list(untried)
    likeness = _Likeness.of([*(t.recipe for t in trials), *untried])
    sizes = np.log([t.nbytes for t in trials])
    # what loses far too much loses too much: how far would only bend the rest
    drops = np.array([min(t.drop, 2 * worst[1]) for t in trials])
    rng = np.random.default_rng(seed)
    draws = np.stack(
        [
            _drawn(likeness, sizes, _OF_BYTES, rng, [np.log(f + likeness.share) for f in _FLOORS]),
            _drawn(likeness, drops, _OF_DROPS, rng),
        ],
        axis=-1,
    )
    known = np.stack([sizes, drops], axis=1)
    worth = improvement(draws, known, (float(np.log(worst[0])), worst[1])).mean(axis=0)
    if hurried:
        worth = worth / expected_seconds(trials, untried)
    return [untried[i] for i in np.argsort(-worth, kind="stable")]


def expected_seconds(trials: Sequence[Trial], untried: Sequence[Recipe]) -> Doubles:
    """How long each untried recipe would take, f64 (n,)."""
    every = [*(t.recipe for t in trials), *untried]
    took = np.log([max(t.seconds, 0.01) for t in trials])
    # as likely as not, training takes long; what was seen says more than that soon
    beside = [np.zeros(len(every)), np.log([likely_work(r) for r in every])]
    weights, means, _ = _judged(_Likeness.of(every), took, _OF_SECONDS, beside)
    expected: Doubles = np.exp(weights @ means)
    return expected


@dataclass(frozen=True, eq=False)
class _Likeness:
    """How recipes covary: effects and sizes f64 (n, n); share f64 (n,), the bytes likely left."""

    effects: Doubles
    sizes: Doubles
    share: Doubles

    @classmethod
    def of(cls, recipes: Sequence[Recipe]) -> _Likeness:
        table = features(recipes)
        share = np.array([likely_share(r) for r in recipes])
        small = np.stack([np.log(share) / 2, np.log(share) ** 2 / 6], axis=1)
        return cls(table @ table.T, small @ small.T, share)


def _drawn(
    likeness: _Likeness,
    values: Doubles,
    scales: _Scales,
    rng: np.random.Generator,
    beside: Sequence[Doubles] = (),
) -> Doubles:
    """What the recipes without a value may come to, f64 (DRAWS, n)."""
    weights, means, spreads = _judged(likeness, values, scales, beside)
    taken = rng.choice(len(weights), DRAWS, p=weights)
    return rng.normal(means[taken], spreads[taken])


def _judged(
    likeness: _Likeness, values: Doubles, scales: _Scales, beside: Sequence[Doubles] = ()
) -> tuple[Doubles, Doubles, Doubles]:
    """Weights of choices of scales f64 (s,), means and deviations of what has no value f64 (s, n).

    values: those of the first recipes. beside: numbers of all recipes, of which one is taken away
    before, but for what is the mean of both.
    """
    n = len(values)
    found, evidence = [], []
    for effect, size, noise in itertools.product(scales.effects, scales.sizes, scales.noises):
        like = effect**2 * (likeness.effects + size**2 * likeness.sizes) + scales.shared**2
        root = np.linalg.cholesky(like[:n, :n] + noise**2 * np.eye(n))
        across = np.linalg.solve(root, like[:n, n:])
        spread = np.sqrt(np.diag(like)[n:] - (across**2).sum(axis=0) + noise**2)
        for start in beside or [np.zeros(len(like))]:
            level = (values - start[:n]).mean() if beside else 0.0
            left = np.linalg.solve(root, values - start[:n] - level)
            evidence.append(-left @ left / 2 - np.log(np.diag(root)).sum())
            found.append((start[n:] + level + across.T @ left, spread))
    weights = np.exp(np.array(evidence) - max(evidence))
    means, spreads = (np.stack(parts) for parts in zip(*found, strict=True))
    return weights / weights.sum(), means, spreads
