import dataclasses
import itertools
import math
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.errors import DataError, RecipeError
from toolkit.explainers.players import features, players_for
from toolkit.explainers.shapley import Shapley
from toolkit.glossary import Data, Words


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


def test_more_players_than_a_float_can_count_coalitions_of():
    # 2^1024 is beyond a float
    x = np.random.default_rng(0).normal(size=(6, 1030)).astype(np.float32)
    data = Data(x, np.arange(6) % 2, ("n", "y"), tuple(f"c{i}" for i in range(1030)))

    def ask(rows):
        p = 1 / (1 + np.exp(-rows[:, :40].sum(axis=1, dtype=np.float64) / 8))
        return np.stack([1 - p, p], axis=1).astype(np.float32)

    ask.name, ask.classes, ask.shape = "wide", 2, (1030,)
    told = Shapley(samples=2200)(ask, features(x[0], data, rows=2), 1)
    assert np.isfinite(told.stderr).all()
    assert told.values.sum() == pytest.approx(told.prediction - told.base, abs=1e-6)


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
    found = Shapley(samples=400)(model, features(data.x[0], data), 1, seed=seed)
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


def test_it_converts_to_shaps_own_type_with_all_that_its_plots_show():
    import shap

    data = table(3)
    model = Probability(3, lambda x: 0.5 + 0.01 * x.sum(1))
    found = Shapley()(model, players_for(data.x[0], data), 1)
    theirs = found.to_shap()
    assert np.array_equal(theirs.values, found.values)
    assert theirs.base_values == found.base
    assert theirs.feature_names == ["c0", "c1", "c2"]
    assert np.allclose(theirs.data, data.x[0])
    several = shap.Explanation(
        np.stack([theirs.values] * 2),
        np.full(2, theirs.base_values),
        np.stack([theirs.data] * 2),
        feature_names=theirs.feature_names,
    )
    assert several[0].base_values == theirs.base_values


def test_a_frame_has_a_line_a_player_and_its_interval():
    data = table(20)
    model = Probability(20, lambda x: 1 / (1 + np.exp(-np.sin(x).sum(1))))
    found = Shapley(samples=200)(model, features(data.x[0], data), 1, row=7)
    frame = found.to_frame()
    assert list(frame["player"]) == [f"c{i}" for i in range(20)]
    assert np.allclose(frame["value"], found.values)
    assert np.allclose(frame["high"] - frame["value"], 1.959964 * found.stderr)
    assert set(frame["row"]) == {7}


def curved(p, seed):
    """A net of one hidden layer, with products of many columns in it."""
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(p, 10)) * 1.5 / p**0.5, rng.normal(size=10)
    return Probability(p, lambda x: 1 / (1 + np.exp(-(np.tanh(x @ a) * b).sum(axis=1))))


def in_patches():
    x = np.random.default_rng(5).uniform(0, 1, (20, 12, 12, 1)).astype(np.float32)
    data = Data(x, np.arange(20) % 2, ("no", "yes"), kind="image")
    net = curved(144, 3)
    net.shape = (12, 12, 1)
    inner = net.function
    net.function = lambda x: inner(6 * x.reshape(len(x), -1))
    return net, [players_for(row, data) for row in x[:6]], 500


def continuous():
    data = table(13, n=12, seed=4)
    return curved(13, 1), [features(row, data) for row in data.x[:6]], 1500


def of_zeros_and_ones():
    codes = np.random.default_rng(6).integers(0, 4, (40, 8))
    x = np.eye(4, dtype=np.float32)[codes].reshape(40, 32)
    data = Data(x, np.arange(40) % 2, ("no", "yes"))
    return curved(32, 2), [features(row, data) for row in x[:6]], 6000


@pytest.mark.parametrize("case", [in_patches, continuous, of_zeros_and_ones])
def test_intervals_hold_the_exact_value_95_times_in_100(case):
    """Over players, rows and seeds: 93 to 97 of 100, which is what is promised."""
    model, several, evaluations = case()
    held = total = 0
    for players in several:
        exact = Shapley(evaluations=10**7)(model, players, 1)
        assert exact.facts["exact"]
        for seed in range(12):
            found = Shapley(evaluations=evaluations)(model, players, 1, seed=seed)
            assert not found.facts["exact"]
            assert found.evaluations <= evaluations
            low, high = found.interval()
            held += int(((low <= exact.values) & (exact.values <= high)).sum())
            total += len(players)
    assert 0.93 <= held / total <= 0.97


def test_asking_stops_when_the_errors_are_within_the_tolerance():
    model, several, _ = continuous()
    rough, fine, whole = (
        Shapley(tolerance=t, evaluations=60_000)(model, several[0], 1) for t in (0.01, 0.001, None)
    )
    assert rough.evaluations < fine.evaluations < whole.evaluations <= 60_000
    assert 0 < rough.stderr.max() <= 0.01
    assert fine.stderr.max() <= 0.001
    assert rough.converged
    assert fine.converged


def test_a_bound_on_evaluations_holds_and_what_has_not_converged_says_so():
    model, several, _ = continuous()
    found = Shapley(tolerance=1e-7, evaluations=20_000)(model, several[0], 1)
    assert found.evaluations <= 20_000
    assert not found.converged
    with pytest.raises(RecipeError, match=r"13 players and 12 background rows; .*at least 717"):
        Shapley(evaluations=100)(model, several[0], 1)


def test_several_rows_with_a_tolerance_are_what_each_is_alone():
    model, several, _ = continuous()
    first = several[0]
    shared = [dataclasses.replace(first, x=one.x) for one in several]
    settings = Shapley(tolerance=0.004, evaluations=60_000)
    together = settings.several(model, dict(enumerate(shared)), [1, 0, 1, 0, 1, 1])
    assert len({one.evaluations for one in together}) > 1
    for row, one in enumerate(together):
        alone = settings(model, several[row], one.target, row=row)
        assert alone.values.tobytes() == one.values.tobytes()
        assert alone.stderr.tobytes() == one.stderr.tobytes()
        assert alone.evaluations == one.evaluations


def test_a_constant_column_counts_for_nothing():
    data = table(5)
    data.x[:, 2] = 4
    model = Probability(5, lambda x: 1 / (1 + np.exp(-x.sum(1))))
    found = Shapley()(model, features(data.x[0], data), 1)
    assert found.values[2] == 0
    assert found.stderr[2] == 0


def test_a_single_background_row():
    data = table(6)
    one = data.rows(slice(3, 4))
    model = Probability(6, lambda x: 1 / (1 + np.exp(-x.sum(1) - x[:, 0] * x[:, 1])))
    players = features(data.x[0], one)
    found = Shapley()(model, players, 1)
    assert np.allclose(found.values, brute(players, model), atol=1e-6)
    assert found.evaluations == 2**6


def test_more_players_than_rows():
    data = table(150, n=3)
    model = Probability(150, lambda x: 1 / (1 + np.exp(-0.3 * x.sum(1))))
    found = Shapley(samples=100)(model, features(data.x[0], data), 1)
    assert found.values.sum() == pytest.approx(found.prediction - found.base, abs=1e-9)
    assert np.isfinite(found.stderr).all()


def test_no_rows_are_no_attributions():
    assert Shapley().several(Probability(2, lambda x: x[:, 0]), {}, []) == ()


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_picture_of_one_colour(value):
    x = np.full((4, 12, 12, 1), value, np.float32)
    data = Data(x, np.arange(4) % 2, ("no", "yes"), kind="image")
    model = in_patches()[0]
    found = Shapley()(model, players_for(x[0], data), 1)
    assert (found.values == 0).all()
    other = dataclasses.replace(data, x=1 - x)
    assert np.abs(Shapley()(model, players_for(x[0], other), 1).values).max() > 0.001


def test_an_empty_text():
    words = Words(("", "?", "good", "bad"), 4)
    x = np.zeros((3, 4), np.float32)
    data = Data(x, np.arange(3) % 2, ("no", "yes"), kind="text", words=words)
    found = Shapley()(Probability(4, lambda x: 0.5 + 0 * x[:, 0]), players_for(x[0], data), 1)
    assert found.values.tolist() == [0.0]


def test_a_model_that_answers_nan_is_refused():
    data = table(4)
    model = Probability(4, lambda x: np.where(x[:, 0] > data.x[0, 0], np.nan, 0.5))
    with pytest.raises(DataError, match="NaN"):
        Shapley()(model, features(data.x[0], data), 1)


def test_threads_change_no_bit(frontier, digits):
    """Of onnxruntime and of the algebra: fresh interpreters with one and two threads."""
    code = f"""
from pathlib import Path
from toolkit.data import load
from toolkit.explainers.players import grid
from toolkit.explainers.shapley import Shapley
from toolkit.predict import OnnxPredictor
import hashlib, sys
threads = int(sys.argv[1])
model = OnnxPredictor(Path({str(frontier.base.path)!r}), "base", threads)
digits = load("digits")
found = hashlib.sha256()
for samples in (400, 3000):
    players = grid(digits.test.x[0], digits.fit.train)
    one = Shapley(samples=samples)(model, players, 3)
    found.update(one.values.tobytes() + one.stderr.tobytes())
print(found.hexdigest())
"""
    said = [
        subprocess.run(
            [sys.executable, "-c", code, threads],
            env={**os.environ, "OPENBLAS_NUM_THREADS": threads, "OMP_NUM_THREADS": threads},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for threads in ("1", "2")
    ]
    assert said[0] == said[1]
