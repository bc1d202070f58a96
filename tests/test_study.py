import pytest

from toolkit.errors import BadInput, RecipeError
from toolkit.predict import predictor
from toolkit.study import study


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
    from toolkit.explainers import EXPLAINERS

    quick = [EXPLAINERS[m](samples=200) for m in ("shapley", "lime")]
    found = study([predictor(tabular, "net")], wine, methods=quick, rows=[1, 5])
    assert [d.row for d in found.decisions] == [1, 5]
    assert found.chosen is None
    assert not any(m.name.startswith("reason_cosine") for m in found.measurements)


def test_refusals(wine, tabular):
    net = predictor(tabular, "net")
    with pytest.raises(RecipeError, match="did you mean shapley"):
        study([net], wine, methods=["shaply"])
    with pytest.raises(BadInput, match="distinct"):
        study([net, net], wine)
