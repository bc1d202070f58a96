import dataclasses

import numpy as np
import pytest
from scipy.stats import t as student

from toolkit.explainers.duels import Table, least, solve, whole

RNG = np.random.default_rng(0)


def table(rows=4, p=9, b=6, *, levels=3, groups=None):
    """Rows of few levels, so that many columns are those of a background row."""
    groups = np.arange(p) if groups is None else np.asarray(groups)
    x = RNG.integers(0, levels, (rows, len(groups))).astype(np.float32)
    background = np.unique(RNG.integers(0, levels, (b, len(groups))), axis=0).astype(np.float32)
    shares = RNG.dirichlet(np.ones(len(background)))
    many = int(groups.max()) + 1
    targets = RNG.integers(0, 2, rows)
    return Table(x, targets, groups, background, shares, many, x.shape[1:])


class Net:
    """A smooth classifier in numpy that counts what it is asked."""

    def __init__(self, values):
        rng = np.random.default_rng(1)
        self.a, self.b = rng.normal(size=(values, 8)), rng.normal(size=8)
        self.rows = 0

    def __call__(self, x):
        self.rows += len(x)
        # column by column, so that a row's answer is the same in any batch
        z = np.zeros((len(x), 8))
        for j in range(x.shape[1]):
            z += x[:, j, None] * self.a[j]
        p = 1 / (1 + np.exp(-(np.tanh(z) * self.b).sum(axis=1)))
        return np.stack([1 - p, p], axis=1).astype(np.float32)


def by_coalitions(net, t, row):
    """The same from every coalition of all players against the whole background."""
    k = t.players
    every = (np.arange(2**k)[:, None] >> np.arange(k) & 1).astype(bool)
    value = np.zeros(2**k)
    for other, share in zip(t.background, t.shares, strict=True):
        value += share * net(np.where(every[:, t.groups], t.x[row], other))[:, t.targets[row]]
    size, found = every.sum(axis=1), np.zeros(k)
    from math import comb

    for j in range(k):
        without = np.flatnonzero(~every[:, j])
        weight = np.array([1 / (k * comb(k - 1, s)) for s in size[without]])
        found[j] = (weight * (value[without + 2**j] - value[without])).sum()
    return found


@pytest.mark.parametrize("groups", [None, [0, 0, 1, 2, 2, 2, 3, 4, 1]])
@pytest.mark.parametrize("levels", [2, 1000])
def test_games_against_single_rows_give_the_values_of_the_whole(groups, levels):
    t = table(levels=levels, groups=groups)
    net = Net(t.x.shape[1])
    found = solve(net, t, np.full(4, 10**6), 0)
    assert (found.sampled == 0).all()
    assert (found.variance == 0).all()
    for row in range(4):
        assert np.allclose(found.values[row], by_coalitions(net, t, row), atol=1e-6)
    assert np.allclose(found.values.sum(axis=1), found.prediction - found.base, atol=1e-12)


def test_players_that_do_not_differ_are_not_asked():
    t = table(rows=1, levels=2)
    net = Net(9)
    found = solve(net, t, np.full(1, 10**6), 0)
    differ = (t.x[0] != t.background).sum(axis=1)
    assert net.rows == found.asked[0] == 1 + len(differ) + (2**differ - 2)[differ > 0].sum()
    assert net.rows < len(differ) * 2**9 / 4


def test_a_row_that_is_its_own_background_has_no_reasons():
    t = table(rows=1)
    t = dataclasses.replace(t, background=t.x.copy(), shares=np.ones(1))
    found = solve(Net(9), t, np.full(1, 100), 0)
    assert (found.values == 0).all()
    assert found.asked[0] == 2


@pytest.mark.parametrize("budget", [700, 2500, 10**5])
def test_rows_in_any_order_and_company_give_the_same_bytes(budget):
    t = table(rows=6, p=11, b=9, levels=4)
    net = Net(11)
    together = solve(net, t, np.full(6, budget), 3)
    for places in ([3], [5, 0], [4, 3, 2, 1]):
        some = dataclasses.replace(t, x=t.x[places], targets=t.targets[places])
        found = solve(net, some, np.full(len(places), budget), 3)
        for field in dataclasses.fields(found):
            alone, its = getattr(found, field.name), getattr(together, field.name)[places]
            assert alone.tobytes() == its.tobytes(), field.name


def test_memory_is_bounded_and_changes_nothing(monkeypatch):
    from toolkit import masked

    t = table(rows=3, p=11, b=9, levels=4)
    net, sizes = Net(11), []

    def watching(x):
        sizes.append(x.size)
        return net(x)

    one = solve(watching, t, np.full(3, 2500), 3)
    monkeypatch.setattr(masked, "_VALUES", 1000)
    before = max(sizes)
    sizes.clear()
    two = solve(watching, t, np.full(3, 2500), 3)
    assert max(sizes) <= 1000 < before
    assert one.values.tobytes() == two.values.tobytes()
    assert one.variance.tobytes() == two.variance.tobytes()


@pytest.mark.parametrize("budget", [0, 100, 997, 4000, 30_000])
def test_the_bound_on_answers_holds(budget):
    t = table(rows=5, p=12, b=7, levels=50)
    budget = np.maximum(budget, least(t))
    found = solve(Net(12), t, budget, 0)
    assert (found.asked <= budget).all()
    assert (found.asked >= 0.6 * budget).all() or (found.sampled == 0).all()


@pytest.mark.parametrize("budget", [300, 500, 1000, 2048])
def test_against_a_single_row_all_that_may_be_asked_is_asked(budget):
    """But for a pair less where tables of a power of two would be slow."""
    t = table(rows=2, p=20, b=1, levels=1000)
    found = solve(Net(20), t, np.full(2, budget), 0)
    assert (found.asked >= budget - 3).all()
    assert (found.asked <= budget).all()


def test_games_of_many_players_are_never_asked_in_full():
    t = table(rows=1, p=30, b=2, levels=1000)
    found = solve(Net(30), t, np.full(1, 2**62), 0)
    assert found.sampled[0] == len(t.background)
    assert found.asked[0] < 2**18
    assert whole(80) == whole(70) > 2**40


@pytest.mark.parametrize("d", [6, 8])
def test_intervals_by_the_fewest_answers_hold_the_values_of_one_game(d):
    """Six players are asked in full; of eight, 64 of 127 pairs, with few degrees of freedom.

    With 16 pairs and the normal interval nine in ten are held, or fewer. Of the 960 values at least
    400 count as independent: 95 % to two standard errors.
    """
    rng = np.random.default_rng(0)
    inner, outer = rng.normal(size=(d, 8)) * 2 / np.sqrt(d), rng.normal(size=8)

    def ask(x):
        p = 1 / (1 + np.exp(-np.maximum(x.astype(float) @ inner, 0) @ outer))
        return np.stack([1 - p, p], axis=1).astype(np.float32)

    x, other = (rng.normal(size=(n, d)).astype(np.float32) for n in (60, 1))
    t = Table(x, np.ones(60, int), np.arange(d), other, np.ones(1), d, (d,))
    true = solve(ask, t, np.full(60, 10**8), 0)
    held = []
    for seed in (1, 2):
        found = solve(ask, t, least(t), seed)
        assert (found.sampled == (d > 6)).all()
        if d == 6:
            assert found.values == pytest.approx(true.values, abs=1e-12)
            continue
        assert set(found.degrees) == {53}
        half = student.ppf(0.975, 53) * np.sqrt(found.variance)
        held.append(np.abs(found.values - true.values) <= half)
    assert d == 6 or 0.93 <= np.mean(held) <= 0.98
