"""Integer operators: which convolutions get a fourth input channel."""

import keras
import numpy as np
import pytest
from keras import layers

from toolkit.exporting import export
from toolkit.glossary import Data, Fit
from toolkit.passes import PASSES
from toolkit.predict import predictor


@pytest.mark.parametrize(
    ("filters", "strides", "channels", "wider"),
    [(16, 1, 3, True), (32, 2, 3, True), (8, 2, 3, False), (16, 1, 4, False), (16, 1, 1, False)],
)
def test_a_fourth_channel_where_it_earns_its_copy(filters, strides, channels, wider):
    keras.utils.set_random_seed(0)
    x = first = keras.Input((12, 12, channels))
    x = layers.Conv2D(filters, 3, strides, padding="same", activation="relu")(x)
    x = layers.Dense(3, activation="softmax")(layers.GlobalAveragePooling2D()(x))
    pictures = np.random.default_rng(0).random((64, 12, 12, channels), np.float32)
    rows = Data(pictures, np.arange(64) % 3, ("a", "b", "c"), kind="image")
    fit = Fit(rows, rows, rows)
    rounded = PASSES["static_int8"]()(export(keras.Model(first, x), rows).model, fit).model
    whole = PASSES["integer_operators"]()(rounded, fit).model
    assert ("Gather" in [n.op_type for n in whole.graph.node]) == wider
    before, after = (predictor(m.SerializeToString())(pictures) for m in (rounded, whole))
    assert np.array_equal(before, after)
