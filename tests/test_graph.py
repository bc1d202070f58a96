"""Models built anew from their graph answer as before: what is not a weight must come along."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from toolkit.bridge import to_tf_keras
from toolkit.exporting import export
from toolkit.models.channels import cut, traced
from toolkit.models.derived import derived
from toolkit.models.graph import copied, flat
from toolkit.models.heads import head_of
from toolkit.predict import KerasPredictor, predictor

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
