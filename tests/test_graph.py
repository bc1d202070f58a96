"""Models built anew from their graph answer as before: what is not a weight must come along."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from toolkit.bridge import to_tf_keras
from toolkit.exporting import export
from toolkit.models import open_model
from toolkit.models.channels import cut, traced
from toolkit.models.derived import derived
from toolkit.models.graph import copied, flat
from toolkit.models.heads import head_of
from toolkit.models.keras_predictor import KerasPredictor
from toolkit.predict import predictor

RNG = np.random.default_rng(0)
X = (RNG.normal(size=(40, 6)) * 30 + 50).astype(np.float32)


@pytest.fixture(scope="module")
def normalised():
    keras.utils.set_random_seed(0)
    first = layers.Normalization()
    first.adapt(X)
    start = layers.Input((6,))
    h = layers.Dense(8, "relu")(first(start))
    return keras.Model(start, layers.Dense(3, "softmax")(h))


def test_a_normalization_goes_on_with_what_it_learnt(normalised):
    wanted = normalised(X).numpy()
    channels = traced(normalised)
    every = {
        "flat": flat(normalised),
        "copied": copied(normalised),
        "cut": cut(normalised, channels, channels.all()),
    }
    for name, made in every.items():
        assert np.abs(made(X).numpy() - wanted).max() < 1e-6, name
    narrow = derived(normalised, width=0.5)
    assert np.array_equal(narrow.layers[1](X).numpy(), normalised.layers[1](X).numpy())
    assert np.abs(to_tf_keras(normalised).model(X).numpy() - wanted).max() < 1e-5


def test_logits_and_shuffled_weights_of_a_normalised_net(normalised):
    predict = KerasPredictor(normalised, "net")
    z = predict.logits(X).astype(np.float64)
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    assert np.abs(p - predict(X)).max() < 1e-5
    start, other = (m._model.layers[1] for m in (predict, predict.shuffled(1)))
    assert np.array_equal(start(X).numpy(), other(X).numpy())


WORDS = RNG.integers(0, 5, (30, 9)).astype(np.float32)
"""Of which some are the filling, 0."""


def pooled(e, m):
    return layers.GlobalAveragePooling1D()(e, mask=m)


def recurrent(e, m):
    return layers.GRU(4)(e, mask=m)


def attended(e, m):
    scores = layers.Reshape((9,))(layers.Dense(1)(e))
    shares = layers.Softmax()(scores, mask=m)
    return layers.Dot(1)([shares, e])


@pytest.mark.parametrize("way", [pooled, recurrent, attended])
def test_a_mask_that_is_given_stays(way):
    keras.utils.set_random_seed(0)
    start = layers.Input((9,))
    e = layers.Embedding(5, 4)(start)
    m = ops.not_equal(start, 0)
    model = keras.Model(start, layers.Dense(3, "softmax")(way(e, m)))
    without = keras.Model(start, layers.Dense(3, "softmax")(way(e, None)))
    without.set_weights(model.get_weights())
    wanted = model(WORDS).numpy()
    assert np.abs(without(WORDS).numpy() - wanted).max() > 1e-3
    assert np.abs(flat(model)(WORDS).numpy() - wanted).max() < 1e-6


def ensemble(h):
    return layers.Average()([layers.Dense(3, "softmax")(h), layers.Dense(3, "softmax")(h)])


def reshaped(h):
    return layers.Reshape((3,))(layers.Dense(3, "softmax")(h))


def dropped(h):
    return layers.Dropout(0.5)(layers.Identity()(layers.Dense(3, "softmax")(h)))


def mapped(h):
    maps = layers.Conv2D(3, 1, activation="softmax")(layers.Reshape((2, 2, 2))(h))
    return layers.GlobalAveragePooling2D()(maps)


def second(h):
    start = layers.Input((8,))
    z = layers.Dense(3)(start)
    return keras.Model(start, [z, layers.Softmax()(z)])(h)[1]


def complement(h):
    p = layers.Dense(1, "sigmoid")(h)
    return layers.Concatenate()([1 - p, p])


def divided(h):
    z = ops.exp(layers.Dense(3)(h))
    return z / ops.sum(z, axis=-1, keepdims=True)


@pytest.mark.parametrize("way", [ensemble, reshaped, dropped, mapped, second, complement, divided])
def test_probabilities_are_known_however_the_net_ends(way):
    keras.utils.set_random_seed(0)
    start = layers.Input((6,))
    scaled = layers.Rescaling(0.01)(start)
    model = keras.Model(start, way(layers.Dense(8, "tanh")(scaled)))
    assert head_of(model) == "softmax"
    wanted = model(X).numpy()
    assert np.abs(KerasPredictor(model, "net")(X) - wanted).max() < 1e-6


def added(h):
    return layers.Add()([layers.Dense(3)(h), layers.Dense(3)(h)])


def normed(h):
    return layers.BatchNormalization()(layers.Dense(3)(h))


@pytest.mark.parametrize("way", [added, normed])
def test_logits_are_still_logits(way):
    keras.utils.set_random_seed(0)
    start = layers.Input((6,))
    assert head_of(keras.Model(start, way(layers.Dense(8, "tanh")(start)))) == "logits"


def test_the_file_of_an_ensemble_is_known_by_its_answers(wine):
    keras.utils.set_random_seed(0)
    start = layers.Input((13,))
    model = keras.Model(start, ensemble(layers.Rescaling(1e-3)(start)))
    content = export(model, wine.fit.validation).model.SerializeToString()
    x = wine.test.x[:20]
    assert np.abs(predictor(content)(x) - model(x).numpy()).max() < 1e-5


@pytest.mark.parametrize("suffix", ["keras", "h5"])
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5")
def test_masks_of_a_file_are_found_again(suffix, tmp_path):
    """A file has the operation that makes a mask; the layer makes the same when it is read."""
    keras.utils.set_random_seed(0)
    start = layers.Input((9,))
    x = layers.LSTM(4)(layers.Embedding(5, 4, mask_zero=True)(start))
    model = keras.Model(start, layers.Dense(3, "softmax")(x))
    model.save(tmp_path / f"m.{suffix}")
    found = open_model(tmp_path / f"m.{suffix}")
    wanted = model(WORDS).numpy()
    assert np.abs(to_tf_keras(found).model(WORDS).numpy() - wanted).max() < 1e-5
    assert np.abs(flat(found)(WORDS).numpy() - wanted).max() < 1e-6


def test_what_cannot_be_asked_is_left_as_it_was(tmp_path):
    """Channels first, which this processor cannot convolve, and pictures of at least 40 pixels."""
    start = layers.Input((3, 8, 8))
    x = layers.Flatten()(layers.Conv2D(4, 3, data_format="channels_first")(start))
    model = keras.Model(start, layers.Add()([layers.Dense(3)(x), layers.Dense(3)(x)]))
    assert head_of(model) == "logits"
    model.save(tmp_path / "m.keras")
    assert head_of(open_model(tmp_path / "m.keras")) == "logits"
    large = layers.Input((None, None, 3))
    x = layers.Conv2D(4, 40)(large)
    assert head_of(keras.Model(large, layers.GlobalMaxPooling2D()(x))) == "logits"


def test_logits_are_those_of_the_answers_or_none():
    keras.utils.set_random_seed(0)
    start = layers.Input((6,))
    h = layers.Rescaling(0.01)(start)
    one, two = layers.Dense(3, "softmax")(h), layers.Dense(3, "softmax")(h)
    predict = predictor(keras.Model(start, (one + two) / 2), "mean")
    assert predict.logits(X) is None
    plain = predictor(keras.Model(start, one), "plain")
    z = plain.logits(X).astype(np.float64)
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    assert np.abs(p - plain(X)).max() < 1e-6


def test_bins_that_were_learnt_come_along():
    """A Discretization keeps a summary as its weight, and makes its bins of that."""
    first = layers.Discretization(num_bins=4, output_mode="int")
    first.adapt(X[:, :1])
    start = layers.Input((1,))
    h = layers.Flatten()(layers.Embedding(5, 3)(first(start)))
    model = keras.Model(start, layers.Dense(3, "softmax")(h))
    wanted = model(X[:, :1]).numpy()
    for made in (flat(model), copied(model)):
        assert np.abs(made(X[:, :1]).numpy() - wanted).max() < 1e-6
