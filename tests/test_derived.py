"""Smaller nets of the same build, over the kinds of nets that people bring."""

import keras
import numpy as np
import pytest
from keras import layers

from toolkit.errors import ModelError
from toolkit.models.derived import derived, scaled, within
from toolkit.models.heads import head_of
from toolkit.models.macs import macs, nbytes


def conv(x, filters, stride=1, relu=True):
    x = layers.Conv2D(filters, 3, stride, padding="same", use_bias=False)(x)
    x = layers.BatchNormalization()(x)
    return layers.ReLU()(x) if relu else x


def mlp():
    return keras.Sequential(
        [
            layers.Input((8, 8, 1)),
            layers.Flatten(),
            layers.Dense(64, "relu"),
            *(layers.Dense(40, "relu") for _ in range(5)),
            layers.Dense(3, "softmax"),
        ]
    )


def cnn():
    start = layers.Input((8, 8, 1))
    x = layers.Rescaling(1 / 16)(start)
    for filters in (32, 64):
        for _ in range(3):
            x = layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
        x = layers.MaxPooling2D()(x)
    x = layers.Dense(48, "relu")(layers.Flatten()(x))
    return keras.Model(start, layers.Dense(3)(x))


def resnet():
    start = layers.Input((16, 16, 3))
    x = conv(start, 32)
    for filters, stride in ((32, 1), (32, 1), (64, 2), (64, 1), (64, 1)):
        y = conv(conv(x, filters, stride), filters, relu=False)
        if stride > 1:
            x = layers.Conv2D(filters, 1, stride)(x)
        x = layers.ReLU()(x + y)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(start, layers.Dense(3, "softmax")(x))


def mobilenet():
    """Depthwise blocks, squeeze and excitation by a Reshape, a convolution that classifies."""
    start = layers.Input((16, 16, 3))
    x = conv(start, 32, 2)
    for filters in (32, 64, 64, 64):
        x = layers.DepthwiseConv2D(3, padding="same")(x)
        x = layers.ReLU(6.0)(layers.BatchNormalization()(x))
        x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(filters, 1)(x)))
    x = layers.SeparableConv2D(64, 3, padding="same")(x)
    s = layers.Reshape((1, 1, 64))(layers.GlobalAveragePooling2D()(x))
    s = layers.Conv2D(64, 1, activation="sigmoid")(layers.Conv2D(32, 1, activation="relu")(s))
    x = layers.GlobalAveragePooling2D(keepdims=True)(layers.Multiply()([x, s]))
    x = layers.Reshape((3,))(layers.Conv2D(3, 1)(x))
    return keras.Model(start, layers.Softmax()(x))


def conv1d():
    norm = layers.Normalization(mean=1.0, variance=2.0)
    start = layers.Input((32, 4))
    x = norm(start)
    one = layers.Conv1D(32, 3, padding="same", activation="relu")(x)
    x = layers.Concatenate()([one, layers.Conv1D(32, 5, padding="same")(x)])
    x = layers.Conv1D(48, 3, padding="same", activation="relu")(x)
    x = layers.Bidirectional(layers.LSTM(20))(x)
    return keras.Model(start, layers.Dense(1, "sigmoid")(x))


def nested():
    inside = keras.Sequential([layers.Input((16, 16, 3)), layers.Conv2D(32, 3, groups=1)])
    inside.add(layers.Conv2D(32, 3, groups=32))
    return keras.Sequential(
        [inside, layers.GlobalAveragePooling2D(), layers.Dense(3), layers.Softmax()]
    )


NETS = {net.__name__: net for net in (mlp, cnn, resnet, mobilenet, conv1d, nested)}


@pytest.fixture(scope="module")
def nets():
    return {name: net() for name, net in NETS.items()}


def widths(model):
    """The hidden widths in the order of the layers, without the last one."""
    kinds = (layers.Dense, layers.Conv1D, layers.Conv2D, layers.SeparableConv2D)
    found = [layer for layer in model.layers if isinstance(layer, kinds)]
    return [getattr(layer, "units", None) or layer.filters for layer in found][:-1]


@pytest.mark.parametrize("name", NETS)
def test_every_hidden_width_is_scaled(name, nets):
    base = nets[name]
    small = derived(base, width=0.5)
    assert small.inputs[0].shape == base.inputs[0].shape
    assert small.outputs[0].shape == base.outputs[0].shape
    assert head_of(small) == head_of(base)
    x = np.random.default_rng(0).normal(size=(2, *base.inputs[0].shape[1:])).astype(np.float32)
    assert np.isfinite(np.asarray(small(x))).all()
    # half the width is between half and a quarter of the weights; rounding adds a little
    assert 0.2 < small.count_params() / base.count_params() < 0.6
    if name != "nested":
        assert widths(small) == [scaled(w, 0.5) for w in widths(base)]


def test_widths_stay_multiples_of_eight_above_sixteen():
    for width in range(1, 300):
        for by in (0.1, 0.3, 0.7, 0.9, 1.5):
            found = scaled(width, by)
            assert found >= 1
            assert found <= 16 or found % 8 == 0
            assert abs(found - width * by) <= max(4, 0.5)
        assert scaled(width, 1.0) == width


def test_fresh_means_new_weights_of_the_same_shape(nets):
    base = nets["resnet"]
    one, same, other = derived(base, seed=1), derived(base, seed=1), derived(base, seed=2)
    assert sorted(tuple(w.shape) for w in one.weights) == sorted(
        tuple(w.shape) for w in base.weights
    )
    first = [m.get_weights()[0] for m in (one, same, other)]
    assert (first[0] == first[1]).all()
    assert (first[0] != first[2]).any()


def test_what_the_input_is_like_is_kept(wine):
    from toolkit.models import build

    base = build("tabular", wine.fit.train)
    small = derived(base, width=0.25)
    x = wine.test.x[:5]
    scale = [keras.Model(m.input, m.get_layer("scale").output) for m in (base, small)]
    assert np.array_equal(*(np.asarray(m(x)) for m in scale))


def test_the_base_stays_as_it_is(nets):
    base = nets["cnn"]
    before = [w.tobytes() for w in base.get_weights()]
    derived(base, width=0.5, depth=2)
    assert [w.tobytes() for w in base.get_weights()] == before
    assert all(layer.trainable for layer in base.layers)


def kinds(model, kind):
    return sum(isinstance(layer, kind) for layer in model.layers)


def test_repeated_blocks_are_left_out(nets):
    # mlp: four of six Dense layers give the shape they take, two stay
    assert widths(nets["mlp"]) == [64, 40, 40, 40, 40, 40]
    assert widths(derived(nets["mlp"], depth=2)) == [64, 40, 40, 40]
    # cnn: two of each three convolutions, one stays
    assert widths(derived(nets["cnn"], depth=2)) == [32, 32, 64, 64, 48]
    assert widths(derived(nets["cnn"], depth=2, width=0.5)) == [16, 16, 32, 32, 24]
    # resnet: two whole blocks at 32, two at 64; one of each stays
    small = derived(nets["resnet"], depth=2)
    assert kinds(nets["resnet"], layers.Conv2D) == 1 + 5 * 2 + 1
    assert kinds(small, layers.Conv2D) == 1 + 3 * 2 + 1
    # mobilenet: a depthwise convolution goes with its pointwise one; the block at 32 goes; of the
    # row at 64 (two blocks, the separable one, squeeze and excitation) the first two stay
    small = derived(nets["mobilenet"], depth=2)
    assert kinds(nets["mobilenet"], layers.DepthwiseConv2D) == 4
    assert kinds(small, layers.DepthwiseConv2D) == 3
    assert kinds(small, layers.SeparableConv2D) == kinds(small, layers.Multiply) == 0
    assert head_of(small) == "softmax"


def test_a_net_without_such_blocks_is_refused(nets):
    with pytest.raises(ModelError, match="shape it takes"):
        derived(nets["conv1d"], depth=2)


def test_what_cannot_be_narrowed_is_refused():
    plain = keras.Sequential([layers.Input((4,)), layers.Dense(3, "softmax")])
    with pytest.raises(ModelError, match="no hidden layer"):
        derived(plain, width=0.5)
    start = layers.Input((32,))
    tied = layers.Dense(3)(layers.Add()([start, layers.Dense(32)(start)]))
    with pytest.raises(ModelError, match="fit together"):
        derived(keras.Model(start, tied), width=0.5)


@pytest.mark.parametrize("name", NETS)
def test_a_net_too_large_for_any_memory_is_refused_before_it_is_made(name, nets):
    with pytest.raises(ModelError, match=r"times as wide has about [\d,]+ million weights"):
        derived(nets[name], width=20_000.0)


@pytest.mark.parametrize("name", NETS)
def test_about_how_many_weights_a_wider_net_has(name, nets, monkeypatch):
    from toolkit.models import derived as module

    wide = derived(nets[name], width=4.0).count_params()
    monkeypatch.setattr(module, "LARGEST", wide // 2)
    with pytest.raises(ModelError, match="million weights"):
        derived(nets[name], width=4.0)
    monkeypatch.setattr(module, "LARGEST", 2 * wide)
    assert derived(nets[name], width=4.0).count_params() == wide


@pytest.mark.parametrize(("unit", "cost"), [("bytes", nbytes), ("macs", macs)])
def test_the_widest_under_a_limit(unit, cost, nets):
    base = nets["cnn"]
    limit = cost(base) // 3
    small, width = within(base, limit, unit)
    assert cost(small) <= limit
    assert cost(derived(base, width=width + 1 / 64)) > limit
    again, same = within(base, limit, unit)
    assert same == width
    assert [w.tobytes() for w in again.get_weights()] == [w.tobytes() for w in small.get_weights()]
    with pytest.raises(ModelError, match="raise the limit"):
        within(base, 10, unit)


def test_macs_by_hand(nets):
    # 64 -> 64 -> 40 five times -> 3, one multiplication a weight
    assert macs(nets["mlp"]) == 64 * 64 + 64 * 40 + 4 * 40 * 40 + 40 * 3
    # 16x16 and 8x8 places; the last layer is dense
    big, small = 16 * 16 * 9, 8 * 8 * 9
    by_hand = big * (3 * 32 + 4 * 32 * 32) + small * (32 * 64 + 5 * 64 * 64)
    assert macs(nets["resnet"]) == by_hand + 8 * 8 * 32 * 64 + 64 * 3
    start = layers.Input((10, 4))
    lstm = keras.Model(start, layers.Dense(2)(layers.LSTM(5)(start)))
    assert macs(lstm) == 10 * 4 * (4 * 5 + 5 * 5) + 5 * 2
    over_time = layers.TimeDistributed(keras.Sequential([layers.Input((4,)), layers.Dense(7)]))
    assert macs(keras.Model(start, over_time(start))) == 10 * 4 * 7
    both = layers.MultiHeadAttention(2, 3)(start, start)
    # four dense layers of 4 by 6 at 10 steps, and 10 by 10 steps for 2 heads of 3, twice
    assert macs(keras.Model(start, both)) == 4 * 10 * 4 * 6 + 2 * 10 * 10 * 2 * 3


def test_a_shallower_net_of_the_same_width_keeps_its_weights(nets):
    small = derived(nets["resnet"], depth=2)
    kept = {layer.name: layer.get_weights() for layer in nets["resnet"].layers}
    for layer in (layer for layer in small.layers if layer.weights):
        for mine, its in zip(layer.get_weights(), kept[layer.name], strict=True):
            assert np.array_equal(mine, its)
    narrow = derived(nets["resnet"], depth=2, width=0.5)
    assert narrow.count_params() < small.count_params()
