"""The laws that every pass obeys; a new pass is found here by itself."""

import dataclasses

import keras
import numpy as np
import pytest
from onnx import helper

from toolkit.errors import RecipeError
from toolkit.exporting import export
from toolkit.passes import PASSES, apply
from toolkit.predict import predictor

# what would take long is asked for less of
QUICK = {
    "cluster": {"epochs": 1},
    "channels": {"steps": 1, "epochs": 1},
    "distil": {"epochs": 2, "teacher": "base"},
    "distil_features": {"epochs": 2, "teacher": "base", "student": "base"},
    "distil_reasons": {"epochs": 2},
    "low_rank": {"energy": 0.6, "epochs": 1},
    "prune": {"epochs": 1},
    "quantise_aware": {"epochs": 1},
}


ON_FILES = sorted(name for name, kind in PASSES.items() if kind.stage == "onnx")


def made(name):
    return PASSES[name](**QUICK.get(name, {}))


@pytest.fixture(scope="module")
def inputs(mlp, digits):
    return {"keras": mlp, "onnx": export(mlp, digits.fit.validation).model}


@pytest.fixture(scope="module")
def steps(inputs, digits):
    """Every pass, run once, with its input as it was before."""
    found = {}
    for name in PASSES:
        step = made(name)
        model = inputs[step.stage]
        before = state(model)
        found[name] = (apply(step, model, digits.fit), before, state(model))
    return found


def state(model):
    if hasattr(model, "SerializeToString"):
        return [model.SerializeToString()]
    return [w.tobytes() for w in model.get_weights()]


@pytest.mark.parametrize("name", sorted(PASSES))
def test_the_input_stays_as_it_is(name, steps):
    _, before, after = steps[name]
    assert before == after


@pytest.mark.parametrize("name", sorted(PASSES))
def test_the_output_is_a_classifier_of_the_same_data(name, steps, digits):
    model = steps[name][0].model
    model = model.SerializeToString() if hasattr(model, "SerializeToString") else model
    p = predictor(model, data=digits.test)(digits.test.x[:9])
    assert p.shape == (9, 10)
    assert np.allclose(p.sum(axis=1), 1, atol=1e-3)


@pytest.mark.parametrize("name", sorted(PASSES))
def test_facts_are_json_and_name_the_pass(name, steps):
    import json

    facts = steps[name][0].facts
    assert facts["pass"] == name
    assert facts["settings"] == json.loads(json.dumps(dataclasses.asdict(made(name))))
    assert json.loads(json.dumps(facts, allow_nan=False)) == facts


@pytest.mark.parametrize("name", sorted(PASSES))
def test_settings_are_few_frozen_and_keyword_only(name):
    step = made(name)
    assert len(dataclasses.fields(step)) <= 6
    assert PASSES[name]() == PASSES[name]()
    with pytest.raises(dataclasses.FrozenInstanceError):
        step.anything = 1
    if dataclasses.fields(step):
        with pytest.raises(TypeError):
            PASSES[name](1)


@pytest.mark.parametrize("name", sorted(PASSES))
@pytest.mark.parametrize("endless", [float("inf"), float("nan")])
def test_numbers_without_end_are_refused(name, endless):
    for field in dataclasses.fields(PASSES[name]):
        if isinstance(field.default, float):
            with pytest.raises(RecipeError, match=str(endless)):
                PASSES[name](**{field.name: endless})


@pytest.mark.parametrize("name", sorted(PASSES))
def test_the_wrong_stage_is_refused(name, inputs, digits):
    step = made(name)
    other = inputs["onnx" if step.stage == "keras" else "keras"]
    with pytest.raises(RecipeError, match="stage"):
        apply(step, other, digits.fit)


@pytest.mark.parametrize("name", ON_FILES)
def test_metadata_stays(name, inputs, digits):
    named = type(inputs["onnx"])()
    named.CopyFrom(inputs["onnx"])
    said = {"classes": "\n".join(f"digit {i}" for i in range(10))}
    helper.set_model_props(named, said)
    step = apply(made(name), named, digits.fit)
    assert {p.key: p.value for p in step.model.metadata_props}.items() >= said.items()


@pytest.fixture(scope="module")
def frozen(mlp):
    """The same net, all of whose layers but the last were frozen when it was made."""
    made = keras.models.clone_model(mlp)
    made.set_weights(mlp.get_weights())
    for layer in made.layers[:-1]:
        layer.trainable = False
    return made


@pytest.mark.parametrize("name", sorted(PASSES))
def test_the_same_seed_gives_the_same_model(name, steps, inputs, frozen, digits):
    """Of a net with frozen layers too: what a pass has changed it trains."""
    step = made(name)
    given = {"keras": frozen, "onnx": inputs["onnx"]}[step.stage]
    again = apply(step, given, digits.fit)
    assert state(again.model) == state(steps[name][0].model)
    if name in ("channels", "low_rank", "distil_features"):
        assert "thawed" not in steps[name][0].facts["training"]
        assert len(again.facts["training"]["thawed"]) >= 2
    # what was given stays as it was
    assert not any(layer.trainable for layer in frozen.layers[:-1])
    assert frozen.layers[-1].trainable


def test_a_pass_cannot_ask_for_test_data(digits):
    given = {field.name for field in dataclasses.fields(digits.fit)}
    assert given == {"train", "validation", "calibration", "base", "unlabelled"}
    assert not any(part is digits.test for part in vars(digits.fit).values())
