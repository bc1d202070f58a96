import numpy as np

from toolkit.explainers.lime import Lime
from toolkit.explainers.players import features, grid
from toolkit.glossary import Data

RNG = np.random.default_rng(0)


class Linear:
    def __init__(self, weights, shape):
        self.name, self.classes, self.shape, self.weights = "linear", 2, shape, weights

    def __call__(self, x):
        yes = 0.5 + x.reshape(len(x), -1).astype(np.float64) @ self.weights
        return np.stack([1 - yes, yes], axis=1).astype(np.float32)


def test_a_linear_table_model_comes_back():
    """Weights times the distance from the mean, which are its Shapley values as well."""
    x = RNG.normal(2, 3, (60, 6)).astype(np.float32)
    data = Data(x, np.arange(60) % 2, ("no", "yes"), tuple("abcdef"))
    weights = np.array([0.01, -0.02, 0.0, 0.005, 0.0, 0.03])
    found = Lime(samples=4000)(Linear(weights, (6,)), features(x[0], data), 1)
    expected = weights * (x[0] - x.mean(axis=0))
    # ridge regression with penalty 1 on a thousand samples shrinks by less than a hundredth
    assert np.allclose(found.values, expected, atol=0.02 * np.abs(expected).max())
    assert found.facts["r2"] > 0.99


def test_a_linear_picture_model_comes_back():
    x = RNG.uniform(0, 1, (10, 8, 8, 1)).astype(np.float32)
    data = Data(x, np.arange(10) % 2, ("no", "yes"), kind="image")
    weights = RNG.normal(size=64) / 500
    players = grid(x[0], data)
    found = Lime(samples=4000)(Linear(weights, (8, 8, 1)), players, 1)
    moved = (x[0] - x.mean(axis=0)).reshape(-1) * weights
    expected = np.bincount(players.segments.reshape(-1), moved)
    assert np.allclose(found.values, expected, atol=0.02 * np.abs(expected).max() + 1e-4)


def test_a_column_with_one_common_value_is_not_fed_as_zero():
    """lime 0.2.0.1 cuts columns into bins and feeds 0 for one that holds a single value."""
    x = RNG.normal(size=(50, 3)).astype(np.float32)
    x[:, 1] = np.where(np.arange(50) < 40, 7.0, 8.0)
    data = Data(x, np.arange(50) % 2, ("no", "yes"), ("a", "b", "c"))
    fed = []

    class Watching(Linear):
        def __call__(self, rows):
            fed.append(rows[:, 1].copy())
            return super().__call__(rows)

    Lime(samples=400)(Watching(np.array([0.01, 0.01, 0.01]), (3,)), features(x[0], data), 1)
    values = np.concatenate(fed)
    assert (values != 0).all()
    assert abs(np.median(values) - 7.2) < 0.2


def test_it_says_nothing(capfd):
    x = RNG.uniform(0, 1, (10, 8, 8, 1)).astype(np.float32)
    data = Data(x, np.arange(10) % 2, ("no", "yes"), kind="image")
    Lime(samples=200)(Linear(np.zeros(64), (8, 8, 1)), grid(x[0], data), 1)
    said = capfd.readouterr()
    assert said.out == said.err == ""
