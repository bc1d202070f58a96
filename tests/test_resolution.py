"""Probabilities in steps: found, and answered by logits where the graph has them."""

import numpy as np
import pytest

from toolkit.fidelity.resolution import FromLogits, resolved
from toolkit.models.heads import softmax


class Stepped:
    """Ten classes whose probabilities are rounded to 1/256, as a softmax in integers gives them."""

    name, classes, shape = "stepped", 10, (10,)

    def __call__(self, x):
        return np.round(softmax(x) * 256).astype(np.float32) / 256


class Finer(Stepped):
    name = "finer"

    def logits(self, x):
        return x


X = np.random.default_rng(0).normal(size=(40, 10)).astype(np.float32)


def test_a_float_softmax_is_left_alone(mlp, digits):
    from toolkit.predict import predictor

    net = predictor(mlp, "net")
    assert resolved(net, digits.test.x[:50]) == (net, ())


def test_steps_are_told():
    found, (said,) = resolved(Stepped(), X)
    assert isinstance(found, Stepped)
    assert (said.code, said.severity) == ("P2", "warning")
    assert "below 0.004" in said.sentence


def test_logits_are_taken_where_there_are_some():
    found, (said,) = resolved(Finer(), X)
    assert isinstance(found, FromLogits)
    assert said.code == "P1"
    assert found(X) == pytest.approx(softmax(X), abs=1e-6)
    assert found(X) != pytest.approx(Finer()(X), abs=1e-4)
