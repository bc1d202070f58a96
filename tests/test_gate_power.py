"""The gate at work: other reasons are caught, the same model in another form is not.

Small: benchmarks/reasons_power.py has 20 and 100 trials, pictures and growing damage.
"""

from dataclasses import replace

import numpy as np
import onnx
import pytest

from toolkit import models
from toolkit.explainers import EXPLAINERS
from toolkit.exporting import export
from toolkit.gate import enough, verdicts
from toolkit.glossary import Fit
from toolkit.passes import PASSES
from toolkit.predict import OnnxPredictor, predictor
from toolkit.studying import study
from toolkit.training import Settings, train

METHOD = [EXPLAINERS["lime"](samples=4096)]


def with_column(some, values):
    x = np.concatenate([some.x, np.asarray(values)[:, None]], axis=1).astype(np.float32)
    return replace(some, x=x, features=(*some.features, "reference"))


@pytest.fixture(scope="module")
def leaked(wine):
    """Wine with a column that meant nothing to the base and gives the label away to the other."""
    rng = np.random.default_rng(0)
    fit, noise = wine.fit, lambda some: with_column(some, rng.integers(-1, 2, len(some)))
    fit = Fit(*(noise(part) for part in (fit.train, fit.validation, fit.calibration)))
    base, _ = train(models.build("tabular", fit.train), fit, Settings(epochs=25, batch=16))
    told = with_column(wine.fit.train, wine.fit.train.y - 1)
    # without the other columns there is nothing else to learn from
    only = replace(told, x=told.x[rng.permutation(len(told))])
    only.x[:, -1] = told.y - 1
    both = replace(told, x=np.concatenate([told.x, only.x]), y=np.tile(told.y, 2))
    other, _ = train(base, replace(fit, train=both), Settings(epochs=25, batch=16))
    test = with_column(wine.test, wine.test.y - 1)
    return base, other, replace(wine, fit=replace(fit, train=told), test=test)


def test_a_model_that_leans_on_a_leaked_column_is_caught_and_the_column_named(leaked):
    base, other, splits = leaked
    pair = [predictor(base, "base"), predictor(other, "other")]
    run = study(pair, splits, methods=METHOD, rows=1, sample=enough(0.9))
    # the answers alone hide it
    assert run.measured("other", "agreement").value > 90
    assert run.measured("other", "accuracy").value >= run.measured("base", "accuracy").value
    (verdict,) = verdicts(run, 0.9)
    assert not verdict.passed
    assert "does not reach 0.9" in verdict.sentence
    (said,) = [f for f in run.findings if f.code == "G1"]
    assert "'reference'" in said.sentence
    assert any(d.drifted for d in run.drifts)


def test_other_forms_of_the_same_model_pass(leaked):
    base, _, splits = leaked
    graph = export(base, splits.fit.validation).model
    twin = onnx.ModelProto.FromString(graph.SerializeToString())
    for number, node in enumerate(twin.graph.node):
        node.name = f"renamed {number}"
    forms = {
        "base": graph,
        "again": export(base, splits.fit.validation).model,
        "float16": PASSES["float16"]()(graph, splits.fit).model,
        "renamed": twin,
    }
    asked = [OnnxPredictor(m.SerializeToString(), name) for name, m in forms.items()]
    run = study(asked, splits, methods=METHOD, rows=1, sample=enough(0.9))
    found = verdicts(run, 0.9)
    assert [v.passed for v in found] == [True] * 3
    assert min(v.low for v in found) > 0.99
    assert not any(d.drifted for d in run.drifts)
    assert not [f for f in run.findings if f.code == "G1"]
