import itertools
import math

import numpy as np
import pytest

from toolkit.explainers import regression
from toolkit.explainers.regression import NOISE, PRIOR, smoother, worth

RNG = np.random.default_rng(0)


def by_orders(value, k):
    """Shapley values by their definition; value: f64 (2^k,), player j is bit j."""
    found = np.zeros(k)
    for order in itertools.permutations(range(k)):
        there = 0
        for player in order:
            found[player] += value[there | 1 << player] - value[there]
            there |= 1 << player
    return found / math.factorial(k)


def asked(value, shown):
    """What a design's pairs say of a game: f64 (m,)."""
    k = shown.shape[1]
    number = shown @ (1 << np.arange(k))
    return value[number] - value[2**k - 1 - number]


@pytest.mark.parametrize("k", [1, 2, 3, 6])
def test_values_of_a_table_are_those_of_the_definition(k):
    tables = RNG.normal(size=(3, 2**k))
    for table, found in zip(tables, worth(tables), strict=True):
        assert np.allclose(found, by_orders(table, k), atol=1e-12)


@pytest.mark.parametrize("k", [3, 5, 6])
def test_least_squares_over_all_pairs_is_exact_for_any_game(k):
    table = RNG.normal(size=2**k)
    method = smoother(k, 2**k, 0, kriging=False)
    found, variance = method.values(asked(table, method.shown)[None], (table[-1] - table[:1]))
    assert np.allclose(found[0], by_orders(table, k), atol=1e-9)
    assert (variance == 0).all()


def test_least_squares_is_the_constrained_regression():
    """Against the same regression with the last player eliminated, by numpy's own solver."""
    k = 9
    method = smoother(k, 60, 1, kriging=False)
    y, total = RNG.normal(size=60), 0.7
    design = method.design
    signs = 2.0 * design.shown - 1
    root = np.sqrt(design.weights)
    free = (signs[:, :-1] - signs[:, -1:]) * root[:, None]
    start = np.linalg.lstsq(free, (y - signs[:, -1] * total) * root, rcond=None)[0]
    found, _ = method.values(y[None], np.array([total]))
    assert np.allclose(found[0], [*start, total - start.sum()], atol=1e-9)


def test_kriging_is_the_expectation_of_the_values_given_the_answers():
    """Against a Bayesian regression with one coefficient for each product of signs, written out."""
    k, pairs = 6, 12
    method = smoother(k, pairs, 4, kriging=True)
    prior = {1: 1e6} | PRIOR
    products = [
        (t, prior[d] / math.comb(k, d))
        for d in (1, 3, 5)
        for t in itertools.combinations(range(k), d)
    ]
    ends = np.concatenate([method.signs, np.ones((1, k))])
    seen = np.stack([2 * ends[:, list(t)].prod(axis=1) for t, _ in products], axis=1)
    sizes = np.diag([v for _, v in products])
    noise = 4 * NOISE * np.diag([*np.ones(pairs), 1e-6])
    y, total = RNG.normal(size=pairs), 0.4
    answers = np.array([*y, total])
    covariance = seen @ sizes @ seen.T + noise
    coefficient = sizes @ seen.T @ np.linalg.solve(covariance, answers)
    expected = np.zeros(k)
    for (t, _), c in zip(products, coefficient, strict=True):
        expected[list(t)] += 2 * c / len(t)
    expected += (total - expected.sum()) / k
    found, _ = method.values(y[None], np.array([total]))
    assert np.allclose(found[0], expected, atol=1e-4)


@pytest.mark.parametrize("kriging", [True, False])
@pytest.mark.parametrize(("k", "pairs"), [(8, 40), (30, 80), (91, 250)])
def test_a_linear_game_is_told_without_error(k, pairs, kriging):
    worths = RNG.normal(size=k)
    method = smoother(k, pairs, 2, kriging=kriging)
    y = (2.0 * method.shown - 1) @ worths
    found, variance = method.values(y[None], worths.sum()[None])
    assert np.allclose(found[0], worths, atol=1e-9)
    assert variance.max() < 1e-15


@pytest.mark.parametrize("kriging", [True, False])
def test_values_sum_to_the_total_and_do_not_depend_on_company(kriging):
    method = smoother(12, 100, 5, kriging=kriging)
    y, total = RNG.normal(size=(7, 100)), RNG.normal(size=7)
    found, variance = method.values(y, total)
    assert np.allclose(found.sum(axis=1), total)
    for i in range(7):
        alone, its = method.values(y[i : i + 1], total[i : i + 1])
        assert alone.tobytes() == found[i].tobytes()
        assert its.tobytes() == variance[i].tobytes()


def test_what_is_left_out_is_told_by_the_others():
    """Kriging without one answer, computed anew, moves the values as its formula says."""
    k, pairs, out = 7, 20, 3
    method = smoother(k, pairs, 6, kriging=True)
    y, total = RNG.normal(size=pairs), np.array([0.3])
    design = method.design
    kept = np.arange(pairs) != out
    less = type(design)(
        design.shown[kept], design.weights[kept], design.bunches, design.strata, design.rest
    )
    without = regression._kriging(less, method.signs[kept])
    moved = method.values(y[None], total)[0][0] - (without.gain @ y[kept] + without.share * total)
    left = method._left_out(y[None], total, np.zeros((1, k)))[0, out]
    assert np.allclose(moved, method.gain[:, out] * left, atol=1e-6)
