import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import special

from toolkit.errors import ModelError
from toolkit.models.heads import probabilities, softmax

LOGITS = arrays(np.float64, (3, 4), elements=st.floats(-1e4, 1e4))


@given(LOGITS)
def test_softmax_is_scipys(z):
    assert np.allclose(softmax(z), special.softmax(z, axis=1))


@given(LOGITS)
def test_rows_sum_to_one(z):
    assert np.allclose(probabilities(z.astype(np.float32), "logits").sum(axis=1), 1, atol=1e-6)


def test_no_rows():
    assert softmax(np.zeros((0, 3))).shape == (0, 3)


def test_other_ways_to_write_a_softmax():
    import keras
    import tensorflow as tf
    from keras import layers

    from toolkit.models.heads import head_of
    from toolkit.models.keras_predictor import KerasPredictor

    def net(*last):
        return keras.Sequential([layers.Input((4,)), *last])

    for activation in (tf.nn.softmax, layers.Softmax()):
        assert head_of(net(layers.Dense(3, activation=activation))) == "softmax"
    with pytest.raises(ModelError, match="relu"):
        head_of(net(layers.Dense(3, "relu")))
    # what comes out of a softmax and is handed on is no logit
    cast = net(layers.Dense(3, "softmax"), layers.Activation("linear", dtype="float32"))
    asked = KerasPredictor(cast, "cast")
    assert head_of(cast) == "softmax"
    assert asked.logits(np.ones((2, 4), np.float32)) is None
