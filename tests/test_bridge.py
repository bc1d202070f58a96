"""Keras 3 <-> tf_keras: the same answers both ways, and what cannot cross is named."""

import subprocess
import sys

import numpy as np
import pytest

from toolkit.bridge import answering, to_keras, to_tf_keras, weights_back
from toolkit.errors import ModelError


def sequential(shape, *layers):
    import keras

    return keras.Sequential([keras.layers.Input(shape), *layers, keras.layers.Dense(3, "softmax")])


def branches():
    """Sums, concatenation, a nested model used twice, keras.ops between layers."""
    import keras
    from keras import layers, ops

    inner = keras.Sequential([layers.Input((8, 8, 4)), layers.Conv2D(4, 3, padding="same")])
    first = layers.Input((8, 8, 3))
    x = layers.BatchNormalization()(layers.Conv2D(4, 3, padding="same", use_bias=False)(first))
    x = ops.relu(inner(inner(x)) + x) * 0.5
    x = layers.Concatenate()([x, layers.SeparableConv2D(2, 3, padding="same")(x)])
    x = ops.mean(layers.LeakyReLU(negative_slope=0.1)(x), axis=(1, 2))
    return keras.Model(first, layers.Dense(3)(x))


def attention():
    import keras
    from keras import layers

    first = layers.Input((7, 4))
    mixed = layers.LayerNormalization()(first + layers.MultiHeadAttention(2, 3)(first, first))
    return keras.Model(first, layers.Dense(3, "softmax")(layers.GlobalAveragePooling1D()(mixed)))


def nets():
    from keras import layers

    return {
        "dense": sequential((6,), layers.Dense(5, "relu"), layers.Dropout(0.5)),
        "convolutions": sequential(
            (8, 8, 3),
            layers.Rescaling(1 / 255),
            layers.Conv2D(4, 3, activation="relu6"),
            layers.BatchNormalization(),
            layers.MaxPooling2D(),
            layers.Flatten(),
        ),
        "depthwise": sequential(
            (8, 8, 3),
            layers.DepthwiseConv2D(3, strides=2, padding="same"),
            layers.ReLU(max_value=6.0),
            layers.SeparableConv2D(4, 3),
            layers.PReLU(),
            layers.GlobalMaxPooling2D(),
        ),
        "activations": sequential(
            (6,),
            layers.Dense(5, "gelu"),
            layers.Dense(5, "hard_sigmoid"),
            layers.Dense(5, "hard_silu"),
            layers.Dense(5, "leaky_relu"),
            layers.Dense(5, "silu"),
            layers.ELU(),
        ),
        "scaled": sequential((6,), layers.Normalization(mean=[0.5] * 6, variance=[2.0] * 6)),
        "recurrent": sequential(
            (7,),
            layers.Embedding(20, 4, mask_zero=True),
            layers.Bidirectional(layers.LSTM(3, return_sequences=True)),
            layers.GRU(4),
        ),
        "rows in time": sequential(
            (9, 2), layers.Conv1D(4, 3, activation="relu"), layers.GlobalAveragePooling1D()
        ),
        "branches": branches(),
        "attention": attention(),
    }


@pytest.fixture(scope="module")
def crossed():
    """Every net with weights that are no accident, and its twin."""
    rng = np.random.default_rng(0)
    found = {}
    for name, net in nets().items():
        for weight in net.weights:
            if "seed" not in weight.path and "count" not in weight.path:
                moved = np.abs(0.3 * rng.normal(size=weight.shape)) if "var" in weight.path else 0
                weight.assign(weight.numpy() + (moved if "var" in weight.path else 0.05))
        found[name] = (net, to_tf_keras(net))
    return found


def rows(net):
    shape = net.inputs[0].shape[1:]
    rng = np.random.default_rng(1)
    whole = any(type(layer).__name__ == "Embedding" for layer in net.layers)
    values = rng.integers(0, 20, (16, *shape)) if whole else rng.normal(size=(16, *shape))
    return values.astype(np.float32)


NAMES = sorted(nets())


@pytest.mark.parametrize("name", NAMES)
def test_the_twin_answers_the_same(name, crossed):
    net, twin = crossed[name]
    x = rows(net)
    ours, theirs = np.asarray(net(x, training=False)), np.asarray(twin.model(x, training=False))
    assert np.abs(ours - theirs).max() <= 1e-5


@pytest.mark.parametrize("name", NAMES)
def test_and_comes_back_the_same(name, crossed):
    net, twin = crossed[name]
    x = rows(net)
    again = weights_back(twin, twin.model, net)
    assert all((a == b).all() for a, b in zip(again.get_weights(), net.get_weights(), strict=True))
    assert (
        np.abs(np.asarray(again(x, training=False)) - np.asarray(net(x, training=False))).max()
        <= 1e-5
    )


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"branches"}))
def test_a_model_of_tf_keras_is_rebuilt(name, crossed):
    net, twin = crossed[name]
    x = rows(net)
    rebuilt = to_keras(twin.model)
    assert np.abs(np.asarray(rebuilt(x)) - np.asarray(net(x, training=False))).max() <= 1e-5


def test_trained_weights_come_back(crossed):
    """What training there changed is changed here, and the model given stays."""
    net, twin = crossed["depthwise"]
    before = net.get_weights()
    for weight in twin.model.weights:
        weight.assign_add(0.125 * np.ones_like(weight))
    again = weights_back(twin, twin.model, net)
    assert all((a == b).all() for a, b in zip(before, net.get_weights(), strict=True))
    x = rows(net)
    assert np.abs(np.asarray(again(x)) - np.asarray(twin.model(x))).max() <= 1e-5
    assert np.abs(np.asarray(again(x)) - np.asarray(net(x))).max() > 1e-3


def test_what_cannot_cross_is_named():
    from keras import layers, ops

    with pytest.raises(ModelError, match=r"norm .RMSNormalization.* no such layer"):
        to_tf_keras(sequential((6,), layers.RMSNormalization(name="norm")))

    class Own(layers.Layer):
        def call(self, x):
            return ops.tan(x)

    with pytest.raises(ModelError, match=r"mine .Own."):
        to_tf_keras(sequential((6,), Own(name="mine")))


@pytest.mark.parametrize(
    ("kind", "said"),
    [("activation", "no activation hard_tanh"), ("cell", "does not take it so")],
)
def test_what_tf_keras_refuses_is_named(kind, said):
    from keras import layers

    one = layers.RNN(layers.LSTMCell(3)) if kind == "cell" else layers.Dense(3, "hard_tanh")
    with pytest.raises(ModelError, match=said):
        to_tf_keras(sequential((6, 4), one))


def test_what_rounds_answers_there_to_the_bit_and_is_not_trained():
    from keras import layers

    from toolkit.models.quantised import fake_quantize

    rounding = fake_quantize()
    net = sequential((7, 4), rounding(name="in"), layers.GRU(5), rounding(name="out"))
    for name, low in (("in", -0.75), ("out", -0.5)):
        net.get_layer(name).low.assign(low)
        net.get_layer(name).high.assign(-low * 127 / 128)
    x = np.random.default_rng(0).normal(size=(64, 7, 4)).astype(np.float32)
    twin = to_tf_keras(net, make=answering).model
    ours, theirs = (model.get_layer("in")(x).numpy() for model in (net, twin))
    assert np.array_equal(ours, theirs)
    assert 200 < len(np.unique(theirs)) <= 256
    assert np.abs(twin(x).numpy() - net(x).numpy()).max() <= 1e-5
    with pytest.raises(ModelError, match=r"FakeQuantize.* no such layer"):
        to_tf_keras(net)


def test_a_softmax_over_another_axis_crosses():
    import keras
    from keras import layers, ops

    start = layers.Input((5, 4))
    shares = ops.softmax(layers.Dense(4)(start), axis=1)
    net = keras.Model(start, layers.Dense(3, "softmax")(layers.Flatten()(shares)))
    x = np.random.default_rng(0).normal(size=(6, 5, 4)).astype(np.float32)
    assert np.abs(to_tf_keras(net).model(x).numpy() - net(x).numpy()).max() < 1e-6


def test_operations_and_layers_of_one_name_cross_every_time():
    """tf_keras counts its own names up in a process: the first crossing failed, the third not."""
    import keras
    from keras import layers, ops

    start = layers.Input((6,))
    h = layers.Add()([layers.Dense(6)(start), start])
    h = layers.Add(name="add_1")([h, start])
    h = ops.multiply(h, layers.Multiply()([h + start, start]))
    h = ops.elu(ops.relu(h), alpha=0.3) - ops.elu(h, alpha=0.3)
    net = keras.Model(start, layers.Dense(3, "softmax")(ops.concatenate([h, ops.tanh(h)])))
    x = np.random.default_rng(0).normal(size=(6, 6)).astype(np.float32)
    for _ in range(3):
        assert np.abs(to_tf_keras(net).model(x).numpy() - net(x).numpy()).max() < 1e-6


def test_tensorflows_keras_stays_what_it_was():
    """In a process of its own, in which nobody has looked at it before."""
    code = (
        "import os, tensorflow as tf, keras\n"
        "from toolkit.bridge.quantising import _classes\n"
        "_classes()\n"
        "print(tf.keras.Model is keras.Model, os.environ.get('TF_USE_LEGACY_KERAS'))\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300
    )
    assert found.stdout.split() == ["True", "None"]
