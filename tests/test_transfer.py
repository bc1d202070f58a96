"""Reasons carried over: a ranking of one model put to the test on another."""

import numpy as np
import pytest

from tests.test_fidelity import made
from toolkit.explainers import Players
from toolkit.fidelity.transfer import _ratio, gain, transfer


class Linear:
    """p(class 1) = 0.5 + w x, with x of zeros and ones."""

    classes, shape = 2, (4,)

    def __init__(self, name, weights):
        self.name, self.weights = name, np.float32(weights)

    def __call__(self, x):
        p = 0.5 + np.asarray(x, np.float32) @ self.weights
        return np.stack([1 - p, p], axis=1)


ROW = Players(tuple("abcd"), np.ones(4, np.float32), np.arange(4), np.zeros((1, 4), np.float32))
BASE = [0.2, 0.1, 0.04, 0.02]


def of(name, weights):
    return [made(weights, row, name) for row in range(6)]


def test_the_gain_by_hand():
    base = Linear("base", BASE)
    # joining: .5 .7 .8 .84 .86, leaving: .86 .66 .56 .52 .5, each by trapezoids
    joining = (0.25 + 0.7 + 0.8 + 0.84 + 0.43) / 4
    leaving = (0.43 + 0.66 + 0.56 + 0.52 + 0.25) / 4
    assert gain(base, ROW, 1, np.array(BASE)) == pytest.approx(joining - leaving)
    # an order and its reverse are each other's opposite for an additive model
    assert gain(base, ROW, 1, -np.array(BASE)) == pytest.approx(leaving - joining)


def test_a_swap_among_equals_costs_nothing_and_another_ranking_does():
    base, same = Linear("base", BASE), Linear("same", [0.19, 0.11, 0.03, 0.031])
    unlike = Linear("unlike", BASE[::-1])
    players = dict.fromkeys(range(6), ROW)
    found = {}
    for other in (same, unlike):
        both = [*of("base", BASE), *of(other.name, other.weights)]
        for m in transfer(base, other, both, players):
            found[m.subject, m.name] = m
    # the gain of an order of an additive model is (3, 1, -1, -3) times its weights in that order
    kept = (0.57 + 0.11 - 0.03 - 0.093) / (0.57 + 0.11 - 0.031 - 0.09)
    assert found["same", "reason_transfer shapley"].value == pytest.approx(kept, abs=1e-5)
    swapped = (0.6 + 0.1 - 0.02 - 0.12) / (0.6 + 0.1 - 0.04 - 0.06)
    assert found["same", "reason_transfer_back shapley"].value == pytest.approx(swapped, abs=1e-5)
    assert found["unlike", "reason_transfer shapley"].value == pytest.approx(-1, abs=1e-5)
    assert found["unlike", "reason_transfer shapley"].n == 6


def test_a_model_without_reasons_has_none_to_carry():
    base, flat = Linear("base", BASE), Linear("flat", [0, 0, 0, 0])
    both = [*of("base", BASE), *of("flat", [0, 0, 0, 0])]
    found = transfer(base, flat, both, dict.fromkeys(range(6), ROW))
    assert [m.name for m in found] == ["reason_transfer_back shapley"]


def test_the_interval_of_what_carries_over_holds():
    """Of eight rows with shares that crowd near 1: percentiles of resamples hold 84 of 100."""
    rng = np.random.default_rng(0)
    inside, draws = 0, 400
    for seed in range(draws):
        own = rng.uniform(0.2, 0.6, 8)
        kept = 1 - rng.exponential(0.1, 8)
        (found,) = _ratio("small", "reason_transfer shapley", np.stack([own * kept, own], 1), seed)
        inside += found.low <= 0.9 <= found.high
    # 400 draws tell 84 to within 3.6
    assert inside / draws > 0.88


def test_gains_that_are_rounding_tell_nothing():
    gains = 1e-7 * np.ones((8, 2))
    assert _ratio("small", "reason_transfer shapley", gains, 0) == []
