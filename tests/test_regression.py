import dataclasses
import itertools
import math

import numpy as np
import pytest

from toolkit.explainers import regression
from toolkit.explainers.exact import worth
from toolkit.explainers.regression import NOISE, PRIOR, smoother, weighed

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


def expected_of(shown, y, total, asked_of):
    """What a Bayesian regression on products of signs, written out, expects of other pairs."""
    k = shown.shape[1]
    prior = {1: 1e6} | PRIOR
    products = [
        (list(t), prior[d] / math.comb(k, d))
        for d in (1, 3, 5, 7)
        if d <= k
        for t in itertools.combinations(range(k), d)
    ]

    def seen(coalitions):
        signs = np.where(coalitions, 1.0, -1.0)
        return np.stack([2 * signs[:, t].prod(axis=1) for t, _ in products], axis=1)

    ours = seen(np.concatenate([shown, np.ones((1, k), bool)]))
    sizes = np.diag([v for _, v in products])
    noise = 4 * NOISE * np.diag([*np.ones(len(shown)), 1e-6])
    answers = np.array([*y, total])
    covariance = ours @ sizes @ ours.T + noise
    return seen(asked_of) @ sizes @ ours.T @ np.linalg.solve(covariance, answers)


@pytest.mark.parametrize(("k", "pairs"), [(6, 12), (7, 24)])
def test_kriging_is_the_difference_estimator(k, pairs):
    """Against a table filled by the regression, asked pairs put right, others by their shuffles."""
    method = smoother(k, pairs, 4, kriging=True)
    y, total = RNG.normal(size=pairs), 0.4
    shown, design = method.shown, method.design
    both = (np.arange(1, 2**k - 1)[:, None] >> np.arange(k) & 1).astype(bool)
    expected = expected_of(shown, y, total, both)
    bunches = np.split(np.arange(pairs), design.bunches[1:])
    without = np.zeros(pairs)
    for bunch in bunches:
        kept = np.setdiff1d(np.arange(pairs), bunch)
        without[bunch] = expected_of(shown[kept], y[kept], total, shown[bunch])
    # odd parts of all coalitions; half of each is the value of a game that has no even part
    table = np.zeros(2**k)
    number = shown @ (1 << np.arange(k))
    table[1:-1] = expected / 2
    table[0], table[-1] = -total / 2, total / 2
    values = by_orders(table, k)
    off = np.zeros(2**k)
    for bunch, stratum in zip(bunches, design.strata, strict=True):
        beyond = 1 / (1 - design.rest[stratum]) - 1
        for pair in bunch:
            now = y[pair] - 2 * table[number[pair]]
            at = now + beyond * (y[pair] - without[pair])
            off[number[pair]], off[2**k - 1 - number[pair]] = at / 2, -at / 2
    # the expectation alone is moved to sum to the total first; the rest sums to nothing
    values += (total - values.sum()) / k + by_orders(off, k)
    found, _ = method.values(y[None], np.array([total]))
    assert np.allclose(found[0], values, atol=1e-4)


def test_its_mistakes_average_out_and_are_as_large_as_said():
    """A game of large products of many signs, which the process does not expect, 600 designs."""
    k, pairs, designs = 9, 40, 600
    signs = np.where(np.arange(2**k)[:, None] >> np.arange(k) & 1, 1.0, -1.0)
    table = 3 * signs[:, :3].prod(axis=1) + 2 * signs[:, 2:7].prod(axis=1) + signs[:, 0]
    truth, total = worth(table[None])[0], (table[-1] - table[:1])
    found, variance = np.zeros((2, designs, k))
    for seed in range(designs):
        method = smoother(k, pairs, seed, kriging=True)
        y = asked(table, method.shown)[None]
        found[seed], variance[seed] = (one[0] for one in method.values(y, total))
    spread = found.std(axis=0, ddof=1)
    # five of its own standard errors: once in 200,000 runs for nine players
    assert (np.abs(found.mean(axis=0) - truth) <= 5 * spread / np.sqrt(designs)).all()
    # means of twenty, as over a background: 270 intervals, and three standard errors of 95 %
    means = found.reshape(-1, 20, k).mean(axis=1)
    widths = 1.96 * np.sqrt(variance.reshape(-1, 20, k).mean(axis=1) / 20)
    assert 0.91 <= (np.abs(means - truth) <= widths).mean() <= 0.99


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


@pytest.mark.parametrize(("k", "pairs"), [(6, 12), (13, 60), (30, 90)])
def test_variances_are_those_of_sums_over_shuffles(k, pairs, monkeypatch):
    """Written out, for shuffles of a size drawn without replacement (Cochran 1977, chapter 2)."""
    method = smoother(k, pairs, 3, kriging=True)
    design, left = method.design, RNG.normal(size=(4, pairs))
    by_hand = np.zeros((4, k))
    for size, rest in enumerate(design.rest):
        sums = [
            left[:, bunch] @ method.influence[:, bunch].T
            for bunch, its in zip(
                np.split(np.arange(pairs), design.bunches[1:]), design.strata, strict=True
            )
            if its == size
        ]
        n = len(sums)
        # one alone has no spread of its own
        by_hand += rest * (n * np.var(sums, axis=0, ddof=1) if n > 1 else sums[0] ** 2)
    whole = regression._variance(design, method.influence, left, method._moved)
    assert np.allclose(whole, by_hand, rtol=1e-12, atol=0)
    # wide games do not hold the table of all players; nor does a design that is used once
    monkeypatch.setattr(regression, "_LARGE", 3 * len(design.together[0]))
    assert regression._variance(design, method.influence, left).tobytes() == whole.tobytes()
    again = dataclasses.replace(method)
    assert again._moved is None
    assert (
        again.values(left, left[:, 0])[1].tobytes() == method.values(left, left[:, 0])[1].tobytes()
    )


def test_what_is_left_out_is_told_by_the_others():
    """What kriging says of a shuffle that it has not seen, computed without it."""
    k, pairs = 7, 20
    method = smoother(k, pairs, 6, kriging=True)
    y, total = RNG.normal(size=pairs), 0.3
    left = method._left_out(y[None], np.array([total]), np.zeros((1, k)))[0]
    for bunch in np.split(np.arange(pairs), method.design.bunches[1:]):
        kept = np.setdiff1d(np.arange(pairs), bunch)
        said = expected_of(method.shown[kept], y[kept], total, method.shown[bunch])
        assert np.allclose(left[bunch], y[bunch] - said, atol=1e-4)


def test_smoothers_that_stay_in_memory_are_bounded(monkeypatch):
    """A folder of texts has a game for each length; each costs a matrix of pairs by pairs."""
    sizes = [smoother(k, 200, 0, kriging=True).nbytes for k in range(9, 15)]
    assert sizes[0] > 200 * 201 * 8
    monkeypatch.setattr(regression, "KEPT", 3 * max(sizes))
    monkeypatch.setattr(regression, "_kept", {})
    made = [smoother(k, 200, 0, kriging=True) for k in (*range(9, 15), 14, 12)]
    assert made[-2] is made[-3]
    assert [key[0] for key in regression._kept] == [13, 14, 12]


def test_likeness_by_weight_is_the_sum_over_all_sets_written_out():
    k, m = 6, 5
    weights = RNG.uniform(0.05, 0.5, k)
    signs = np.where(RNG.random((m, k)) < 0.5, -1.0, 1.0)
    ends = np.concatenate([signs, np.ones((1, k))])
    covariance, cross = regression._by_weight(ends, weights)
    sets = [list(t) for d in (3, 5) for t in itertools.combinations(range(k), d)]
    size = np.array([weights[t].prod() for t in sets])
    size /= size.sum()
    products = np.stack([ends[:, t].prod(axis=1) for t in sets], axis=1)
    assert np.allclose(covariance, 4 * (products * size) @ products.T, atol=1e-12)
    for j in range(k):
        its = [
            4 * s / len(t) * products[:, i]
            for i, (s, t) in enumerate(zip(size, sets, strict=True))
            if j in t
        ]
        assert np.allclose(cross[j], np.sum(its, axis=0), atol=1e-12)


@pytest.mark.parametrize("effect", [np.zeros(30), np.r_[np.ones(5), np.zeros(25)], RNG.random(30)])
def test_weighed_it_tells_a_linear_game_without_error_and_sums_to_the_total(effect):
    method = smoother(30, 80, 2, kriging=True)
    worths = RNG.normal(size=30)
    y = (2.0 * method.shown - 1) @ worths
    found, variance = weighed(method, effect, y, worths.sum())
    assert np.allclose(found, worths, atol=1e-9)
    assert variance.max() < 1e-15
    y, total = RNG.normal(size=80), RNG.normal()
    assert np.isclose(weighed(method, effect, y, total)[0].sum(), total, atol=1e-12)


def test_weights_that_tell_who_matters_halve_the_error_and_wrong_ones_keep_the_intervals():
    """A game of 9 in which three players do everything; over designs and truths by the formula."""
    k, pairs, designs = 9, 40, 200
    signs = 2.0 * (np.arange(2**k)[:, None] >> np.arange(k) & 1) - 1
    game = signs[:, :3].prod(axis=1) + np.tanh(signs[:, :3] @ [1.0, 0.5, 0.3])
    truth, total = worth(game[None])[0], game[-1:] - game[:1]
    right = np.r_[np.ones(3), np.zeros(6)]
    error, held = {}, {}
    for name, effect in {"plain": None, "right": right, "wrong": 1 - right}.items():
        errors, inside = [], []
        for seed in range(designs):
            method = smoother(k, pairs, seed, kriging=True)
            y = asked(game, method.shown)
            if effect is None:
                (values,), (variance,) = method.values(y[None], total)
            else:
                values, variance = weighed(method, effect, y, total[0])
            errors.append(((values - truth) ** 2).sum())
            inside.append(np.abs(values - truth) <= 1.96 * np.sqrt(variance))
        error[name], held[name] = np.mean(errors), np.mean(inside)
    assert error["right"] < error["plain"] / 2
    # of so hard a game 90 of 100 intervals of the plain one hold; 200 designs tell that to within 4
    assert min(held.values()) > 0.85
