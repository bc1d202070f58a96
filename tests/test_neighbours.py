from collections import Counter

import numpy as np
import pytest

from toolkit.explainers import neighbours


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("n", [1, 5, 64, 100])
@pytest.mark.parametrize("p", [1, 14, 1001])
def test_points_lie_in_the_cube_and_differ_by_seed(n, p):
    one, same, other = (neighbours.spread(n, p, rng(s)) for s in (0, 0, 1))
    assert one.shape == (n, p)
    assert ((one >= 0) & (one <= 1)).all()
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_each_point_is_uniform_by_itself():
    """The first of many scrambles: what makes a mean over them right on average."""
    from scipy.stats import kstest

    firsts = np.array([neighbours.spread(16, 2, rng(s))[3] for s in range(400)])
    assert kstest(firsts[:, 0], "uniform").pvalue > 1e-3
    assert kstest(firsts[:, 1], "uniform").pvalue > 1e-3


def test_a_mean_over_them_errs_less_than_by_chance():
    def error(draw):
        found = [np.prod(1 + 0.5 * (draw(s) - 0.5), axis=1).mean() for s in range(50)]
        return np.std(found)  # the true mean is 1

    assert error(lambda s: neighbours.spread(256, 5, rng(s))) < 0.5 * error(
        lambda s: rng(s).random((256, 5))
    )


def test_words_are_taken_away_in_equal_shares():
    z = neighbours.words(40_000, 4, rng())
    gone = Counter((4 - z.sum(axis=1)).astype(int).tolist())
    assert set(gone) == {1, 2, 3, 4}
    for count in gone.values():
        assert count == pytest.approx(10_000, abs=5 * (40_000 * 0.25 * 0.75) ** 0.5)
    single = z[z.sum(axis=1) == 3]
    assert np.allclose(single.mean(axis=0), 0.75, atol=0.03)


@pytest.mark.parametrize("of_words", [True, False])
@pytest.mark.parametrize("p", [1, 2, 5])
def test_all_combinations_have_the_share_with_which_they_are_drawn(p, of_words):
    z, share = neighbours.every(p, of_words=of_words)
    assert len({tuple(row) for row in z.tolist()}) == len(z) == 2**p
    assert share.sum() == pytest.approx(1)
    drawn = (neighbours.words if of_words else neighbours.patches)(50_000, p, rng())
    counts = Counter(tuple(row) for row in drawn.tolist())
    for row, part in zip(z.tolist(), share, strict=True):
        assert counts[tuple(row)] / 50_000 == pytest.approx(part, abs=0.012)
