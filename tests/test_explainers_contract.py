"""What every explainer refuses, counts and leaves alone; a new one is found here by itself."""

import warnings

import numpy as np
import pytest

from toolkit.errors import DataError, MatchError
from toolkit.explainers import EXPLAINERS, players_for
from toolkit.explainers.players import features
from toolkit.glossary import Data

# deep looks into a Keras net, which these are not: tests/test_shaps.py
METHODS = sorted(set(EXPLAINERS) - {"deep"})


def table(p, n=40):
    x = np.random.default_rng(p).normal(size=(n, p)).astype(np.float32)
    return Data(x, np.arange(n) % 2, ("no", "yes"), tuple(f"column {i}" for i in range(p)))


class Curved:
    """A sigmoid of a weighted sum and one product, which counts the rows it is asked for."""

    name, classes = "curved", 2

    def __init__(self, weights):
        self.weights, self.shape, self.rows = np.asarray(weights), (len(weights),), 0

    def __call__(self, x):
        self.rows += len(x)
        z = np.sin(x.astype(np.float64)) @ self.weights
        p = 1 / (1 + np.exp(-z))
        return np.stack([1 - p, p], axis=1).astype(np.float32)

    def gradients(self, x, target):
        p = self(x)[:, [target]]
        found = (1 if target else -1) * p * (1 - p) * np.cos(x.reshape(len(x), -1)) * self.weights
        return found.astype(np.float32)


@pytest.fixture(params=METHODS)
def explainer(request):
    return EXPLAINERS[request.param](samples=400)


def test_a_row_that_is_not_finite_is_refused(explainer):
    data = table(4)
    for value in (np.nan, np.inf):
        row = data.x[0].copy()
        row[1] = value
        with pytest.raises(DataError, match="NaN"):
            explainer(Curved(np.ones(4)), features(row, data), 1)


def test_a_row_without_an_answer_has_no_reasons(explainer):
    """Also where it is all that stands for what is hidden, so that nothing plays."""

    class Nothing(Curved):
        def __call__(self, x):
            return np.full((len(x), 2), np.nan, np.float32)

    data = table(4).rows(slice(1))
    with pytest.raises(DataError, match="NaN"):
        explainer(Nothing(np.ones(4)), features(data.x[0], data), 1)


@pytest.mark.parametrize("wrong", [3, 5])
def test_a_row_of_another_shape_is_refused(explainer, wrong):
    data = table(4)
    with pytest.raises(MatchError, match="shape"):
        explainer(Curved(np.ones(wrong)), features(data.x[0], data), 1)


def test_a_flat_model_of_pictures_is_asked_in_its_own_shape(explainer):
    x = np.random.default_rng(0).uniform(0, 1, (6, 4, 4, 1)).astype(np.float32)
    pictures = Data(x, np.arange(6) % 2, ("no", "yes"), kind="image")
    found = explainer(Curved(np.linspace(-1, 1, 16)), players_for(x[0], pictures), 1)
    assert found.values.shape == (16,)
    assert np.abs(found.values).max() > 0.01


@pytest.mark.parametrize("p", [4, 14])
def test_every_row_asked_is_counted(explainer, p):
    data, model = table(p), Curved(np.ones(p))
    found = explainer(model, players_for(data.x[0], data), 1)
    assert found.evaluations == model.rows


@pytest.mark.parametrize("seed", [4_294_968, 2**31, 2**40])
def test_any_seed_from_zero_up(explainer, seed):
    data = table(14)
    one, other = (
        explainer(Curved(np.ones(14)), players_for(data.x[0], data), 1, seed=s)
        for s in (seed, seed + 1)
    )
    # no chance decides what partition asks
    alike = one.values.tobytes() == other.values.tobytes()
    assert alike == (explainer.method == "partition")


@pytest.mark.parametrize("p", [1, 12, 13, 120])
def test_few_samples_for_many_players_are_quiet(explainer, p):
    """shap warns of a singular regression when it is given too few."""
    data = table(p)
    model = Curved(np.linspace(-1, 1, p) / p**0.5)
    players = players_for(data.x[0], data)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = type(explainer)(samples=160)(model, players, 1)
    assert np.isfinite(found.values).all()
    assert np.abs(found.values).max() < 1


def test_exact_values_follow_their_columns():
    """Columns in another order give the same values in that order."""
    data, order = table(7), np.random.default_rng(1).permutation(7)
    weights = np.linspace(-1, 1, 7)
    shuffled = Data(data.x[:, order], data.y, data.classes)
    one = EXPLAINERS["shapley"]()(Curved(weights), features(data.x[0], data), 1)
    two = EXPLAINERS["shapley"]()(Curved(weights[order]), features(shuffled.x[0], shuffled), 1)
    assert np.allclose(two.values, one.values[order], atol=1e-7)


@pytest.mark.parametrize("method", METHODS)
def test_random_state_is_restored_after_a_failure(method):
    class Broken(Curved):
        def __call__(self, x):
            if len(x) > 100:
                raise ArithmeticError("no answer")
            return super().__call__(x)

    data = table(14)
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    with pytest.raises(ArithmeticError):
        EXPLAINERS[method]()(Broken(np.ones(14)), players_for(data.x[0], data), 1)
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002
