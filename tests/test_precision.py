import keras
import numpy as np
import pytest

from toolkit.exporting import export
from toolkit.glossary import Data
from toolkit.models import full


def nets():
    mixed = {"dtype": "mixed_float16"}
    layers = [keras.Input((6, 2)), keras.layers.Bidirectional(keras.layers.LSTM(3, **mixed))]
    yield keras.Sequential([*layers, keras.layers.Dense(2, "softmax", dtype="float32")])
    x = entry = keras.Input((8, 8, 1))
    x = keras.layers.Conv2D(4, 3, activation="relu", **mixed)(x)
    x = keras.layers.BatchNormalization(**mixed)(x)
    x = keras.layers.GlobalAveragePooling2D(**mixed)(x)
    yield keras.Model(entry, keras.layers.Dense(2, "softmax", dtype="bfloat16")(x))


@pytest.mark.parametrize("place", [0, 1])
def test_mixed_precision_becomes_float32_with_the_same_weights(place):
    """Half precision keeps three digits, and the exported file is right to five."""
    model = list(nets())[place]
    plain = full(model)
    assert all(layer.compute_dtype == "float32" for layer in plain.layers if layer.weights)
    for one, other in zip(model.get_weights(), plain.get_weights(), strict=True):
        assert np.array_equal(np.asarray(one, np.float32), other)
    x = np.random.default_rng(0).normal(size=(20, *model.input_shape[1:])).astype(np.float32)
    assert np.abs(np.asarray(model(x), np.float32) - np.asarray(plain(x))).max() < 2e-2
    rows = Data(x, np.arange(20) % 2, ("a", "b"), kind="image")
    assert export(model, rows).facts["largest_difference"] <= 1e-5


def test_a_float32_model_is_given_back_as_it_is():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, "softmax")])
    assert full(model) is model
