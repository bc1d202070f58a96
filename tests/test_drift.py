"""Silent drift: rows with the same answer for other reasons, and only these."""

import dataclasses

import numpy as np
import pytest

from tests.test_fidelity import made
from toolkit.fidelity.drift import ALIKE, FALSE, discoveries, drifted, drifts

P = 8


def job(*, changed=(), noise=0.0, rows=40, seed=0, repeats=4, paired=0.05):
    """Rows of a base and a small model by sampling; `changed` rows have other reasons.

    noise: of each repeat, shared by both models but for the share `paired`.
    """
    rng = np.random.default_rng(seed)
    found = []
    for row in range(rows):
        ours = rng.normal(size=P)
        theirs = rng.permutation(ours)[::-1] if row in changed else ours
        shared = noise * rng.normal(size=(repeats, P))
        own = paired * noise * rng.normal(size=(repeats, P))
        one, two = ours + shared, theirs + shared + own
        for subject, values in (("base", one), ("small", two), ("base - small", one - two)):
            error = values.std(axis=0, ddof=1) / repeats**0.5
            a = made(values.mean(axis=0), row, subject)
            found.append(dataclasses.replace(a, stderr=error, degrees=repeats - 1))
    return found


SAME = dict.fromkeys(range(400), (1, 1))


def test_planted_rows_are_found_and_come_first():
    found = drifts(job(changed=(3, 11), noise=0.1), "base", "small", SAME)
    assert {d.row for d in found if d.drifted} == {3, 11}
    assert {d.row for d in found[:2]} == {3, 11}
    (share,) = drifted(found)
    assert (share.name, share.value, share.n) == ("reason_drift shapley", 2 / 40, 40)
    assert share.low < 2 / 40 < share.high


def test_other_answers_are_no_silent_drift():
    answers = {**SAME, 3: (1, 2)}
    found = drifts(job(changed=(3, 11), noise=0.1), "base", "small", answers)
    assert {d.row for d in found if d.drifted} == {11}
    assert 3 not in {d.row for d in found}


def test_noise_alone_is_rarely_taken_for_drift():
    """Both models are the same and each is measured with noise of its own."""
    told = trials = 0
    for seed in range(20):
        found = drifts(job(noise=0.6, paired=1.5, seed=seed), "base", "small", SAME, seed=seed)
        low = [d for d in found if d.cosine < ALIKE]
        trials += bool(low)
        told += any(d.drifted for d in found)
    assert trials == 20  # noise does bring cosines down
    # any discovery is false here: at most FALSE of 20 trials, 4 by chance is beyond 99 %
    assert told <= 4
    assert FALSE == 0.05


def test_p_values_are_even_where_nothing_changed():
    found = drifts(job(noise=0.6, paired=1.5, rows=300), "base", "small", SAME)
    p = np.array([d.p_value for d in found])
    # a valid p-value is below t in at most a share t of rows; 3 standard errors above
    for t in (0.05, 0.2, 0.5):
        assert (p <= t).mean() <= t + 3 * (t * (1 - t) / 300) ** 0.5


def test_exact_values_know_no_noise():
    found = drifts(job(changed=(3,)), "base", "small", SAME)
    assert [d.row for d in found if d.drifted] == [3]
    assert {d.p_value for d in found if d.row != 3} == {1.0}


def test_a_difference_too_small_to_matter_is_none():
    ours = job()
    near = [
        dataclasses.replace(a, values=a.values * (1 + 1e-3 * np.arange(P)))
        if a.subject == "small" else a for a in ours
    ]  # fmt: skip
    found = drifts(near, "base", "small", SAME)
    assert all(d.p_value < 0.01 for d in found)
    assert not any(d.drifted for d in found)


def test_discoveries_are_scipys():
    from scipy.stats import false_discovery_control

    rng = np.random.default_rng(0)
    for _ in range(50):
        p = rng.uniform(size=12) ** rng.uniform(1, 4)
        assert discoveries(p, 0.05).tolist() == (false_discovery_control(p) <= 0.05).tolist()


@pytest.mark.parametrize("rows", [(), (3, 4)])
def test_a_share_over_some_rows(rows):
    found = drifts(job(changed=(3,)), "base", "small", SAME)
    told = drifted(found, rows)
    assert [m.n for m in told] == ([2] if rows else [])


@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_one_row_among_many_is_told(noise):
    """Of 400 rows at a share of 0.05, one needs a p-value of 1 / 8,000."""
    found = drifts(job(changed=(3,), noise=noise, rows=400, repeats=12), "base", "small", SAME)
    assert [d.row for d in found if d.drifted] == [3]


@pytest.mark.parametrize(("theirs", "told"), [(0.0, False), (0.5, False), (20.0, True)])
def test_a_base_without_reasons_is_told_from_one_that_has_some(theirs, told):
    """theirs: the length of the other's values in standard errors; the base has none."""
    rng, found = np.random.default_rng(0), []
    for row in range(12):
        values = rng.normal(size=P)
        values *= 0.01 * theirs / np.linalg.norm(values)
        found.append(made(np.zeros(P), row, "base"))
        for subject, of in (("small", values), ("base - small", -values)):
            noisy = dataclasses.replace(made(of, row, subject), stderr=np.full(P, 0.01 / P**0.5))
            found.append(noisy)
    assert {d.drifted for d in drifts(found, "base", "small", SAME)} == {told}
