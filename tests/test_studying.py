from dataclasses import replace

import pytest

from toolkit.errors import BadInput, RecipeError
from toolkit.explainers import EXPLAINERS
from toolkit.predict import predictor
from toolkit.studying import study


def test_one_run_holds_all_of_it(full_run):
    assert len(full_run.decisions) == 3
    assert {a.method for a in full_run.attributions} == {"shapley", "lime"}
    names = {m.name for m in full_run.measurements}
    assert {"reason_cosine shapley", "reason_floor lime", "deletion_random", "bytes"} <= names
    assert {layer.role for layer in full_run.layers} == {"weights", "activation"}
    # no figure twice, whichever job found it
    keys = [(m.subject, m.name) for m in full_run.measurements]
    assert len(keys) == len(set(keys))


def test_int8_keeps_the_reasons_of_its_base(full_run):
    """The same net with weights rounded to 7 bits: its reasons are at least as near as noise."""
    found = full_run.measured("int8", "reason_cosine shapley")
    assert found.value > 0.98


def test_a_table_with_a_single_model(wine, tabular):
    quick = [EXPLAINERS[m](samples=200) for m in ("shapley", "lime")]
    found = study([predictor(tabular, "net")], wine, methods=quick, rows=[1, 5])
    assert [d.row for d in found.decisions] == [1, 5]
    assert found.chosen is None
    assert not any(m.name.startswith("reason_cosine") for m in found.measurements)


def test_refusals(wine, tabular):
    net = predictor(tabular, "net")
    with pytest.raises(RecipeError, match="did you mean shapley"):
        study([net], wine, methods=["shaply"])
    for unequal in (EXPLAINERS["shapley"](tolerance=0.01), EXPLAINERS["lime"](stable=True)):
        with pytest.raises(RecipeError, match="same questions"):
            study([net, predictor(tabular, "twin")], wine, methods=[unequal])
    with pytest.raises(BadInput, match="distinct"):
        study([net, net], wine)


def test_figures_are_over_rows_drawn_at_random_and_cards_over_those_worth_showing(wine, tabular):
    pair = [predictor(tabular, "net"), predictor(tabular, "twin")]
    quick = [EXPLAINERS["lime"](samples=400)]
    found = study(pair, wine, methods=quick, rows=2, sample=9, seed=3)
    assert len(found.decisions) == 2
    assert found.measured("twin", "reason_place lime").n == 9
    assert len(found.settings["compared"]) == 9
    assert found.settings["methods"]["lime"]["samples"] == 400
    named = study(pair, wine, methods=quick, rows=[1, 5, 7, 9, 11], seed=3)
    assert named.settings["compared"] == [1, 5, 7, 9, 11]
    # a twin gives the same answers for the same reasons, to the bit
    place = found.measured("twin", "reason_place lime")
    cosine = found.measured("twin", "reason_cosine lime")
    assert cosine.value == pytest.approx(1, abs=1e-12)
    assert place.value >= 1
    assert not any(d.drifted for d in found.drifts)
    assert {a.subject for a in found.attributions} == {"net", "twin", "net - twin"}


def test_exact_values_stand_at_one_and_have_a_floor_of_one(wine, tabular):
    """Three background rows and 13 columns: all coalitions can be asked."""
    few = replace(wine, fit=replace(wine.fit, train=wine.fit.train.rows(slice(3))))
    pair = [predictor(tabular, "net"), predictor(tabular, "twin")]
    every = [EXPLAINERS["shapley"](samples=10_000)]
    found = study(pair, few, methods=every, rows=1, sample=9)
    assert all(a.facts["exact"] for a in found.attributions)
    assert found.measured("net", "reason_floor shapley").low == pytest.approx(1, abs=1e-12)
    assert found.measured("twin", "reason_place shapley").low == pytest.approx(1, abs=1e-9)
