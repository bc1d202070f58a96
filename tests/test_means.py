"""Intervals of means over rows hold as often as they say, and reach nothing that cannot be."""

import numpy as np
import pytest
from scipy.stats import binomtest

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
    ours = np.array([m.low <= 1 <= m.high for m in found])
    student = np.abs(rows.mean(axis=1) - 1) <= mean_error(rows.T)
    alone, theirs = int((ours & ~student).sum()), int((student & ~ours).sum())
    # were they to hold equally often, so many more would be so by chance once in a million
    assert binomtest(alone, alone + theirs, alternative="greater").pvalue < 1e-6


def test_an_interval_ends_where_figures_do():
    shares = [1.0, 1.0, 0.9, 1.0, 1.0, 0.4]
    for many in (2, 3, 6):
        found = averaged("m", "agreement", shares[-many:], least=0, most=1)
        assert 0 <= found.low < found.value < found.high <= 1
    # without ends Student's goes beyond what can be
    assert averaged("m", "agreement", shares[-2:]).high > 1


def test_one_row_has_no_interval_and_equal_rows_have_none_to_speak_of():
    assert averaged("m", "a", [0.5]).low is None
    same = averaged("m", "a", [0.5] * 9)
    assert (same.low, same.value, same.high) == (0.5, 0.5, 0.5)
