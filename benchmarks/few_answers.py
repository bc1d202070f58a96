"""How often 95 % intervals of Shapley values hold the exact ones with the fewest answers allowed.

python benchmarks/few_answers.py [--quick]

Rows and backgrounds of standard normal columns; nets of 8 ReLU units and a sigmoid with random
weights, a logistic function and one of the largest column. 40 rows, 12 seeds of the method (5 with
--quick), one background row (where games are not averaged) and
60, for 14 columns one; seed 0. Beside it the normal
interval of the same errors.
"""

import argparse
from functools import partial

import numpy as np

from toolkit.explainers.choices import Choice
from toolkit.explainers.duels import fewest, whole
from toolkit.explainers.shapley import Shapley
from toolkit.explanation import players_of
from toolkit.glossary import Data

asked = argparse.ArgumentParser()
asked.add_argument("--quick", action="store_true")
SEEDS = 5 if asked.parse_args().quick else 12
ROWS = 40


class Model:
    """A function f64 (n, d) -> f64 (n,) as a classifier of two classes."""

    def __init__(self, work, d):
        self.work, self.name, self.classes, self.shape = work, "model", 2, (d,)

    def __call__(self, x):
        p = self.work(np.asarray(x, float))
        return np.stack([1 - p, p], axis=1).astype(np.float32)


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def functions(d, rng):
    nets = [(rng.normal(size=(d, 8)) * 2 / np.sqrt(d), rng.normal(size=8)) for _ in range(3)]
    slopes = rng.normal(size=d)
    return [
        *(partial(lambda x, w, v: sigmoid(np.maximum(x @ w, 0) @ v), w=w, v=v) for w, v in nets),
        lambda x: sigmoid(x @ slopes),
        lambda x: sigmoid(2 * (x.max(axis=1) - 1)),
    ]


def data(x):
    names = tuple(f"c{i}" for i in range(x.shape[1]))
    return Data(x, np.zeros(len(x), np.int64), ("no", "yes"), names)


print("columns, background rows, pairs of all: held by Student's t, by the normal interval, %")
for d, backgrounds in ((7, (1, 60)), (8, (1, 60)), (10, (1, 60)), (14, (1,))):
    rng = np.random.default_rng(d)
    for b in backgrounds:
        held, plain, many = 0, 0, 0
        least = 2 * b * int(fewest(d, b)) + b + 1
        for work in functions(d, rng):
            rows, rest = (rng.normal(size=(n, d)).astype(np.float32) for n in (ROWS, b))
            players = players_of(data(rows), range(ROWS), data(rest), 0, Choice(rows=b))
            model, targets = Model(work, d), [1] * ROWS
            true = Shapley(evaluations=10**8).several(model, players, targets)
            for seed in range(1, SEEDS + 1):
                found = Shapley(evaluations=least).several(model, players, targets, seed=seed)
                for one, its in zip(found, true, strict=True):
                    low, high = one.interval()
                    off = np.abs(one.values - its.values)
                    held += int(((low - 1e-9 <= its.values) & (its.values <= high + 1e-9)).sum())
                    plain += int((off <= 1.96 * one.stderr + 1e-9).sum())
                    many += d
        print(
            f"{d:2}  {b:2}  {int(fewest(d, b)):3} of {int(whole(d)):6}: "
            f"{100 * held / many:.1f}  {100 * plain / many:.1f}",
            flush=True,
        )
