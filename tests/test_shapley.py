import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.explainers.players import features, players_for
from toolkit.explainers.shapley import Shapley
from toolkit.glossary import Data


def table(p, n=9, seed=0):
    x = np.random.default_rng(seed).normal(size=(n, p)).astype(np.float32)
    return Data(x, np.arange(n) % 2, ("no", "yes"), tuple(f"c{i}" for i in range(p)))


class Probability:
    """A two-class model from any function of the rows to 0..1."""

    def __init__(self, p, function):
        self.name, self.classes, self.shape, self.function = "f", 2, (p,), function

    def __call__(self, x):
        yes = self.function(x.astype(np.float64))
        return np.stack([1 - yes, yes], axis=1).astype(np.float32)


def brute(players, model):
    """Shapley values by their definition: every order of arrival, one after the other."""
    p = len(players)

    def worth(present):
        mask = np.isin(np.arange(p), list(present))
        rows = [np.where(mask, players.x, b) for b in players.background]
        return float(model(np.float32(rows))[:, 1].astype(np.float64).mean())

    values = np.zeros(p)
    for order in itertools.permutations(range(p)):
        for place, player in enumerate(order):
            values[player] += worth(order[: place + 1]) - worth(order[:place])
    return values / math.factorial(p)


@pytest.mark.parametrize("p", [1, 2, 3, 5])
def test_exact_values_are_those_of_the_definition(p):
    data = table(p)
    model = Probability(p, lambda x: 1 / (1 + np.exp(-x.sum(1) - x[:, 0] * x[:, -1])))
    players = features(data.x[0], data)
    found = Shapley()(model, players, 1)
    assert found.facts["exact"]
    assert (found.stderr == 0).all()
    assert np.allclose(found.values, brute(players, model), atol=1e-6)


def test_a_linear_model_has_a_closed_form():
    """phi = w * (x - mean of the background)."""
    data = table(20, n=30)
    w = np.linspace(-0.01, 0.01, 20)
    model = Probability(20, lambda x: 0.5 + x @ w)
    found = Shapley(samples=2000)(model, features(data.x[3], data), 1)
    assert not found.facts["exact"]
    assert np.allclose(found.values, w * (data.x[3] - data.x.mean(axis=0)), atol=1e-6)


@settings(max_examples=15)
@given(st.integers(0, 1000), st.integers(2, 16))
def test_values_sum_to_the_prediction_less_the_base(seed, p):
    data = table(p, seed=seed)
    w = np.random.default_rng(seed).normal(size=p)
    model = Probability(p, lambda x: 1 / (1 + np.exp(-np.sin(x) @ w)))
    found = Shapley(samples=400, repeats=2)(model, features(data.x[0], data), 1, seed=seed)
    assert found.values.sum() == pytest.approx(found.prediction - found.base, abs=1e-6)


@settings(max_examples=10)
@given(st.integers(0, 1000))
def test_dummy_and_symmetric_players(seed):
    """A column that is not read gets nothing; two that do the same get the same."""
    data = table(6, seed=seed)
    data.x[:, 1] = data.x[:, 0]
    model = Probability(6, lambda x: 1 / (1 + np.exp(-x[:, 0] - x[:, 1] - x[:, 2] * x[:, 3])))
    found = Shapley()(model, features(data.x[0], data), 1)
    assert np.abs(found.values[4:]).max() < 1e-7
    assert found.values[0] == pytest.approx(found.values[1], abs=1e-7)


def test_no_player_is_dropped():
    """shap keeps ten features by default; thirty that count equally must all stay."""
    data = table(30)
    model = Probability(30, lambda x: 0.5 + 0.01 * x.sum(1))
    found = Shapley(samples=4000)(model, features(data.x[0], data), 1)
    assert (np.abs(found.values) > 1e-6).sum() == 30


def test_it_converts_to_shaps_own_type():
    data = table(3)
    model = Probability(3, lambda x: 0.5 + 0.01 * x.sum(1))
    found = Shapley()(model, players_for(data.x[0], data), 1)
    theirs = found.to_shap()
    assert np.array_equal(theirs.values, found.values)
    assert theirs.base_values == found.base
