"""What a recipe that was not tried would come to, judged by those that were; and what to try next.

Gaussian processes over the passes and settings of recipes, with a linear part, since the effects of
passes on the logarithm of bytes nearly add up. Next comes what is expected to win most room on the
frontier of bytes and lost accuracy (Emmerich et al. 2006), for its time if asked.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from toolkit.glossary import Doubles
from toolkit.pareto import improvement
from toolkit.recipe import Recipe

DRAWS = 256
_NUMBER = re.compile(r"\d*\.?\d+")


@dataclass(frozen=True)
class Trial:
    """What came of a recipe: nbytes of the file, drop in points on validation rows, seconds."""

    recipe: Recipe
    nbytes: int
    drop: float
    seconds: float


def features(recipes: Sequence[Recipe]) -> Doubles:
    """Recipes as rows of numbers f64 (n, p), each column of mean 0; those that never differ go.

    A pass is a column, and so is each setting: the logarithm of a number, or of the number in a
    text, and each text by itself.
    """
    rows = [dict(_told(r)) for r in recipes]
    names = sorted({name for row in rows for name in row})
    table = np.array([[row.get(name, 0.0) for name in names] for row in rows])
    table = table[:, table.std(axis=0) > 0]
    found: Doubles = (table - table.mean(axis=0)) / table.std(axis=0)
    # a setting that is the same wherever its pass is says nothing that the pass does not
    found = np.unique(found.round(9), axis=1)
    found /= np.sqrt(max(found.shape[1], 1))
    small = np.log([likely_share(r) for r in recipes])
    return np.column_stack([found, (small - small.mean()) / max(small.std(), 1e-9)])


def likely_share(recipe: Recipe) -> float:
    """The share of the bytes of f32 weights that a recipe should leave, by its settings alone.

    >>> from toolkit.recipe import load
    >>> likely_share(load("float16")), likely_share(load("int4-qat"))
    (0.5, 0.125)
    """
    bits, weights, held = 32.0, 1.0, 1.0
    for step in recipe.passes:
        given: Any = vars(step)
        if step.name == "prune":
            held = 1 - given["sparsity"]
        elif step.name == "cluster":
            bits = min(bits, float(np.log2(given["clusters"])))
        elif step.name == "channels":
            weights *= 1 - given["share"]
        elif step.name == "low_rank":
            weights *= given["energy"]
        elif step.name == "distil":
            width = re.fullmatch(r"base\*(\d*\.?\d+)", given["student"])
            weights *= float(width[1]) ** 2 if width else 1.0
        elif step.name == "float16":
            bits = min(bits, 16.0)
        elif step.name in ("dynamic_int8", "static_int8"):
            bits = min(bits, 8.0)
        elif step.name == "quantise_aware":
            bits = min(bits, 8.0 if given["bits"] > 4 else 4.0)
    # of a sparse kernel each place takes a bit and each value that is not 0 its bits
    bits = held * bits + (1 if held < 1 else 0)
    return weights * bits / 32


def _told(recipe: Recipe) -> list[tuple[str, float]]:
    found = []
    for step in recipe.passes:
        found.append((step.name, 1.0))
        for name, value in dataclasses.asdict(step).items():
            at = f"{step.name} {name}"
            number = _NUMBER.search(value) if isinstance(value, str) else None
            if number:
                found.append((at, _log(float(number[0]))))
            elif isinstance(value, str):
                found.append((f"{at} {value}", 1.0))
            elif isinstance(value, int | float):
                found.append((at, _log(float(value))))
    return found


def _log(value: float) -> float:
    return float(np.sign(value) * np.log1p(abs(value)))


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
    table = features([*(t.recipe for t in trials), *untried])
    seen, rest = table[: len(trials)], table[len(trials) :]
    ends = (float(np.log(worst[0])), worst[1])
    # what loses far too much loses too much: how far would only bend the rest
    drops = np.array([min(t.drop, 2 * worst[1]) for t in trials])
    known = np.stack([np.log([t.nbytes for t in trials]), drops], axis=1)
    likely = [np.log([likely_share(r) for r in rs]) for rs in ([t.recipe for t in trials], untried)]
    rng = np.random.default_rng(seed)
    draws = np.stack(
        [
            after + mean + spread * rng.standard_normal((DRAWS, len(untried)))
            for after, (mean, spread) in (
                (likely[1], _judged(seen, known[:, 0] - likely[0], rest)),
                (0.0, _judged(seen, known[:, 1], rest)),
            )
        ],
        axis=-1,
    )
    worth = improvement(draws, known, ends).mean(axis=0)
    if hurried:
        worth = worth / expected_seconds(trials, untried)
    return [untried[i] for i in np.argsort(-worth, kind="stable")]


def expected_seconds(trials: Sequence[Trial], untried: Sequence[Recipe]) -> Doubles:
    """How long each untried recipe would take, f64 (n,)."""
    table = features([*(t.recipe for t in trials), *untried])
    took = np.log([max(t.seconds, 0.01) for t in trials])
    return np.exp(_judged(table[: len(trials)], took, table[len(trials) :])[0])


def _judged(seen: Doubles, values: Doubles, rest: Doubles) -> tuple[Doubles, Doubles]:
    """Mean and deviation at `rest`, by the kernel under which `values` at `seen` are likeliest."""
    from sklearn.gaussian_process import GaussianProcessRegressor

    fitted = [
        GaussianProcessRegressor(kernel, optimizer=None, normalize_y=True).fit(seen, values)
        for kernel in _kernels()
    ]
    best = max(fitted, key=lambda one: one.log_marginal_likelihood_value_)
    mean, spread = best.predict(rest, return_std=True)
    return mean, spread


def _kernels() -> list[Any]:
    """Few kernels instead of an optimiser, which finds nothing sure in a dozen values."""
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel, DotProduct, WhiteKernel

    return [
        ConstantKernel(linear) * DotProduct(0.1) + ConstantKernel(bent) * RBF(1.0) + WhiteKernel(n)
        for linear in (0.5, 2.0)
        for bent in (0.1, 0.5)
        for n in (0.01, 0.1)
    ]
