import dataclasses

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from toolkit.errors import MatchError
from toolkit.fidelity import compare, reasons
from toolkit.fidelity.measures import FIGURES, mean
from toolkit.fidelity.scale import ceiling, place, random_cosine, scale
from toolkit.glossary import Attribution
from toolkit.means import LEAST, resamples

VALUES = arrays(float, 6, elements=st.integers(-20, 20).map(lambda v: v / 20))
LIKENESS = [name for name in FIGURES if name not in ("moved", "shift")]


def made(values, row=0, subject="base", method="shapley", prediction=0.9):
    values = np.array(values, float)
    return Attribution(method, subject, row, values, 0 * values, 0.1, prediction, 1, 10, 0, True)


@given(VALUES)
def test_a_vector_beside_itself_is_the_same(values):
    found = compare(made(values), made(values))
    assert all(found[name] == pytest.approx(1) for name in LIKENESS)
    assert found["moved"] == found["shift"] == 0


@given(VALUES, VALUES)
@example(np.array([0, 0, 0, 0, 0, -0.5]), np.array([0, 0, 0, 0, 0.05, 0.05]))
def test_figures_are_numpys_and_scipys(a, b):
    found = compare(made(a), made(b))
    if np.linalg.norm(a) and np.linalg.norm(b):
        cosine = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
        assert found["cosine"] == pytest.approx(cosine, abs=1e-9)
    if len(set(a)) > 1 and len(set(b)) > 1:
        assert found["spearman"] == pytest.approx(stats.spearmanr(a, b).statistic, abs=1e-9)
    assert -1 <= found["cosine"] <= 1
    for name in ("top3", "rank3", "signed_top3", "sign", "moved"):
        assert 0 <= found[name] <= 1
    assert found["rank3"] <= found["top3"] + 1e-12
    assert found["signed_top3"] <= found["top3"] + 1e-12


def test_by_hand():
    found = compare(made([4, -2, 1, 0]), made([4, 2, 0, 1], prediction=0.7))
    assert found["cosine"] == pytest.approx((16 - 4) / 21)
    assert found["top3"] == pytest.approx(2 / 3)
    assert found["rank3"] == pytest.approx(2 / 3)
    assert found["signed_top3"] == pytest.approx(1 / 3)
    assert found["sign"] == pytest.approx(4 / 7)
    assert found["moved"] == pytest.approx((4 + 1 + 1) / 14)
    assert found["shift"] == pytest.approx(0.2)


def test_the_same_players_in_another_order_share_no_place():
    found = compare(made([3, 2, 1, 0]), made([1, 3, 2, 0]))
    assert (found["top3"], found["rank3"], found["signed_top3"]) == (1, 0, 1)


def test_one_that_finds_nothing_shares_nothing():
    assert compare(made([0, 0]), made([1, 0]))["cosine"] == 0
    assert compare(made([0, 0]), made([0, 0]))["cosine"] == 1


def test_players_that_moved_nothing_are_no_shared_reasons():
    some, none = made([0.3, 0.2, 0.1, 0, 0, 0]), made([0] * 6)
    for one, other in ((some, none), (none, some)):
        found = compare(one, other)
        assert {found[name] for name in LIKENESS} == {0}
        assert found["moved"] == 1
    same = compare(none, none)
    assert {same[name] for name in LIKENESS} == {1}
    assert compare(made([1, 0, 0, 0]), made([0, 1, 0, 0]))["top3"] == 0


def test_other_rows_or_targets_are_refused():
    with pytest.raises(MatchError, match="row 0"):
        compare(made([1, 2]), made([1, 2], row=1))
    with pytest.raises(MatchError):
        compare(made([1, 2]), dataclasses.replace(made([1, 2]), target=0))


@pytest.fixture
def two():
    """Twenty rows of two models, the second near the first."""
    rng = np.random.default_rng(0)
    ours = [made(rng.normal(size=5), row) for row in range(20)]
    theirs = [made(a.values + 0.3 * rng.normal(size=5), a.row, "small") for a in ours]
    return (
        ours,
        theirs,
        np.array([compare(a, b)["cosine"] for a, b in zip(ours, theirs, strict=True)]),
    )


def test_figures_over_rows(two):
    ours, theirs, cosines = two
    found = {m.name: m for m in reasons([*ours, *theirs], "base", "small")}
    its = found["reason_cosine shapley"]
    assert its.value == pytest.approx(np.mean(cosines))
    # beside the normal interval of a mean of 20: longer to the left, where the tail is
    half = 1.96 * np.std(cosines, ddof=1) / 20**0.5
    assert its.value - its.low > half > its.high - its.value > 0
    assert found["reason_cosine_p5 shapley"].value == pytest.approx(np.quantile(cosines, 0.05))
    assert {m.subject for m in found.values()} == {"small"}


@pytest.mark.parametrize("n", [5, 8, 24])
def test_the_interval_of_a_mean_holds_where_likenesses_crowd_below_one(n):
    """95 % less four standard errors of 400 trials; percentiles of the same resamples hold less."""
    rng = np.random.default_rng(0)
    rows = 1 - rng.exponential(0.1, (400, n))
    found = [mean("small", "cosine", values, 0) for values in rows]
    held = np.mean([m.low <= 0.9 <= m.high for m in found])
    assert held > 0.95 - 4 * (0.95 * 0.05 / 400) ** 0.5
    ends = [np.quantile(v[resamples(n, 0)].mean(axis=1), (0.025, 0.975)) for v in rows]
    assert np.mean([low <= 0.9 <= high for low, high in ends]) < held
    assert all(-1 <= m.low <= m.value <= m.high <= 1 for m in found)


def test_equal_rows_have_no_interval_to_tell():
    m = mean("small", "cosine", np.full(8, 0.7), 0)
    assert (m.low, m.high) == (m.value, m.value)


def test_what_float32_cannot_tell_is_no_other_reason():
    rng = np.random.default_rng(0)
    one = made(1e-8 * rng.normal(size=5))
    other = made(1e-8 * rng.normal(size=5), subject="small")
    found = compare(one, other)
    assert (found["cosine"], found["top3"], found["moved"]) == (1, 1, 0)
    # ten million times as large, the same two share little
    apart = [made(1e7 * a.values, subject=a.subject) for a in (one, other)]
    assert compare(*apart)["cosine"] < 0.9
    # and beside something that can be told, nothing is nothing
    assert compare(one, made(rng.normal(size=5), subject="small"))["cosine"] == 0


def test_figures_over_some_rows_and_groups(two):
    ours, theirs, cosines = two
    groups = {"class:a": range(LEAST), "class:b": range(10, 10 + LEAST - 1)}
    found = {
        m.name: m for m in reasons([*ours, *theirs], "base", "small", rows=range(8), groups=groups)
    }
    assert found["reason_cosine shapley"].value == pytest.approx(cosines[:8].mean())
    part = found["reason_cosine shapley class:a"]
    assert (part.n, part.value) == (LEAST, pytest.approx(cosines[:LEAST].mean()))
    assert "reason_cosine shapley class:b" not in found


def test_the_floor_is_a_model_beside_itself():
    first = [made([1, 0], row) for row in range(3)]
    again = [made([1, 1], row) for row in range(3)]
    floor, null = scale(first, again, "base")
    assert floor.name == "reason_floor shapley"
    assert floor.value == pytest.approx(0.5**0.5)
    assert null.name == "reason_null shapley"
    assert null.value == pytest.approx(0.5)


@settings(max_examples=20)
@given(VALUES)
def test_random_attributions_are_the_mean_over_every_permutation(values):
    from itertools import permutations

    if not values.any():
        assert random_cosine(values) == 1
        return
    dealt = [compare(made(values), made(p))["cosine"] for p in permutations(values)]
    assert random_cosine(values) == pytest.approx(np.mean(dealt), abs=1e-9)


def test_exact_values_have_a_floor_of_one_and_equal_reasons_stand_there(two):
    ours, _, _ = two
    same = [dataclasses.replace(a, subject="small") for a in ours]
    floor, _ = scale(ours, ours, "base")
    assert (floor.value, floor.low, floor.high) == pytest.approx((1, 1, 1))
    (found,) = place([*ours, *same], ours, "base", "small")
    assert (found.value, found.low, found.high) == pytest.approx((1, 1, 1))


def test_the_place_of_dealt_values_is_that_of_chance():
    rng = np.random.default_rng(1)
    ours = [made(rng.normal(size=8), row) for row in range(200)]
    dealt = [made(rng.permutation(a.values), a.row, "small") for a in ours]
    (found,) = place([*ours, *dealt], ours, "base", "small")
    assert found.low < 0 < found.high
    assert found.high - found.low < 0.3


def test_the_interval_of_the_place_covers(two):
    """A known population: of samples of 30 rows, about 95 in 100 hold its place."""
    rng = np.random.default_rng(2)
    ours = [made(rng.normal(size=6), row) for row in range(3000)]
    theirs = [made(a.values + 0.5 * rng.normal(size=6), a.row, "small") for a in ours]
    (whole,) = place([*ours, *theirs], ours, "base", "small")
    hits = 0
    for trial in range(100):
        rows = rng.permutation(3000)[:30]
        some = [m[r] for m in (ours, theirs) for r in rows]
        (found,) = place(some, ours, "base", "small", seed=trial)
        hits += found.low <= whole.value <= found.high
    # 0.95 nominal; a bootstrap of 30 skew values covers a little less; 3 standard errors below .93
    assert hits >= 85


def test_a_single_player_has_no_place():
    ours = [made([1.0], row) for row in range(9)]
    same = [dataclasses.replace(a, subject="small") for a in ours]
    assert place([*ours, *same], ours, "base", "small") == ()


def test_a_retrained_base_is_the_ceiling(two):
    ours, theirs, cosines = two
    (found,) = ceiling([*ours, *theirs], "small", "base")
    assert (found.subject, found.name) == ("base", "reason_ceiling shapley")
    assert found.value == pytest.approx(cosines.mean())


@pytest.mark.parametrize("size", [0.0, 1e-12, 1e-8])
def test_rows_of_rounding_alone_weigh_nothing_in_the_place(size):
    """Rows in which nobody moves anything are no agreement, whatever their last bits are."""
    rng = np.random.default_rng(0)
    ours = [made(rng.normal(size=6), row) for row in range(12)]
    theirs = [made(a.values + 0.7 * rng.normal(size=6), a.row, "small") for a in ours]
    silent = [
        made(size * rng.normal(size=6), row, who)
        for row in range(12, 40)
        for who in ("base", "small")
    ]
    (alone,) = place([*ours, *theirs], ours, "base", "small")
    again = [*ours, *(a for a in silent if a.subject == "base")]
    (among,) = place([*ours, *theirs, *silent], again, "base", "small")
    assert among.value == pytest.approx(alone.value, abs=1e-12)
    assert alone.value < 0.95
    # and of such rows alone there is no scale
    assert place(silent, again, "base", "small") == ()
