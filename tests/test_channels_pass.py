"""The pass: how much it removes, of nets with gates and layers that learn nothing, and refusals."""

import pytest

from toolkit.errors import ModelError, RecipeError
from toolkit.models.macs import macs
from toolkit.passes.channels import Channels
from toolkit.passes.ranking import RANKINGS


def test_the_pass_reaches_its_share(cnn, digits):
    step = Channels(share=0.6, steps=2, epochs=1)(cnn, digits.fit)
    before, after = step.facts["macs"]
    assert before == macs(cnn)
    assert after == macs(step.model) <= 0.4 * before
    assert step.facts["parameters"] == [cnn.count_params(), step.model.count_params()]
    widths = step.facts["channels"]
    for layer in step.model.layers:
        if layer.name in widths:
            assert widths[layer.name][1] == layer.output.shape[-1]
    assert list(step.facts["skipped"]) == ["classes"]
    assert len(step.facts["history"]["loss"]) == 2


def test_more_than_can_go_is_said(mlp, digits):
    step = Channels(share=0.999, ranking="l1", steps=1, epochs=1)(mlp, digits.fit)
    assert "all that can go" in step.facts["skipped"]["share"]


WHOLE = {
    "classes: channels stay: the activation softmax": (),
    "narrow: its last channel stays": (("Dense", {"units": 1, "name": "narrow"}),),
    "lstm: LSTM has no rule": (("LSTM", {"units": 4, "name": "lstm"}),),
    "; and 3 more)": (("Dense", {"units": 9}), *[("LayerNormalization", {})] * 4),
}
"""What is told of a net of which no channel can go, and its hidden layers."""


@pytest.mark.parametrize("why", WHOLE)
def test_a_net_of_which_nothing_can_go_is_refused_before_training(why, digits, monkeypatch):
    import keras

    from toolkit.passes import channels

    def trains(*_, **__):
        raise AssertionError("it trains")

    monkeypatch.setattr(channels, "tune", trains)
    rows = [] if "LSTM" in why else [keras.layers.Flatten()]
    hidden = [getattr(keras.layers, kind)(**settings) for kind, settings in WHOLE[why]]
    last = keras.layers.Dense(10, "softmax", name="classes")
    net = keras.Sequential([keras.Input((8, 8)), *rows, *hidden, last])
    with pytest.raises(RecipeError, match="no channel that can go") as caught:
        Channels(epochs=1)(net, digits.fit)
    assert why in str(caught.value)
    assert "leave it out" in str(caught.value)


def test_multiplications_are_those_of_the_whole_net(digits):
    """Also those of layers without a rule, of which nothing goes."""
    import keras

    layers = keras.layers
    read = [layers.Reshape((8, 8)), layers.LSTM(16), layers.Dense(24, "relu")]
    net = keras.Sequential([keras.Input((8, 8, 1)), *read, layers.Dense(10, "softmax")])
    step = Channels(share=0.5, steps=1, epochs=1)(net, digits.fit)
    assert step.facts["macs"] == [macs(net), macs(step.model)]
    assert "% of the multiplications" in step.facts["skipped"]["layers without a rule"]


def gated():
    import keras

    first = keras.Input((8, 8, 1))
    h = keras.layers.Conv2D(4, 3, activation="relu")(first)
    h = keras.layers.Multiply()(
        [h, keras.layers.Conv2D(1, 3, padding="same", activation="sigmoid")(h)]
    )
    h = keras.layers.GlobalAveragePooling2D()(h)
    return keras.Model(first, keras.layers.Dense(10, activation="softmax")(h))


@pytest.mark.parametrize("ranking", sorted(RANKINGS))
def test_a_layer_cut_to_the_width_of_its_gate(ranking, digits):
    step = Channels(share=0.8, steps=2, epochs=1, ranking=ranking)(gated(), digits.fit)
    before, after = step.facts["macs"]
    assert after == macs(step.model) < before
    assert step.model(digits.test.x[:3, ..., None]).shape == (3, 10)


def test_layers_that_no_gradient_reaches_are_refused(digits):
    import keras

    first = keras.Input((8, 8, 1))
    h = keras.layers.Conv2D(8, 3)(keras.ops.stop_gradient(keras.layers.Conv2D(8, 3)(first)))
    h = keras.layers.Dense(10, activation="softmax")(keras.layers.Flatten()(h))
    with pytest.raises(ModelError, match="no gradient of the loss reaches layer conv2d"):
        Channels(epochs=1)(keras.Model(first, h), digits.fit)


@pytest.mark.parametrize(
    "wrong",
    [
        {"share": 0.0}, {"share": 1.0}, {"ranking": "l2"}, {"steps": 0}, {"epochs": -1},
        {"rate": 0.0}, {"teacher": "bse"},
    ],
)  # fmt: skip
def test_wrong_settings(wrong):
    with pytest.raises(RecipeError):
        Channels(**wrong)
