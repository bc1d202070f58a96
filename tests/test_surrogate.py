import numpy as np
import pytest

from toolkit.explainers.surrogate import fit, foremost, pseudo, stability, sums

RNG = np.random.default_rng(0)


def drawn(n, p, rng=RNG):
    z = rng.normal(size=(n, p))
    y = np.sin(z @ np.linspace(-1, 1, p)) + 0.1 * rng.normal(size=n)
    return z, y, rng.uniform(0.1, 1, n)


@pytest.mark.parametrize("penalty", [0.001, 1.0, 50.0])
def test_it_is_ridge_regression_as_scikit_learn_has_it(penalty):
    from sklearn.linear_model import Ridge

    z, y, w = drawn(200, 7)
    theirs = Ridge(alpha=penalty).fit(z, y, sample_weight=w)
    ours = fit(sums(z, y, w), penalty)
    assert np.allclose(ours.weights, theirs.coef_, atol=1e-10)
    assert float(ours.intercept) == pytest.approx(theirs.intercept_, abs=1e-10)
    assert float(ours.r2) == pytest.approx(theirs.score(z, y, sample_weight=w), abs=1e-10)


def test_a_stack_is_fitted_as_each_by_itself():
    groups = np.stack([sums(*drawn(50, 4)) for _ in range(3)])
    together = fit(groups)
    for i, group in enumerate(groups):
        one = fit(group)
        assert np.allclose(together.weights[i], one.weights)
        assert np.isclose(together.intercept[i], one.intercept)
        assert np.isclose(together.r2[i], one.r2)


def test_answers_that_do_not_change_leave_nothing_to_explain():
    z, _, w = drawn(50, 4)
    for answer in (0.0, 0.3, 1.0):
        found = fit(sums(z, np.full(50, answer), w))
        assert float(found.r2) == 1
        assert np.abs(found.weights).max() < 1e-9


def test_the_jackknife_by_its_definition():
    groups = np.stack([sums(*drawn(40, 3)) for _ in range(5)])
    weights, intercepts = pseudo(groups)
    whole = fit(groups.sum(axis=0))
    for i in range(5):
        rest = fit(np.delete(groups, i, axis=0).sum(axis=0))
        assert np.allclose(weights[i], 5 * whole.weights - 4 * rest.weights)
        assert np.isclose(intercepts[i], 5 * whole.intercept - 4 * rest.intercept)


def test_its_error_covers_what_many_samples_tend_to():
    """Student's interval of 8 groups, 200 draws of 4 weights: about 95 in 100."""
    from scipy.stats import t

    truth = fit(sums(*drawn(400_000, 4, np.random.default_rng(1)))).weights
    covered = []
    for seed in range(200):
        rng = np.random.default_rng([2, seed])
        weights, _ = pseudo(np.stack([sums(*drawn(60, 4, rng)) for _ in range(8)]))
        half = t.ppf(0.975, 7) * weights.std(axis=0, ddof=1) / 8**0.5
        covered.append(np.abs(weights.mean(axis=0) - truth) <= half)
    # 800 correlated trials: 4 binomial standard errors to each side
    assert 0.92 < np.mean(covered) < 0.98


@pytest.mark.parametrize("r", [2, 3, 4, 5, 8])
def test_stability_of_what_is_clear_and_of_noise(r):
    z, _, w = drawn(100 * r, 12)
    clear = z @ np.array([1.0] * 5 + [0.0] * 7)
    noise = RNG.normal(size=100 * r)

    def index(y):
        parts = zip(*(np.split(v, r) for v in (z, y, w)), strict=True)
        return stability(np.stack([sums(*part) for part in parts]), np.ones(12), 5)

    assert index(clear) == 1
    # two random choices of 5 from 12 share 2.1 of about 8
    assert index(noise) < 0.8


def test_nothing_is_foremost_when_nothing_moved():
    assert foremost(np.zeros(4), 3) == frozenset()
