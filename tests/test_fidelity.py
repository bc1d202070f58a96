import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from toolkit.errors import MatchError
from toolkit.fidelity import compare, floor, reasons
from toolkit.glossary import Attribution

VALUES = arrays(float, 6, elements=st.integers(-20, 20).map(lambda v: v / 20))


def made(values, row=0, subject="base", method="shapley"):
    values = np.array(values, float)
    return Attribution(method, subject, row, values, 0 * values, 0.1, 0.9, 1, 10, 0, True)


@given(VALUES)
def test_a_vector_beside_itself_is_the_same(values):
    assert all(v == pytest.approx(1) for v in compare(made(values), made(values)).values())


@given(VALUES, VALUES)
def test_figures_are_numpys_and_scipys(a, b):
    found = compare(made(a), made(b))
    if np.linalg.norm(a) and np.linalg.norm(b):
        cosine = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
        assert found["cosine"] == pytest.approx(cosine, abs=1e-9)
    if len(set(a)) > 1 and len(set(b)) > 1:
        assert found["spearman"] == pytest.approx(stats.spearmanr(a, b).statistic, abs=1e-9)
    assert -1 <= found["cosine"] <= 1
    assert 0 <= found["top3"] <= 1
    assert 0 <= found["sign"] <= 1


def test_by_hand():
    found = compare(made([4, -2, 1, 0]), made([4, 2, 0, 1]))
    assert found["cosine"] == pytest.approx((16 - 4) / 21)
    assert found["top3"] == pytest.approx(2 / 3)
    assert found["sign"] == pytest.approx(4 / 7)


def test_one_that_finds_nothing_shares_nothing():
    assert compare(made([0, 0]), made([1, 0]))["cosine"] == 0
    assert compare(made([0, 0]), made([0, 0]))["cosine"] == 1


def test_players_that_moved_nothing_are_no_shared_reasons():
    some, none = made([0.3, 0.2, 0.1, 0, 0, 0]), made([0] * 6)
    for one, other in ((some, none), (none, some)):
        assert compare(one, other) == {"cosine": 0, "spearman": 0, "top3": 0, "sign": 0}
    assert set(compare(none, none).values()) == {1}
    assert compare(made([1, 0, 0, 0]), made([0, 1, 0, 0]))["top3"] == 0


def test_other_rows_or_targets_are_refused():
    with pytest.raises(MatchError, match="row 0"):
        compare(made([1, 2]), made([1, 2], row=1))
    with pytest.raises(MatchError):
        compare(made([1, 2]), dataclasses.replace(made([1, 2]), target=0))


def test_figures_over_rows():
    rng = np.random.default_rng(0)
    ours = [made(rng.normal(size=5), row) for row in range(20)]
    theirs = [made(a.values + 0.3 * rng.normal(size=5), a.row, "small") for a in ours]
    found = {m.name: m for m in reasons([*ours, *theirs], "base", "small")}
    cosines = [compare(a, b)["cosine"] for a, b in zip(ours, theirs, strict=True)]
    mean = found["reason_cosine shapley"]
    assert mean.value == pytest.approx(np.mean(cosines))
    # the bootstrap beside the normal interval of a mean of 20
    half = 1.96 * np.std(cosines, ddof=1) / 20**0.5
    assert mean.high - mean.low == pytest.approx(2 * half, rel=0.35)
    assert found["reason_cosine_p5 shapley"].value == pytest.approx(np.quantile(cosines, 0.05))
    assert {m.subject for m in found.values()} == {"small"}


def test_the_floor_is_a_model_beside_itself():
    first = [made([1, 0], row) for row in range(3)]
    again = [made([1, 1], row) for row in range(3)]
    (one,) = floor(first, again)
    assert one.name == "reason_floor shapley"
    assert one.value == pytest.approx(0.5**0.5)
