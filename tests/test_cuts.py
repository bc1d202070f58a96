"""Pictures cut in a second way, and what is told of it."""

import dataclasses
import itertools
import math
import re

import numpy as np
import pytest

from toolkit import report
from toolkit.checks import checked
from toolkit.explainers import EXPLAINERS
from toolkit.explainers.choices import Choice
from toolkit.explanation import explain, players_of
from toolkit.fidelity.cuts import PATCHES, coarse, cut_again
from toolkit.glossary import Measurement
from toolkit.predict import predictor
from toolkit.run import from_json, to_json


def test_its_values_are_shapley_values_of_nine_patches(mlp, digits):
    base = predictor(mlp, "base")
    rows = [3, 11]
    players = players_of(digits.test, rows, digits.fit.train)
    shapley = EXPLAINERS["shapley"](samples=600)
    ours = explain([base], shapley, digits.test, rows, background=digits.fit.train)
    measured, cuts = cut_again([base, predictor(mlp, "twin")], shapley, ours, players)
    assert [m.name for m in measured] == [f"reason_place shapley cut:{PATCHES}"]
    assert measured[0].value == pytest.approx(1)
    cut = cuts[1]
    them, target = players[11], next(a.target for a in ours if a.row == 11)
    # the worth of all sets of patches, and the definition of a Shapley value
    sets = [np.array(s, bool) for s in itertools.product([False, True], repeat=PATCHES)]
    shown = [np.where(s[cut.segments][..., None], them.x, them.background[0]) for s in sets]
    worth = dict(zip(map(tuple, sets), base(np.stack(shown))[:, target].tolist(), strict=True))
    for patch in range(PATCHES):
        value = 0.0
        for s in (s for s in sets if not s[patch]):
            joined = s.copy()
            joined[patch] = True
            there = int(s.sum())
            chance = math.factorial(there) * math.factorial(PATCHES - there - 1)
            gain = worth[tuple(joined)] - worth[tuple(s)]
            value += chance / math.factorial(PATCHES) * gain
        assert cut.values["base"][patch] == pytest.approx(value, abs=1e-5)


def test_a_single_model_and_a_table_are_not_cut(mlp, digits, wine, tabular):
    lime = EXPLAINERS["lime"](samples=200)
    for net, splits, copies in ((mlp, digits, 1), (tabular, wine, 2)):
        models = [predictor(net, "base"), predictor(net, "twin")][:copies]
        players = players_of(splits.test, [0], splits.fit.train)
        ours = explain(models, lime, splits.test, [0], background=splits.fit.train)
        assert cut_again(models, lime, ours, players) == ((), ())


def test_each_pixel_has_its_patch(digits):
    them = next(iter(players_of(digits.test, [0], digits.fit.train).values()))
    nine = coarse(them)
    assert len(nine) == PATCHES
    assert (nine.x == them.x).all()
    assert nine.background == pytest.approx(them.background)
    assert sorted(set(nine.segments.ravel().tolist())) == list(range(PATCHES))


def test_both_cuts_are_shown(full_run):
    assert {c.row for c in full_run.cuts} == {d.row for d in full_run.decisions}
    back = from_json(to_json(full_run)).cuts
    assert all((a.segments == b.segments).all() for a, b in zip(back, full_run.cuts, strict=True))
    place = full_run.measured("int8", f"reason_place shapley cut:{PATCHES}")
    assert place.low is not None
    text = report.render(full_run, "reasons")
    assert f"int8, SHAP, {PATCHES} patches" in text
    assert [f.code for f in full_run.findings].count("H2") == 1
    apart = [
        dataclasses.replace(
            c, values={n: v * (1 if n == "base" else -1) for n, v in c.values.items()}
        )
        for c in full_run.cuts
    ]
    flipped = [
        dataclasses.replace(a, values=-a.values) if a.subject == "int8" else a
        for a in full_run.attributions
    ]
    run = dataclasses.replace(full_run, cuts=tuple(apart), attributions=tuple(flipped))
    worst = re.search(r'<section id="worst".*?</section>', report.render(run, "reasons"), re.S)[0]
    assert worst.count("The same picture cut otherwise") == len(full_run.decisions)
    assert "base - int8, row" in worst


def test_the_larger_difference_of_two_cuts_is_told(full_run):
    far = Measurement("prune", "reason_place shapley", 0.9, "", 24, 0.8, 1.0)
    near = Measurement("prune", "reason_place shapley cut:9", 0.4, "", 24, 0.3, 0.5)
    run = dataclasses.replace(
        full_run, findings=(), measurements=(*full_run.measurements, far, near)
    )
    (said,) = (f for f in checked(run).findings if f.code == "H2")
    assert said.subject == "prune"
    assert "0.400, as it was first cut 0.900" in said.sentence


@pytest.mark.parametrize("hidden", ["", "background", "blur"])
def test_the_other_cut_is_hidden_by_the_same(digits, hidden):
    chosen = Choice(hidden=hidden)
    them = players_of(digits.test, [0], digits.fit.train, choice=chosen)[0]
    nine = coarse(them)
    assert nine.background.tobytes() == them.background.tobytes()
    assert nine.hidden == them.hidden
    assert nine.rows()[1] == them.rows()[1]
