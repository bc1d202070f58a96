import numpy as np
import pytest

from toolkit.pareto import hypervolume
from toolkit.passes import PASSES
from toolkit.recipe import Recipe
from toolkit.space import useful
from toolkit.surrogate import Trial, expected_seconds, ranked
from toolkit.traits import features

SPACE = useful()
WORST = (100_000.0, 5.0)


def landscape(seed):
    """Bytes and drops of every recipe, as nets behave: effects of passes that nearly add up."""
    rng = np.random.default_rng(seed)
    bits = {"float16": 0.5, "int8": 0.27, "int8-dynamic": 0.3, "int8-qat": 0.27,
            "int4-qat": 0.15, "int4-weights": 0.17}  # fmt: skip
    loss = {"float16": 0, "int8": 0.4, "int8-dynamic": 0.3, "int8-qat": 0.1,
            "int4-qat": 0.6, "int4-weights": 0.7}  # fmt: skip
    size = {"25": 0.3, "50": 0.5, "75": 0.8, "rank": 0.7}
    found = {}
    for r in SPACE:
        endings = ("int8-dynamic", "int8-qat", "int4-qat", "int4-weights", "float16", "int8")
        ending = next((e for e in endings if r.name.endswith(e)), "")
        part = next((s for s in size if s in r.name), "")
        nbytes = 80_000 * bits.get(ending, 1) * size.get(part, 1) * rng.uniform(0.95, 1.05)
        drop = loss.get(ending, 0) + {"25": 2.5, "50": 0.8, "75": 0.2}.get(part, 0.1)
        found[r.name] = (int(nbytes), drop + rng.normal(0, 0.15), 2.0 + 8 * r.name.endswith("qat"))
    return found


def searched(known, trials, seed):
    done = []
    rest = list(SPACE)
    while len(done) < trials:
        now = ranked(done, rest, WORST, seed=seed)[0]
        rest.remove(now)
        done.append(Trial(now, *known[now.name]))
    return done


def room(points):
    return hypervolume(np.array([[np.log(b), d] for b, d, _ in points]), (np.log(WORST[0]), 5.0))


def test_a_quarter_of_the_trials_finds_nearly_all_and_more_than_chance():
    shares, chance = [], []
    for seed in range(8):
        known = landscape(seed)
        whole = room(known.values())
        tried = searched(known, len(SPACE) // 4, seed)
        shares.append(room([known[t.recipe.name] for t in tried]) / whole)
        rng = np.random.default_rng(seed)
        for _ in range(20):
            some = rng.choice(len(SPACE), len(SPACE) // 4, replace=False)
            chance.append(room([known[SPACE[i].name] for i in some]) / whole)
    assert np.mean(shares) > 0.95
    assert np.mean(shares) > np.mean(chance)


def test_effects_that_add_up_are_learnt_from_those_that_were_seen():
    """Of seconds, whose model is that of the others: what no trial held is right all the same."""
    known = {r.name: 3.0 * (1 + 4 * ("qat" in r.name)) * (1 + ("distil" in r.name)) for r in SPACE}
    shown = [r for r in SPACE if r.name not in ("distil-int8-qat", "distil-50-int4-qat")]
    done = [Trial(r, 1000, 0.0, known[r.name]) for r in shown[::2]]
    rest = [r for r in SPACE if r not in shown]
    assert expected_seconds(done, rest) == pytest.approx([known[r.name] for r in rest], rel=0.1)


def test_a_search_of_what_fails_ends_elsewhere():
    """Where four bits ruin every net, nothing more of four bits comes before the rest."""
    known = {r.name: (20_000 if "int4" in r.name else 40_000, 60.0 * ("int4" in r.name), 1.0)
             for r in SPACE}  # fmt: skip
    done = searched(known, 14, 0)
    assert sum("int4" in t.recipe.name for t in done) <= 4


def test_nothing_known_keeps_the_order_and_the_same_seed_the_choice():
    assert ranked([], SPACE, WORST) == list(SPACE)
    done = searched(landscape(0), 5, 0)
    rest = [r for r in SPACE if r not in [t.recipe for t in done]]
    assert ranked(done, rest, WORST, seed=1) == ranked(done, rest, WORST, seed=1)
    assert ranked(done, [], WORST) == []


def test_time_is_learnt_from_what_took_long():
    known = landscape(0)
    done = [Trial(r, *known[r.name]) for r in SPACE[::3]]
    rest = [r for r in SPACE if r not in SPACE[::3]]
    took = expected_seconds(done, rest)
    slow = np.array([r.name.endswith("qat") for r in rest])
    assert took[slow].min() > took[~slow].max()
    assert took[slow].mean() == pytest.approx(10, rel=0.3)


def test_recipes_that_differ_in_a_word_are_told_apart():
    """As by whom a student is taught; what all with a pass have in common tells none apart."""
    words = [Recipe(t, (PASSES["distil"](teacher=t),)) for t in ("auto", "base")]
    rows = features(words)
    assert not np.array_equal(*rows)
    assert features(words[:1]).shape == (1, 1)
