"""Removal is exact: channels of which nothing was made are gone, and the answers are the same."""

import numpy as np
import pytest
import scipy.stats

from toolkit.errors import ModelError
from toolkit.models.channel_rules import LAYERS
from toolkit.models.channels import cut, traced
from toolkit.models.graph import flat
from toolkit.models.macs import macs
from toolkit.passes.channels import chosen, least, unit
from toolkit.passes.ranking import LOSSES, RANKINGS, slopes, taylor


def stack(shape, *layers):
    import keras

    return keras.Sequential([keras.Input(shape), *layers, keras.layers.Dense(3, "softmax")])


def residual():
    """Two stages, the second with a projection; sums, a sum of three, a layer called twice."""
    import keras
    from keras import layers as k

    first = keras.Input((8, 8, 3))
    x = k.ReLU()(k.BatchNormalization()(k.Conv2D(8, 3, padding="same", use_bias=False)(first)))
    y = k.BatchNormalization()(k.Conv2D(6, 3, padding="same", activation="relu")(x))
    y = k.BatchNormalization()(k.Conv2D(8, 3, padding="same")(y))
    x = k.ReLU()(k.Add()([x, y]))
    y = k.BatchNormalization()(k.Conv2D(8, 3, strides=2, padding="same")(x))
    x = k.Add()([k.Conv2D(8, 1, strides=2)(x), y, k.AveragePooling2D(2)(x)])
    twice = k.Conv2D(8, 3, padding="same", activation="tanh")
    x = k.GlobalAveragePooling2D()(twice(twice(x)) + x)
    return keras.Model(first, k.Dense(3)(k.Dropout(0.5)(x)))


def dense():
    """Every layer sees all before it, normalised anew each time."""
    import keras
    from keras import layers as k

    first = keras.Input((8, 8, 3))
    x = k.Conv2D(6, 3, padding="same")(first)
    for _ in range(3):
        y = k.ReLU()(k.BatchNormalization()(x))
        x = k.Concatenate()([x, k.Conv2D(4, 3, padding="same", use_bias=False)(y)])
    x = k.AveragePooling2D(2)(k.Conv2D(8, 1)(x))
    x = k.Concatenate()([k.GlobalMaxPooling2D()(x), k.GlobalAveragePooling2D()(x)])
    return keras.Model(first, k.Dense(3, "softmax")(x))


def mobile():
    """Depthwise and separable blocks, squeeze and excitation, keras.ops between layers."""
    import keras
    from keras import layers as k
    from keras import ops

    first = keras.Input((12, 12, 3))
    x = k.Conv2D(6, 3, strides=2)(k.ZeroPadding2D(1)(first))
    x = k.PReLU(shared_axes=(1, 2))(k.BatchNormalization()(x))
    x = k.DepthwiseConv2D(3, padding="same", depth_multiplier=2)(x)
    x = k.ReLU(max_value=6.0)(k.BatchNormalization()(x))
    wide = k.Conv2D(8, 1)(x)
    x = k.SeparableConv2D(8, 3, padding="same", depth_multiplier=3, activation="relu")(wide)
    squeezed = k.Reshape((1, 1, 8))(k.GlobalAveragePooling2D()(x))
    squeezed = k.Conv2D(8, 1, activation="hard_sigmoid")(
        k.Conv2D(4, 1, activation="relu")(squeezed)
    )
    x = k.Multiply()([x, squeezed]) + wide
    x = ops.relu(x * 2.0)
    x = k.PReLU()(k.UpSampling2D()(k.MaxPooling2D()(x)))
    return keras.Model(first, k.Dense(3)(ops.mean(x, axis=(1, 2))))


def nested():
    import keras
    from keras import layers as k

    inner = keras.Sequential([k.Input((8, 8, 4)), k.Conv2D(4, 3, padding="same")])
    first = keras.Input((8, 8, 3))
    x = k.Conv2D(4, 3, padding="same")(first)
    x = k.Add()([inner(inner(x)), x])
    return keras.Model(first, k.Dense(3)(k.Flatten()(x)))


def flattened():
    from keras import layers as k

    return stack(
        (9, 7, 1), k.Rescaling(0.1), k.Conv2D(6, 3, activation="relu"),
        k.MaxPooling2D(padding="same"), k.Conv2D(5, 2), k.LeakyReLU(negative_slope=0.1),
        k.Permute((2, 1, 3)), k.Flatten(), k.Dense(7, "relu"),
    )  # fmt: skip


def reshaped():
    from keras import layers as k

    return stack(
        (4, 6, 2), k.Conv2D(6, 3, padding="same"), k.Reshape((-1, 12)), k.Conv1D(5, 2),
        k.Reshape((-1,)),
    )  # fmt: skip


def mlp():
    from keras import layers as k

    scale = k.Normalization(mean=[0.5] * 6, variance=[2.0] * 6)
    return stack((6,), scale, k.Dense(8, "tanh"), k.Dropout(0.2), k.Dense(5), k.PReLU())


def in_time():
    from keras import layers as k

    return stack(
        (16, 3), k.Conv1D(6, 3, activation="relu", padding="causal"), k.BatchNormalization(),
        k.MaxPooling1D(), k.DepthwiseConv1D(3, depth_multiplier=2),
        k.SeparableConv1D(5, 3, depth_multiplier=2),
        k.ZeroPadding1D(1), k.Cropping1D(1), k.SpatialDropout1D(0.1), k.GlobalMaxPooling1D(),
    )  # fmt: skip


def words():
    from keras import layers as k

    return stack(
        (7,), k.Embedding(20, 6, mask_zero=True), k.GlobalAveragePooling1D(),
        k.Dense(4, "relu"), k.RepeatVector(3), k.GlobalAveragePooling1D(),
    )  # fmt: skip


NETS = (residual, dense, mobile, nested, flattened, reshaped, mlp, in_time, words)
NAMES = [net.__name__ for net in NETS]


def scattered(net, rng):
    """Weights that are no accident: no zeros, no ones."""
    for weight in net.weights:
        if "seed" not in weight.path and "int" not in str(weight.dtype):
            value = rng.normal(size=weight.shape) * 0.4
            weight.assign(np.abs(value) + 0.3 if "var" in weight.path else value)


def rows(net, rng):
    shape = net.inputs[0].shape[1:]
    words = any(type(layer).__name__ == "Embedding" for layer in net.layers)
    values = rng.integers(1, 20, (16, *shape)) if words else rng.normal(size=(16, *shape))
    return values.astype(np.float32)


@pytest.fixture(scope="module")
def followed():
    rng = np.random.default_rng(0)
    found = {}
    for make in NETS:
        net = flat(make())
        scattered(net, rng)
        found[make.__name__] = (net, traced(net), rows(net, rng))
    return found


def picked(channels, rng):
    """Of every block about a third, at least one and not all."""
    gone = []
    for groups in channels.blocks().values():
        count = max(min(len(groups) // 3, len(groups) - 1), 1)
        gone += rng.choice(groups, count, replace=False).tolist()
    return channels.without(np.array(gone))


def silenced(net, channels, kept):
    """A copy in which nothing reads the removed channels."""
    quiet = flat(net)
    for old, new in zip(net.layers, quiet.layers, strict=True):
        met = channels.layers.get(id(old))
        if met is not None and met.reads:
            kernel = getattr(new, met.reads)
            numbers = met.weights[met.reads][len(kernel.shape) - 2]
            kernel.assign(kernel.numpy() * kept[numbers][:, None])
    return quiet


@pytest.mark.parametrize("name", NAMES)
def test_removal_is_exact(name, followed):
    net, channels, x = followed[name]
    kept = picked(channels, np.random.default_rng(1))
    small = cut(net, channels, kept)
    assert small.count_params() < net.count_params()
    wanted = silenced(net, channels, kept)(x, training=False)
    assert np.abs(wanted - net(x, training=False)).max() > 1e-3, "nothing was silenced"
    assert np.allclose(small(x, training=False), wanted, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_every_hidden_layer_gives_way(name, followed):
    """No layer of these nets but the last keeps its channels."""
    _, channels, _ = followed[name]
    free = {maker for makers in channels.blocks() for maker in makers}
    assert set(channels.makers) - free == {list(channels.makers)[-1]}
    assert "they are the inputs" in channels.staying.values()


@pytest.mark.parametrize("name", NAMES)
def test_the_work_foreseen_is_the_work_left(name, followed):
    net, channels, _ = followed[name]
    kept = picked(channels, np.random.default_rng(2))
    assert channels.macs(channels.all()) == macs(net)
    assert channels.macs(kept) == macs(cut(net, channels, kept))


def test_every_rule_is_tried(followed):
    seen = {type(layer).__name__ for net, _, _ in followed.values() for layer in net.layers}
    others = {  # the rule of one that is tried
        "ActivityRegularization", "AlphaDropout", "Average", "Cropping2D", "ELU", "GaussianDropout",
        "GaussianNoise", "Identity", "Maximum", "Minimum", "SpatialDropout2D", "Subtract",
        "UpSampling1D", "AveragePooling1D", "Activation",
    }  # fmt: skip
    assert set(LAYERS) - seen <= others


def test_what_has_no_rule_keeps_its_channels():
    import keras
    from keras import layers as k

    first = keras.Input((8, 8, 4))
    x = k.Conv2D(8, 3, name="before_norm")(first)
    x = k.LayerNormalization(name="norm")(x)
    x = k.Conv2D(8, 3, name="before_groups")(x)
    x = k.Conv2D(8, 3, groups=2, name="groups")(x)
    x = k.Conv2D(8, 1, name="free")(x)
    x = k.Conv2D(6, 1, activation="softmax", name="mixing")(x)
    x = k.Reshape((8, 3), name="splitting")(k.Conv2D(6, 1, name="before_split")(x))
    net = flat(keras.Model(first, k.Dense(3, name="classes")(k.Flatten()(x))))
    channels = traced(net)
    assert list(channels.blocks()) == [("free",)]
    assert channels.skipped["norm"] == "LayerNormalization has no rule"
    assert channels.skipped["before_norm"] == (
        "channels stay: they reach norm: LayerNormalization has no rule"
    )
    assert "in groups" in channels.skipped["groups"]
    assert "in groups" in channels.skipped["before_groups"]
    assert "softmax" in channels.skipped["mixing"]
    assert "splits" in channels.skipped["before_split"]
    assert channels.skipped["classes"] == "channels stay: they are the classes"
    rng = np.random.default_rng(0)
    x, kept = rows(net, rng), picked(channels, rng)
    wanted = silenced(net, channels, kept)(x)
    assert np.allclose(cut(net, channels, kept)(x), wanted, atol=1e-5)


def test_models_that_are_code_are_refused(digits):
    import keras

    class Code(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(ModelError, match="subclassed"):
        flat(Code())


def loss(net, data):
    """Mean cross-entropy, computed from the probabilities alone."""
    p = np.asarray(net(data.x, training=False), np.float64)
    return -np.log(p[np.arange(len(data)), data.y]).mean()


def test_slopes_are_the_change_of_the_loss(digits):
    """Against the loss itself, when what makes a channel is scaled: relu and pooling pass it on."""
    from keras import layers as k

    net = stack(
        (8, 8, 1), k.Conv2D(5, 3, activation="relu"), k.MaxPooling2D(), k.DepthwiseConv2D(2),
        k.Conv2D(4, 1, activation="relu"), k.Flatten(),
    )  # fmt: skip
    net = flat(net)
    scattered(net, np.random.default_rng(3))
    low = digits.test.rows(digits.test.y < 3).rows(slice(0, 20))
    data = type(low)(low.x / 16, low.y, ("0", "1", "2"), kind="image")
    # the depthwise bias is the one thing that scaling the first layer does not scale
    net.layers[3].bias.assign(np.zeros(5))
    channels = traced(net)
    (slope,) = slopes(net, channels, data)
    step = 1e-3
    for name, groups in channels.makers.items():
        layer = net.get_layer(name)
        for i, group in enumerate(groups):
            if group in channels.staying:
                continue
            change, values = [], layer.get_weights()
            for factor in (1 + step, 1 - step):
                layer.set_weights(
                    [np.where(np.arange(len(groups)) == i, v * factor, v) for v in values]
                )
                change.append(loss(net, data))
            layer.set_weights(values)
            found = (change[0] - change[1]) / (2 * step)
            # float32 losses near 1 are right to about 1e-6, so the quotient to 1e-3
            assert slope[group] == pytest.approx(found, rel=0.02, abs=2e-3)


def test_taylor_ranks_as_removal_does(cnn, digits):
    """The loss when each channel in turn is gone, against the ranking."""
    net = flat(cnn)
    channels = traced(net)
    every = np.concatenate(list(channels.blocks().values()))
    before = loss(net, digits.fit.train)
    gone = [loss(cut(net, channels, channels.without(g)), digits.fit.train) - before for g in every]
    found = taylor(net, channels, digits.fit.train)[every]
    assert len(every) == 24
    assert scipy.stats.spearmanr(found, np.abs(gone), alternative="greater").pvalue < 0.01


@pytest.mark.parametrize("ranking", sorted(RANKINGS))
def test_a_channel_without_effect_goes_first(ranking, digits):
    from keras import layers as k

    net = flat(
        stack((8, 8, 1), k.Conv2D(12, 3), k.BatchNormalization(), k.ReLU(), k.GlobalMaxPooling2D())
    )
    dead = np.arange(12) % 6 == 0
    kernel, bias = net.layers[1].get_weights()
    net.layers[1].set_weights([kernel * ~dead, bias * ~dead])
    gamma, *others = net.layers[2].get_weights()
    net.layers[2].set_weights([gamma * ~dead, *others])
    channels = traced(net)
    low = digits.fit.train.rows(digits.fit.train.y < 3)
    data = type(low)(low.x, low.y, ("0", "1", "2"), kind="image")
    scores = RANKINGS[ranking](net, channels, data)
    ((makers, groups),) = channels.blocks().items()
    kept = chosen(
        channels, scores, channels.macs(channels.all()) - 1, {makers: 12}, losses=ranking in LOSSES
    )
    assert (kept[groups] == ~dead).all()


@pytest.mark.parametrize("losses", [True, False])
def test_layers_keep_a_floor_and_whole_blocks(losses, followed):
    for _, channels, _ in followed.values():
        sizes = {makers: len(groups) for makers, groups in channels.blocks().items()}
        scores = np.random.default_rng(0).random(len(channels.group))
        kept = chosen(channels, scores, 0.0, sizes, losses=losses)
        for groups in channels.blocks().values():
            left = int(kept[groups].sum())
            assert left >= least(len(groups))
            assert left % unit(len(groups)) == 0
        assert 0 < channels.macs(kept) < channels.macs(channels.all())


def wide_and_narrow():
    """A net whose first hidden layer saves eleven times less with a channel than its second."""
    from keras import layers as k

    return flat(
        stack((8, 8, 1), k.Conv2D(32, 1), k.Conv2D(32, 1), k.Conv2D(64, 3), k.GlobalMaxPooling2D())
    )


def test_the_cheapest_multiplication_goes_first():
    """A loss is set against the multiplications that it saves."""
    net = wide_and_narrow()
    channels = traced(net)
    sizes = {makers: len(groups) for makers, groups in channels.blocks().items()}
    first, second = list(channels.blocks().values())[:2]
    scores = np.ones(len(channels.group))
    scores[second] = 1.5
    most = channels.macs(channels.all()) - 1
    kept = chosen(channels, scores, most, sizes, losses=True)
    assert kept[first].all()
    assert kept[second].sum() == 24


def test_no_more_goes_than_must():
    """All cheap channels of one layer, one short, stay when another layer's save enough alone."""
    net = wide_and_narrow()
    channels = traced(net)
    sizes = {makers: len(groups) for makers, groups in channels.blocks().items()}
    first = next(iter(channels.blocks().values()))
    scores = np.full(len(channels.group), 100.0)
    scores[first] = 1.0
    whole = channels.macs(channels.all())
    cheap = whole - channels.macs(channels.without(first[:24]))
    kept = chosen(channels, scores, whole - cheap - 1, sizes, losses=True)
    assert kept[first].all()
    assert (~kept).sum() == 8
