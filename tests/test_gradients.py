"""Gradients beside closed forms, finite differences, and sums that must add up."""

from types import SimpleNamespace

import numpy as np
import pytest

from toolkit.alignment import Mapped
from toolkit.errors import ModelError, RecipeError
from toolkit.explainers import EXPLAINERS, players_for
from toolkit.explainers.gradients import Expected, Integrated, points
from toolkit.fidelity.difference import Difference, Remembered
from toolkit.fidelity.resolution import FromLogits
from toolkit.glossary import Data
from toolkit.models.keras_predictor import KerasPredictor
from toolkit.predict import OnnxPredictor

RNG = np.random.default_rng(0)
TABLE = Data(
    RNG.normal(size=(40, 5)).astype(np.float32), np.arange(40) % 2, ("a", "b"), tuple("uvwxy")
)


class Quadratic:
    """p(1) = 0.5 + x.A.x + c.x, whose integrals along a line can be written down."""

    name, classes, shape = "quadratic", 2, (5,)

    def __init__(self):
        half = np.random.default_rng(1).normal(size=(5, 5)) / 100
        self.a, self.c = half + half.T, np.linspace(-0.05, 0.05, 5)

    def __call__(self, x):
        x = x.astype(np.float64)
        p = 0.5 + np.einsum("ni,ij,nj->n", x, self.a, x) + x @ self.c
        return np.stack([1 - p, p], axis=1)

    def gradients(self, x, target):
        return (2 * target - 1) * (2 * x.astype(np.float64) @ self.a + self.c)

    def by_hand(self, x, start):
        """(x - start) times the gradient in the middle, which is its mean along the line."""
        x, start = x.astype(np.float64), start.astype(np.float64)
        return (x - start) * ((x + start) @ self.a + self.c)


def test_integrated_gradients_of_a_quadratic_are_those_by_hand():
    """A gradient moves evenly along the line; a point in each of n parts leaves n^-1.5 of that."""
    net, players = Quadratic(), players_for(TABLE.x[0], TABLE)
    found = Integrated(samples=4000)(net, players, 1)
    mean = TABLE.x.mean(axis=0, dtype=np.float64).astype(np.float32)
    by_hand = net.by_hand(TABLE.x[0], mean)
    moves = np.abs((TABLE.x[0] - mean) * 2 * ((TABLE.x[0] - mean) @ net.a))
    # four groups of 1,000 points: the standard error is moves / (12^0.5 1000^1.5 4^0.5)
    assert (np.abs(found.values - by_hand) < 5 * moves / (12 * 4) ** 0.5 / 1000**1.5 + 1e-8).all()
    assert found.facts["gap"] < 1e-5
    assert found.facts["samples"] == 4000
    assert found.base == pytest.approx(net(mean[None])[0, 1])
    other = Integrated(samples=4000)(net, players, 0)
    assert np.allclose(other.values, -found.values, atol=1e-9)


def test_points_are_shared_out_evenly():
    line, far, weight = points(10, 47, np.random.default_rng(0))
    assert np.allclose(weight, 1 / 40)
    assert np.bincount(line).tolist() == [4] * 10
    # one in each of forty parts of the way, and of each line one in each of four
    assert np.sort((40 * far).astype(int)).tolist() == list(range(40))
    for one in range(10):
        assert sorted((4 * far[line == one]).astype(int)) == [0, 1, 2, 3]
    few, there, _ = points(10, 3, np.random.default_rng(0))
    assert len(set(few.tolist())) == len(there) == 3


class Bent:
    """p(1) = 0.5 + max(x - c, 0) / 4: the slope jumps, as that of every ReLU net does."""

    name, classes, shape = "bent", 2, (1,)

    def __init__(self, at):
        self.at = at

    def __call__(self, x):
        p = 0.5 + np.maximum(x[:, 0].astype(np.float64) - self.at, 0) / 4
        return np.stack([1 - p, p], axis=1)

    def gradients(self, x, target):
        return (2 * target - 1) * np.where(x.astype(np.float64) > self.at, 0.25, 0.0)


@pytest.mark.parametrize("inside", [0.001, 0.02, 0.3])
def test_intervals_hold_wherever_in_a_part_the_slope_jumps(inside):
    """At the edge of a part that all groups share, none would see the jump, and all miss it."""
    parts = 256
    net = Bent((100 + inside) / parts)
    unit = Data(np.float32([[0]]), np.zeros(1, int), ("a", "b"), ("x",))
    players = players_for(np.float32([1]), unit)
    truth, held = (1 - net.at) / 4, []
    for seed in range(200):
        low, high = Integrated(samples=4 * parts)(net, players, 1, seed=seed).interval()
        held.append(low[0] <= truth <= high[0])
    # within three standard deviations of a share of 200 draws
    assert np.mean(held) > 0.95 - 3 * (0.95 * 0.05 / 200) ** 0.5


def test_intervals_of_expected_gradients_hold_the_values_by_hand():
    """95 of 100 intervals, within three standard deviations of a share of 200 draws."""
    net, players = Quadratic(), players_for(TABLE.x[0], TABLE)
    truth = np.mean([net.by_hand(TABLE.x[0], b) for b in players.background], axis=0)
    held, errors = [], []
    for seed in range(200):
        one = Expected(samples=640)(net, players, 1, seed=seed)
        low, high = one.interval()
        held.append(((low <= truth) & (truth <= high)).mean())
        errors.append(one.values - truth)
    assert abs(np.mean(held) - 0.95) < 3 * (0.95 * 0.05 / 200) ** 0.5
    # without bias: the mean of 200 is as near as their spread allows
    errors = np.array(errors)
    assert (np.abs(errors.mean(axis=0)) < 4 * errors.std(axis=0) / 200**0.5).all()
    base = net(players.background)[:, 1].mean()
    assert one.base == pytest.approx(base)


def ending(head):
    """A small smooth net that ends in softmax, one sigmoid unit, or logits."""
    import keras

    keras.utils.set_random_seed(3)
    units = 1 if head == "sigmoid" else 3
    return keras.Sequential(
        [
            keras.layers.Input((5,)),
            keras.layers.Dense(8, "tanh"),
            keras.layers.Dense(units, None if head == "logits" else head),
        ]
    )


def slopes(predict, x, target, width=2e-2):
    """Central differences, whose error is of the order of width squared."""
    steps = width * np.eye(x.shape[1], dtype=np.float32)
    return np.array(
        [(predict(row + steps) - predict(row - steps))[:, target] / (2 * width) for row in x]
    )


@pytest.mark.parametrize("head", ["softmax", "sigmoid", "logits"])
def test_gradients_are_those_of_finite_differences(head):
    net, x = KerasPredictor(ending(head), head), TABLE.x[:3]
    for target in range(net.classes):
        found = net.gradients(x, target)
        assert found.dtype == np.float32
        assert np.allclose(found, slopes(net, x, target), atol=1e-3)
        assert np.abs(found).max() > 0.01
    assert net.gradients(x[:0], 0).shape == (0, 5)
    assert np.array_equal(net.gradients(x[:, :, None], 0)[:, :, 0], net.gradients(x, 0))


def test_wrapped_models_have_the_slopes_of_what_they_answer():
    """Rescaled, its classes in another order; remembered; the difference of two."""
    net, x = KerasPredictor(ending("softmax"), "net"), TABLE.x[:2]
    mapped = Mapped(net, scale=0.5, offset=0.2, order=[2, 0, 1])
    for predict in (mapped, Remembered(mapped), Difference(net, mapped)):
        for target in (0, 2):
            assert np.allclose(
                predict.gradients(x, target), slopes(predict, x, target), atol=2e-3
            ), predict
    plain = SimpleNamespace(name="plain", classes=3, shape=(5,))
    for silent in (Mapped(plain), Remembered(plain), Difference(net, plain)):
        assert silent.gradients is None
        assert silent.contributions is None
    # beside row 1 a step of the softmax is hardly wider than the 1e-6 from which on shap divides by
    # it: a ratio of float32 differences, wrong by up to 6 %, and by more or less with each CPU
    row, rest = TABLE.x[0], TABLE.x[2:10]
    for predict in (net, mapped, Remembered(mapped), FromLogits(net), Difference(net, mapped)):
        for target in (0, 2):
            added = predict.contributions(row, rest, target).sum()
            told = predict(row[None])[0, target] - predict(rest)[:, target].mean()
            assert added == pytest.approx(told, abs=1e-5), predict


def test_values_are_summed_to_patches_and_add_up(cnn, digits):
    """Of a trained net of pictures, beside a fine sum over every pixel."""
    net, train = KerasPredictor(cnn, "cnn"), digits.fit.train
    players = players_for(digits.test.x[0], train)
    target = int(net(digits.test.x[:1]).argmax())
    found = Integrated()(net, players, target)
    start = players.background[0]
    far = ((np.arange(2000) + 0.5) / 2000).astype(np.float32)[:, None, None, None]
    line = start + far * (players.x - start)
    pixels = net.gradients(line, target).mean(axis=0, dtype=np.float64) * (players.x - start)
    patches = np.bincount(players.groups.reshape(-1), pixels.reshape(-1), len(players))
    assert (np.abs(found.values - patches) <= 5 * found.stderr + 1e-4).all()
    assert found.facts["gap"] < 0.01
    assert found.facts["hidden"] == "the mean picture"


def test_lines_of_pictures_begin_at_pictures(cnn, digits):
    net, train = KerasPredictor(cnn, "cnn"), digits.fit.train
    players = players_for(digits.test.x[0], train)
    found = Expected(samples=1600)(net, players, 3)
    assert found.facts["hidden"] == "100 rows of the background"
    assert found.base == pytest.approx(net(players.drawn)[:, 3].mean(), abs=1e-6)
    assert found.facts["gap"] <= 5 * np.sqrt((found.stderr**2).sum()) + 1e-6


@pytest.mark.parametrize("method", ["integrated", "expected"])
def test_a_model_without_gradients_is_refused_in_a_line(method, frontier, digits):
    small = OnnxPredictor(frontier.base.path, "base")
    players = players_for(digits.test.x[0], digits.fit.train)
    with pytest.raises(RecipeError, match=f"{method} of base.*give the Keras file") as told:
        EXPLAINERS[method]()(small, players, 0)
    assert "\n" not in str(told.value)


def test_indices_of_words_have_no_gradient():
    import keras

    words = keras.Sequential(
        [
            keras.layers.Input((4,)),
            keras.layers.Embedding(10, 3),
            keras.layers.GlobalAveragePooling1D(),
            keras.layers.Dense(2, "softmax"),
        ]
    )
    net = KerasPredictor(words, "words")
    with pytest.raises(ModelError, match="no gradient"):
        net.gradients(np.ones((1, 4), np.float32), 0)


def test_every_way_of_asking_in_batches_gives_the_same(monkeypatch):
    """Bounded memory changes no sum beyond rounding."""
    from toolkit.explainers import gradients

    net, players = Quadratic(), players_for(TABLE.x[0], TABLE)
    whole = Expected(samples=320)(net, players, 1)
    monkeypatch.setattr(gradients, "_VALUES", 35)
    parts = Expected(samples=320)(net, players, 1)
    assert np.allclose(whole.values, parts.values, rtol=1e-12)
