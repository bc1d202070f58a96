import numpy as np
import pytest

from toolkit.explainers import EXPLAINERS
from toolkit.explainers.players import features
from toolkit.faithfulness import area, curve, faithfulness
from toolkit.glossary import Data


class Weighted:
    """0.5 plus a weighted sum: the curve can be worked by hand."""

    name, classes, shape = "w", 2, (3,)
    weights = np.array([0.3, 0.1, -0.2])

    def __call__(self, x):
        yes = 0.5 + x.astype(float) @ self.weights
        return np.stack([1 - yes, yes], axis=1).astype(np.float32)


@pytest.fixture
def players():
    data = Data(np.zeros((1, 3), np.float32), np.array([0]), ("no", "yes"), ("a", "b", "c"))
    return features(np.ones(3, np.float32), data)


def test_curves_by_hand(players):
    down = curve(Weighted(), players, 1, [0, 1, 2], deletion=True)
    up = curve(Weighted(), players, 1, [0, 1, 2], deletion=False)
    assert np.allclose(down, [0.7, 0.4, 0.3, 0.5], atol=1e-6)
    assert np.allclose(up, [0.5, 0.8, 0.9, 0.7], atol=1e-6)
    assert area(down) == pytest.approx((0.55 + 0.35 + 0.4) / 3)


def test_the_right_order_beats_chance_and_the_wrong_one_loses(players):
    right = EXPLAINERS["shapley"]()(Weighted(), players, 1, row=4)
    found = {m.name: m.value for m in faithfulness(Weighted(), [right], {4: players})}
    assert found["deletion_shapley"] < found["deletion_random"]
    assert found["insertion_shapley"] > found["insertion_random"]
    import dataclasses

    wrong = dataclasses.replace(right, values=-right.values)
    found = {m.name: m.value for m in faithfulness(Weighted(), [wrong], {4: players})}
    assert found["deletion_shapley"] > found["deletion_random"]


def test_the_yardstick_is_drawn_once_a_row(players):
    both = [EXPLAINERS[m]()(Weighted(), players, 1, row=4) for m in ("shapley", "lime")]
    found = faithfulness(Weighted(), both, {4: players})
    assert [m.n for m in found] == [1] * 6
