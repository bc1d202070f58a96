"""Intervals of means over rows hold as often as they say, and reach nothing that cannot be."""

import numpy as np
import pytest

from toolkit.means import averaged, mean_error


@pytest.mark.parametrize("n", [3, 6, 12])
def test_the_interval_of_few_means_holds(n):
    rows = np.random.default_rng(0).normal(size=(n, 4000))
    held = np.mean(np.abs(rows.mean(axis=0)) <= mean_error(rows))
    assert held == pytest.approx(0.95, abs=4 * (0.05 * 0.95 / 4000) ** 0.5)
    # a row that is not there counts for nothing
    gaps = np.concatenate([rows, np.full((2, 4000), np.nan)])
    assert np.array_equal(mean_error(gaps), mean_error(rows))


def test_skewed_figures_are_held_more_often_than_by_student():
    """Squares of normal values, as infidelities are: mean 1, with a tail to the right."""
    rows = np.random.default_rng(0).normal(size=(400, 12)) ** 2
    found = [averaged("m", "infidelity", one, least=0) for one in rows]
    held = np.mean([m.low <= 1 <= m.high for m in found])
    half = mean_error(rows.T)
    student = np.mean(np.abs(rows.mean(axis=1) - 1) <= half)
    assert held > student + 0.02
    assert held > 0.9


def test_an_interval_ends_where_figures_do():
    shares = [1.0, 1.0, 0.9, 1.0, 1.0, 0.4]
    for many in (2, 3, 6):
        found = averaged("m", "agreement", shares[-many:], least=0, most=1)
        assert 0 <= found.low < found.value < found.high <= 1
    assert (
        averaged("m", "agreement", shares).high > 1
        or averaged("m", "agreement", shares[-2:]).high > 1
    )


def test_one_row_has_no_interval_and_equal_rows_have_none_to_speak_of():
    assert averaged("m", "a", [0.5]).low is None
    same = averaged("m", "a", [0.5] * 9)
    assert (same.low, same.value, same.high) == (0.5, 0.5, 0.5)
