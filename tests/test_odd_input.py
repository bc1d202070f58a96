"""Odd rows, backgrounds and models: each gets a right answer or a clear word, by every method."""

import json
from dataclasses import replace

import numpy as np
import pytest

from toolkit.errors import DataError, MatchError
from toolkit.explainers import EXPLAINERS
from toolkit.explainers.choices import Choice, chosen
from toolkit.explanation import explain
from toolkit.glossary import Data, Words

# deep looks into a Keras net: tests/test_shaps.py
METHODS = sorted(set(EXPLAINERS) - {"deep"})
RNG = np.random.default_rng(0)


class Line:
    """p(yes) = 0.5 + x.w, whose value of a column is w times its distance from the background."""

    name, classes = "line", 2

    def __init__(self, shape, weights=None):
        self.shape, size = shape, int(np.prod(shape))
        self.w = np.linspace(-1, 1, size) / (10 * size) if weights is None else weights

    def __call__(self, x):
        p = 0.5 + x.reshape(len(x), -1).astype(np.float64) @ self.w
        return np.stack([1 - p, p], axis=1)

    def gradients(self, x, target):
        found = np.broadcast_to((2 * target - 1) * self.w, (len(x), self.w.size))
        return found.reshape(x.shape).astype(np.float32)


def table(n, p):
    x = RNG.normal(size=(n, p)).astype(np.float32)
    return Data(x, np.arange(n) % 2, ("no", "yes"))


def by(method, data, net, row=0, choice=None):
    players = chosen(data.x[row], data, choice or Choice())
    found = EXPLAINERS[method](samples=2000)(net, players, 1)
    # a Run is JSON without NaN
    json.dumps({**found.facts, "values": found.values.tolist()}, allow_nan=False)
    assert np.isfinite(found.stderr).all()
    return found


@pytest.mark.parametrize("method", METHODS)
def test_a_column_that_never_changes_is_no_reason(method):
    data = table(30, 5)
    data.x[:, 2] = 4
    found = by(method, data, Line((5,), np.array([0.1, -0.1, 0.9, 0.05, 0.02])))
    # lime draws numbers of a normal distribution whose width is nothing
    assert abs(found.values[2]) < 1e-9
    assert np.abs(found.values).max() > 1e-3


@pytest.mark.parametrize("method", sorted(set(METHODS) - {"lime"}))
def test_a_single_background_row(method):
    data = table(30, 5)
    one = data.rows(slice(1))
    net = Line((5,))
    players = chosen(data.x[7], one, Choice())
    found = EXPLAINERS[method](samples=2000)(net, players, 1)
    assert np.allclose(found.values, net.w * (data.x[7] - data.x[0]), atol=1e-6)


def test_lime_of_a_single_background_row_has_no_reasons():
    """From one row it learns no distribution: every sample is that row."""
    data = table(30, 5).rows(slice(1))
    assert not by("lime", data, Line((5,))).values.any()


@pytest.mark.parametrize("method", METHODS)
def test_more_columns_than_background_rows(method):
    data = table(3, 40)
    found = by(method, data, Line((40,)))
    if method != "lime":  # which looks at a normal distribution around three values
        assert np.allclose(
            found.values, Line((40,)).w * (data.x[0] - data.x.mean(axis=0)), atol=1e-5
        )


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("players", ["grid", "superpixels"])
def test_a_black_picture(method, players):
    x = np.zeros((4, 8, 8, 1), np.float32)
    black = Data(x, np.arange(4) % 2, ("no", "yes"), kind="image")
    found = by(method, black, Line((8, 8, 1)), choice=Choice(players=players))
    assert 12 <= len(found.values) <= 16
    # nothing differs from what hides it
    assert np.abs(found.values).max() < 1e-9
    grey = replace(black, x=x + np.float32([0, 0.5, 0.5, 0.5])[:, None, None, None])
    found = by(method, grey, Line((8, 8, 1)), choice=Choice(players=players))
    assert np.abs(found.values).max() > 1e-4


@pytest.mark.parametrize("method", ["lime", "shapley", "kernel", "partition", "permutation"])
def test_an_empty_text(method):
    vocabulary = Words(("", "[UNK]", "good"), 4)
    x = np.float32([[0, 0, 0, 0], [2, 2, 0, 0]])
    data = Data(x, np.arange(2), ("no", "yes"), kind="text", words=vocabulary)
    found = by(method, data, Line((4,)))
    assert found.values.tolist() == [0]
    assert found.base == found.prediction


@pytest.mark.parametrize("method", METHODS)
def test_a_model_that_always_says_the_same(method):
    data = table(30, 5)
    found = by(method, data, Line((5,), np.zeros(5)))
    assert np.abs(found.values).max() < 1e-9
    assert found.base == pytest.approx(0.5)
    assert found.converged


@pytest.mark.parametrize("method", METHODS)
def test_what_cannot_be_explained_is_refused_in_a_line(method):
    data, net, explainer = table(30, 5), Line((5,)), EXPLAINERS[method]()
    with pytest.raises(MatchError, match="class from 0 to 1"):
        explainer(net, chosen(data.x[0], data, Choice()), 2)
    with pytest.raises(DataError, match="shape"):
        explain([net], explainer, data, [0], background=table(30, 4))
    with pytest.raises(DataError, match="at least one row"):
        explain([net], explainer, data, [0], background=data.rows(slice(0)))
    data.x[3, 1] = np.nan
    with pytest.raises(DataError, match="NaN"):
        explain([net], explainer, data, [3], background=data.rows(slice(2)))
    with pytest.raises(DataError, match="NaN"):
        explain([net], explainer, data, [0], background=data)


def test_no_rows_have_no_explanations():
    data, net = table(30, 5), Line((5,))
    assert explain([net], EXPLAINERS["shapley"](), data, [], background=data) == ()
