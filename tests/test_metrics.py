import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from toolkit import metrics


def hot(labels, k=3):
    return np.eye(k, dtype=np.float32)[labels]


@given(st.integers(1, 500), st.data())
def test_wilson_is_scipys(n, data):
    hits = data.draw(st.integers(0, n))
    ours = metrics.share(hits, n)
    theirs = stats.binomtest(hits, n).proportion_ci(method="wilson")
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-9)


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_is_the_binomial_test(lost, won):
    y = np.zeros(lost + won + 5, np.int64)
    base, other = y.copy(), y.copy()
    other[:lost] = 1
    base[lost : lost + won] = 1
    found = metrics.accuracy_drop(hot(base), hot(other), y)
    expected = stats.binomtest(lost, lost + won).pvalue if lost + won else 1.0
    assert found.p_value == pytest.approx(expected)
    assert found.low <= found.value <= found.high
    assert found.upper <= found.high


def test_mcnemar_of_many_rows_stays_a_number():
    y = np.zeros(40_000, np.int64)
    base, other = y.copy(), y.copy()
    base[:9000] = 1
    other[20_000:29_300] = 1
    p = metrics.accuracy_drop(hot(base), hot(other), y).p_value
    assert p == pytest.approx(stats.binomtest(9000, 18_300).pvalue)


def test_the_paired_interval_covers_the_truth():
    # 2 of 100 rows lost, 1 of 100 won on average: the drop is 1 point
    rng, inside, trials = np.random.default_rng(0), 0, 1000
    for _ in range(trials):
        kind = rng.choice(3, size=500, p=[0.97, 0.02, 0.01])
        y = np.zeros(500, np.int64)
        drop = metrics.accuracy_drop(hot((kind == 2) * 1), hot((kind == 1) * 1), y)
        inside += drop.low <= 0.01 <= drop.high
    # 95 % less three standard errors of a share of 1000 trials
    assert inside / trials > 0.95 - 3 * (0.95 * 0.05 / trials) ** 0.5


@pytest.mark.parametrize("n", [6, 15, 31, 100])
def test_median_ranks_cover_and_are_the_narrowest(n):
    low, high = metrics.median_ranks(n)
    assert high == n - 1 - low
    assert 2 * stats.binom.cdf(low, n, 0.5) <= 0.05
    assert 2 * stats.binom.cdf(low + 1, n, 0.5) > 0.05


def test_confusion_and_agreement():
    y = np.array([0, 1, 2, 2])
    p = hot([0, 2, 2, 1])
    assert metrics.confusion(p, y).tolist() == [[1, 0, 0], [0, 0, 1], [0, 1, 1]]
    assert metrics.agreement(p, hot([0, 2, 0, 0])).value == 0.5


def test_calibration_error_by_hand():
    p = np.float32([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.6, 0.4]])
    # two bins: |0.5 - 0.9| and |1 - 0.6|, half of the rows each
    assert metrics.calibration_error(p, np.array([0, 1, 0, 0])) == pytest.approx(0.4)


def test_calibration_in_parts_is_the_same(monkeypatch):
    """Draws are made a few at a time, so that a million rows fit into memory."""
    rng = np.random.default_rng(0)
    base, other = (rng.dirichlet(np.ones(3), 200).astype(np.float32) for _ in range(2))
    y = rng.integers(0, 3, 200)
    whole = metrics.calibration_change(base, other, y)
    monkeypatch.setattr(metrics, "_DRAWN", 7 * 200)
    assert metrics.calibration_change(base, other, y) == whole


@pytest.mark.parametrize("right", [(0.9, 0.9), (0.98, 0.4), (0.5, 0.5, 0.5)])
def test_informedness_is_balanced_accuracy_adjusted_and_its_interval_holds(right):
    """Beside scikit-learn's, and the truth in 93 to 98 of 100 draws."""
    from sklearn.metrics import balanced_accuracy_score

    rng = np.random.default_rng(0)
    k, n = len(right), (400, 60, 100)[: len(right)]
    y = np.repeat(np.arange(k), n)
    truth, inside = (np.mean(right) * k - 1) / (k - 1), 0
    for _ in range(500):
        good = rng.random(len(y)) < np.repeat(right, n)
        answers = np.where(good, y, (y + 1) % k)
        found = metrics.informedness(metrics.confusion(np.eye(k)[answers], y))
        inside += found.low <= truth <= found.high
    assert found.value == pytest.approx(balanced_accuracy_score(y, answers, adjusted=True))
    # 500 draws tell 95 to within 2
    assert 0.93 <= inside / 500 <= 0.985


def test_always_the_same_answer_is_a_guess_however_often_it_is_right():
    always = np.array([[92, 0], [8, 0]])
    assert metrics.informedness(always).value == 0
    assert metrics.informedness(always).low < 0 < metrics.informedness(always).high
    few = np.array([[985, 5], [4, 6]])
    assert metrics.informedness(few).low > 0
    assert metrics.informedness(np.array([[5, 1], [0, 0]])) is None
