import dataclasses

import numpy as np
import pytest

from toolkit.explainers import EXPLAINERS
from toolkit.explainers.hidings import hidings
from toolkit.explainers.players import features, grid, words
from toolkit.faithfulness import area, curve, curves, faithfulness
from toolkit.glossary import Data, Words


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
    wrong = dataclasses.replace(right, values=-right.values)
    found = {m.name: m.value for m in faithfulness(Weighted(), [wrong], {4: players})}
    assert found["deletion_shapley"] > found["deletion_random"]


def test_the_yardstick_is_drawn_once_a_row(players):
    both = [EXPLAINERS[m]()(Weighted(), players, 1, row=4) for m in ("shapley", "lime")]
    found = faithfulness(Weighted(), both, {4: players})
    assert [m.n for m in found] == [1] * 10
    assert len({m.name for m in found}) == 10
    named = {m.name: m.value for m in found}
    for way, sign in (("deletion", -1), ("insertion", 1)):
        gain = sign * (named[f"{way}_lime"] - named[f"{way}_random"])
        assert named[f"gain_{way} lime"] == pytest.approx(gain)


def test_several_orders_at_once_are_each_by_itself(players):
    orders = [[0, 1, 2], [2, 0, 1], [1, 2, 0]]
    for deletion in (True, False):
        together = curves(Weighted(), players, 1, orders, deletion=deletion)
        for one, order in zip(together, orders, strict=True):
            assert np.allclose(one, curve(Weighted(), players, 1, order, deletion=deletion))


def test_the_gain_over_chance_has_the_interval_of_its_rows():
    """Ten rows of one model: the interval is by bootstrap-t, over differences within rows."""
    data = Data(
        np.random.default_rng(0).normal(size=(10, 3)).astype(np.float32),
        np.zeros(10, np.int64),
        ("no", "yes"),
        ("a", "b", "c"),
    )
    rows = {i: features(data.x[i], data) for i in range(10)}
    explain = EXPLAINERS["shapley"]()
    ours = [explain(Weighted(), p, 1, row=i) for i, p in rows.items()]
    alone = [{m.name: m.value for m in faithfulness(Weighted(), [a], rows, seed=0)} for a in ours]
    found = {m.name: m for m in faithfulness(Weighted(), ours, rows, seed=0)}
    m = found["gain_insertion shapley"]
    assert m.low > 0
    # the random orders of a row depend on the rows before it, so only its own area is the same
    areas = np.array([one["insertion_shapley"] for one in alone])
    own = found["insertion_shapley"]
    drawn = areas[np.random.default_rng(0).integers(0, 10, (2000, 10))]
    t = (drawn.mean(axis=1) - areas.mean()) / (drawn.std(axis=1, ddof=1) / 10**0.5)
    high = areas.mean() - np.quantile(t, 0.025) * areas.std(ddof=1) / 10**0.5
    assert (own.value, own.high) == pytest.approx((areas.mean(), high))


def test_there_is_a_second_way_to_hide():
    table = Data(np.float32([[0, 0], [4, 2]]), np.array([0, 1]), ("n", "y"), ("a", "b"))
    mean = hidings(features(table.x[0], table))[" hidden:mean"]
    assert mean.background.tolist() == [[2.0, 1.0]]
    towns = Data(
        np.float32([[0, 0], [2, 2], [2, 4]]), np.array([0, 1, 1]), ("n", "y"), ("a", "b"),
        categories={0: ("Rome", "Oslo", "Bonn")},
    )  # fmt: skip
    # codes have no mean: that of Rome and Bonn is not Oslo
    commonest = hidings(features(towns.x[0], towns))[" hidden:mean"]
    assert commonest.background.tolist() == [[2.0, 2.0]]
    x = np.zeros((2, 8, 8, 1), np.float32)
    x[0, 3:5, 3:5] = 1
    shown = Data(x, np.array([0, 1]), ("n", "y"), kind="image")
    both = hidings(grid(x[0], shown))
    blurred = both[" hidden:blur"].background[0]
    assert blurred.shape == (8, 8, 1)
    assert 0 < blurred.max() < 1
    assert blurred.sum() == pytest.approx(4, rel=0.05)
    again = dataclasses.replace(grid(x[0], shown), background=blurred[None])
    assert list(hidings(again)) == ["", " hidden:colour"]
    assert hidings(again)[" hidden:colour"].background == pytest.approx(4 / 64)
    text = Data(
        np.float32([[2, 3, 0]]), np.array([0]), ("n",), kind="text", words=Words(("", "?"), 3)
    )
    assert hidings(words(text.x[0], text))[" hidden:filling"].background.tolist() == [[1, 0, 0]]
    # a net that averages over the words gives NaN of none: one always stays
    before = dataclasses.replace(text, x=np.float32([[0, 2, 3]]))
    found = hidings(words(before.x[0], before))[" hidden:filling"]
    assert found.background.tolist() == [[0, 1, 0]]
    unknown = dataclasses.replace(text, words=Words(("",), 3, unknown=None))
    assert list(hidings(words(unknown.x[0], unknown))) == [""]
