import dataclasses

import numpy as np
import pytest

from toolkit.errors import DataError
from toolkit.explainers import EXPLAINERS
from toolkit.explanation import decisions, explain, pick_rows, players_of
from toolkit.predict import predictor


@pytest.fixture(scope="module")
def pair(frontier):
    return [predictor(a.path, a.name) for a in (frontier.base, frontier.candidates[1])]


def quick(method):
    return EXPLAINERS[method](samples=200)


def test_every_model_explains_the_same_rows_and_target(pair, digits):
    rows = (3, 40)
    found = explain(pair, quick("shapley"), digits.test, rows, background=digits.fit.train)
    assert [(a.row, a.subject) for a in found] == [
        (3, "base"),
        (3, "int8"),
        (40, "base"),
        (40, "int8"),
    ]
    for one, other in (found[:2], found[2:]):
        assert one.target == other.target == int(pair[0](digits.test.x[[one.row]])[0].argmax())


def test_a_model_beside_itself_has_the_same_reasons_to_the_bit(pair, digits):
    class Twin:
        name, classes, shape = "twin", pair[0].classes, pair[0].shape

        def __call__(self, x):
            return pair[0](x)

        def masked(self, asked):
            return pair[0].masked(asked)

    for method in (name for name, kind in EXPLAINERS.items() if not kind.needs):
        one, other = explain(
            [pair[0], Twin()], quick(method), digits.test, [5], background=digits.fit.train
        )
        assert one.values.tobytes() == other.values.tobytes()


def test_decisions_hold_what_each_model_says(pair, digits):
    (one,) = decisions(pair, digits.test, [7], background=digits.fit.train)
    assert one.label == digits.test.y[7]
    assert np.array_equal(one.x, digits.test.x[7])
    for p in pair:
        assert np.allclose(one.probabilities[p.name], p(digits.test.x[[7]])[0], atol=1e-6)


def test_rows_are_picked_where_it_is_interesting(pair, digits):
    rows = pick_rows(pair, digits.test, 12)
    assert rows == pick_rows(pair, digits.test, 12)
    assert len(set(rows)) == 12
    answers = [p(digits.test.x).argmax(axis=1) for p in pair]
    differ = set(np.flatnonzero(answers[0] != answers[1]).tolist())
    wrong = set(np.flatnonzero(answers[0] != digits.test.y).tolist())
    assert len(differ & set(rows)) >= min(len(differ), 4)
    assert len(wrong & set(rows)) >= 4
    assert len(set(digits.test.y[list(rows)])) >= 4


@pytest.mark.parametrize("count", [1, 2, 450])
def test_any_number_of_rows(count, pair, digits):
    assert len(pick_rows(pair, digits.test, count)) == count


def test_rows_that_are_not_there_or_not_finite(pair, digits):
    for row in (-1, 450):
        with pytest.raises(DataError, match="0 to 449"):
            players_of(digits.test, [row], digits.fit.train)
    x = digits.test.x.copy()
    x[2, 0, 0] = np.nan
    with pytest.raises(DataError, match="NaN"):
        players_of(dataclasses.replace(digits.test, x=x), [2], digits.fit.train)
