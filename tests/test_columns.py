import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.explainers.columns import coded, columns, label, rows, seen
from toolkit.glossary import Data


def one(values, bins=4, **more):
    x = np.asarray(values, np.float32)[:, None]
    (found,) = columns(Data(x, np.zeros(len(x), np.int64), ("a",), **more), bins)
    return found


@given(
    st.lists(st.sampled_from([0.0, 1.0, 1.5, 7.0, -3.25, 0.1, 1e6]), min_size=1, max_size=40),
    st.sampled_from([2, 4, 10]),
)
def test_what_is_drawn_lies_in_its_part_as_often_as_rows_do(values, bins):
    """Also with few distinct values, of which some bins hold one and some none."""
    column = one(values, bins)
    u = (np.arange(4000) + 0.5) / 4000
    drawn = column.values(u)
    assert np.isfinite(drawn).all()
    assert drawn.min() >= np.float32(min(values))
    assert drawn.max() <= np.float32(max(values))
    share = np.bincount(column.part(drawn), minlength=len(column.share)) / 4000
    assert np.allclose(share, column.share, atol=1 / 1000)


def test_bins_are_those_of_lime():
    from lime.discretize import DecileDiscretizer, QuartileDiscretizer

    x = np.random.default_rng(0).integers(0, 9, (200, 1)).astype(np.float32) / 3
    for bins, kind in ((4, QuartileDiscretizer), (10, DecileDiscretizer)):
        theirs = kind(x.astype(float), [], ["age"])
        ours = one(x[:, 0], bins)
        assert np.array_equal(theirs.discretize(x.astype(float))[:, 0], ours.part(x[:, 0]))
        for value in np.unique(x):
            part = int(theirs.discretize(np.array([value], float))[0])
            assert label("age", ours, float(value)) == theirs.names[0][part]


def test_categories_come_as_often_as_they_are():
    column = one([0, 0, 0, 2], categories={0: ("x", "y", "z")})
    drawn = column.values(np.linspace(0.01, 0.99, 100))
    assert (drawn == 0).sum() == 75
    assert set(drawn) == {0.0, 2.0}
    assert column.part(np.array([1.0, 5.0])).tolist() == [-1, -1]
    assert label("town", column, 2.0, ("x", "y", "z")) == "town=z"
    assert label("town", column, 5.0, ("x", "y", "z")) == "town=5"
    assert column.usual(0.0) == 0.75
    assert column.usual(1.0) == 0


@pytest.mark.parametrize("u", [0.0, 1.0, 1 - 1e-16])
def test_the_ends_of_the_interval(u):
    for column in (one([1, 1, 1]), one([0, 1, 2, 3]), one([1.0, 4.0], 0), one([1, 1, 1], 0)):
        assert np.isfinite(column.values(np.array([u]))).all()


def test_numbers_that_are_kept_are_in_standard_deviations():
    x = np.float32([[0, 1], [2, 1], [4, 1]])
    every = columns(Data(x, np.zeros(3, np.int64), ("a",)), 0)
    codes = coded(every, x.astype(float))
    z = seen(every, codes, codes[:1])
    assert np.allclose(z[:, 0], [-(1.5**0.5), 0, 1.5**0.5])
    assert (z[:, 1] == 0).all()
    assert label("age", every[0], 2.0) == "age"
    drawn = rows(every, np.full((1, 2), 0.5))
    assert np.allclose(drawn, [[2, 1]])
