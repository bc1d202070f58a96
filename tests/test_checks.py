from dataclasses import replace
from pathlib import Path

import pytest

from toolkit.checks import CHECKS, checked
from toolkit.glossary import Artifact, LayerError, Measurement
from toolkit.report.strings import speaking, spoken
from toolkit.run import Run


def made(*measurements, command="compress", chosen="small"):
    data = {"classes": ["a", "b"]}
    return Run("t", "now", command, "base", chosen, data, measurements=measurements)


def codes(run):
    return [f.code for f in checked(run).findings]


def accuracy(value, low, n=5000):
    return Measurement("base", "accuracy", value, "%", n, low, 100.0)


def informed(subject, low):
    return Measurement(subject, "informedness", 0.1, "", 5000, low, 0.2)


def test_a_good_run_has_nothing_to_say():
    assert codes(made(accuracy(95, 94), informed("base", 0.01))) == []


@pytest.mark.parametrize(
    ("run", "code"),
    [
        (made(accuracy(95, 94), chosen=None), "N1"),
        (made(accuracy(52, 49), informed("base", -0.1)), "W1"),
        (made(accuracy(95, 90, n=100)), "F1"),
        (made(Measurement("s", "accuracy_drop", 2, "points", 9, 0.5, 3)), "L1"),
        (made(Measurement("s", "accuracy", 52, "%", 5000, 49, 55), informed("s", 0.0)), "W2"),
        (made(Measurement("s", "reason_place shapley", 0.9, "", 3)), "F2"),
        (made(Measurement("base", "reason_floor shapley", 0.8, "", 24, 0.7, 0.9)), "N2"),
        (made(Measurement("s", "reason_drift lime", 0.125, "", 24, 0.03, 0.3)), "D2"),
        (made(Measurement("s", "reason_cosine lime", 0.9, "", 24, 0.8, 1.0)), "H1"),
        (made(Measurement("s", "latency_ratio", 1.4, "x", 9, 1.3, 1.5)), "S1"),
        (made(Measurement("base", "bytes", 9, "B", 1), Measurement("s", "bytes", 9, "B", 1)), "S2"),
    ],
)
def test_each_check_speaks_when_it_must(run, code):
    assert codes(run) == [code]


@pytest.mark.parametrize(
    ("ratios", "said"),
    [([1.4], "here: 1.40 times its time"), ([1.4, 2.25, 1.1], "here: 1.10 to 2.25 times its time")],
)
def test_how_much_slower_is_told_as_numbers(ratios, said):
    """And not as a text of them, which a page in German would leave with their points."""
    measured = [
        Measurement(f"s{i}", "latency_ratio", r, "x", 9, r - 0.05, r + 0.1)
        for i, r in enumerate(ratios)
    ]
    (found,) = checked(made(*measured)).findings
    assert said in found.sentence
    assert {type(value) for value in found.values.values()} == {float}


def test_a_linear_model_that_does_not_fit_is_told():
    (said,) = checked(made(Measurement("s", "r2 lime", 0.08, "", 12, 0.03, 0.14))).findings
    assert said.code == "G3"
    assert "gives 8 % of the answers of s again" in said.sentence
    assert codes(made(Measurement("s", "r2 lime", 0.31, "", 12, 0.2, 0.4))) == []


def test_every_check_has_a_code_in_its_docstring():
    seen = [check.__doc__.split(":")[0] for check in CHECKS]
    assert len(set(seen)) == len(seen)


def test_a_loss_within_chance_is_not_called_a_loss():
    assert codes(made(Measurement("s", "accuracy_drop", 2, "points", 9, -0.5, 3))) == []


def test_classes_that_nothing_tests_are_named():
    run = made(accuracy(95, 94))
    lonely = replace(run, data={**run.data, "untested": ["b"]})
    (said,) = checked(lonely).findings
    assert (said.code, said.severity) == ("T1", "warning")
    assert "1 of 2 classes have no test row (b)" in said.sentence
    held = replace(run, data={**run.data, "tested_by": "validation part"})
    (said,) = checked(held).findings
    assert "its validation part tests" in said.sentence
    counted = replace(run, data={**run.data, "dropped": ["Id"]})
    assert "left out: Id" in checked(counted).findings[0].sentence


@pytest.mark.parametrize(
    ("saturated", "used", "said", "advice"),
    [
        (0.05, 0.9, "5 % of its values lie beyond", "more rows"),
        (0.0123456, 0.9, "1.2 % of its values lie beyond", "more rows"),
        (0.0, 0.1, "only 10 % of the integer levels", "calibration = mse"),
        (0.0, 0.9, "keeps 12 dB", 'keep_float = ["b:0"], which takes about 600 bytes'),
    ],
)
def test_the_layer_at_fault_is_named_with_its_cause(saturated, used, said, advice):
    errors = (
        LayerError("int8", "a:0", "Conv", 30.0, 0.99, 0.9, 0.0, 0.001, 100),
        LayerError("int8", "b:0", "Conv", 12.0, 0.9, used, saturated, 0.02, 200),
    )
    found = next(f for f in checked(replace(made(), layer_errors=errors)).findings)
    assert (found.code, found.severity, found.subject) == ("Q1", "warning", "int8")
    assert "Conv b:0" in found.sentence
    assert said in found.next_step
    assert advice in found.next_step
    # what it says is chosen as it runs, and can still be said in every language
    with speaking("de"):
        assert all(map(spoken, found.said))


def test_what_other_cpus_answer_is_told():
    spread = Measurement("s", "target_spread", 11.0, "points", 697)
    clipped = Measurement("s", "accuracy target:avx2", 81.35, "%", 697, 78.0, 84.0)
    exact = Measurement("s", "accuracy target:vnni", 92.4, "%", 697, 90.0, 94.0)
    (said,) = checked(made(spread, clipped, exact)).findings
    assert (said.code, said.severity) == ("Q3", "warning")
    assert "81.3 % of 697 rows on x86 CPUs without VNNI" in said.sentence
    assert "92.4 % on others" in said.sentence
    assert codes(made(replace(spread, value=0.1), clipped, exact)) == []
    assert codes(made(clipped, exact)) == []


def test_drifted_rows_are_counted():
    run = made(Measurement("s", "reason_drift lime", 0.125, "", 24, 0.03, 0.3))
    (said,) = checked(run).findings
    assert "in 3 of 24 rows by lime" in said.sentence
    assert codes(made(Measurement("s", "reason_drift lime", 0.0, "", 24, 0, 0.1))) == []


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"calibration_rows": 12, "calibration_classes": 5}, "12 rows:"),
        ({"calibration_rows": 200, "calibration_classes": 1}, "200 rows of one class"),
        ({"calibration_rows": 200, "calibration_classes": 2}, None),
        ({"calibration_rows": 200, "calibration_alike": True}, "200 rows that are all alike"),
    ],
)
def test_few_rows_of_calibration_are_told_with_their_number(facts, said):
    artifact = Artifact("int8", Path("int8.onnx"), "", (facts,), "", 1)
    found = [f for f in checked(replace(made(), artifacts=(artifact,))).findings if f.code == "Q2"]
    assert len(found) == (said is not None)
    assert all(said in f.sentence for f in found)


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"same_answers": 0.996, "rows_compared": 2000, "float_layers": {}}, "8 of 2,000 rows"),
        ({"same_answers": 0.999, "rows_compared": 2000, "float_layers": {}}, None),
        ({"same_answers": 0.996, "rows_compared": 2000}, None),
    ],
)
def test_integers_that_answer_otherwise_than_what_was_trained_are_told(facts, said):
    artifact = Artifact("int8", Path("int8.onnx"), "", ({"pass": "export", **facts},), "", 1)
    found = checked(replace(made(), artifacts=(artifact,))).findings
    assert [f.code for f in found] == ["Q6"] * (said is not None)
    assert all(said in f.sentence for f in found)


def test_values_that_do_not_add_up_are_told():
    run = made(Measurement("s", "gap integrated", 0.05, "", 12, 0.03, 0.07))
    (said,) = checked(run).findings
    assert (said.code, said.severity) == ("G2", "warning")
    assert "By integrated values are 0.050 from adding up" in said.sentence
    assert codes(made(Measurement("s", "gap integrated", 0.01, "", 12, 0.0, 0.02))) == []


@pytest.mark.parametrize(("rows", "said"), [(9, "about 30 points"), (30, "about 10 points")])
def test_large_figures_have_no_exponent(rows, said):
    (found,) = checked(made(accuracy(95, 90, n=rows))).findings
    assert said in found.sentence


@pytest.mark.parametrize(("made_by", "told"), [("dynamic_int8", ["Q4"]), ("static_int8", [])])
def test_ranges_of_a_call_are_told(made_by, told):
    artifact = Artifact("small", Path("small.onnx"), "", ({"pass": made_by},), "", 1)
    run = checked(replace(made(), artifacts=(artifact,)))
    assert [f.code for f in run.findings] == told
    assert all("rows that are asked together" in f.sentence for f in run.findings)
