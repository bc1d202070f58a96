"""What Keras 2 meant by masks, by the order of weights and by settings is what is computed here."""

import numpy as np
import pytest

from toolkit.errors import ModelError
from toolkit.models import open_model

pytestmark = pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5:UserWarning")
pytest.importorskip("tf_keras", reason="tf_keras writes the files of Keras 2")


def masked(layers, keras, way):
    """Words of which some do not count, beside places that all do, or beside other words."""
    start = layers.Input((7,))
    words = layers.Embedding(10, 4, mask_zero=True)(start)
    other = layers.Embedding(10, 4)(start)
    if way == "two masks":
        other = layers.Masking()(layers.Reshape((7, 4))(layers.Dense(28, "relu")(start)))
    merge = layers.Concatenate() if way == "concatenate" else layers.Add()
    x = layers.GlobalAveragePooling1D()(merge([words, other]))
    return keras.Model(start, layers.Dense(3, "softmax")(x))


@pytest.mark.parametrize("kind", ["h5", "keras", "folder", "bridge"])
@pytest.mark.parametrize("way", ["one mask", "two masks", "concatenate"])
def test_masks_are_joined_as_keras_2_joins_them(way, kind, tmp_path):
    """One that does not count is enough there; in Keras 3 one that counts is, or none is left."""
    import tf_keras

    from toolkit.bridge import to_keras
    from toolkit.models.graph import flat

    tf_keras.utils.set_random_seed(0)
    model = masked(tf_keras.layers, tf_keras, way)
    rng = np.random.default_rng(0)
    model.set_weights([rng.normal(size=w.shape) for w in model.get_weights()])
    x = rng.integers(1, 10, (16, 7)).astype(np.float32)
    x[:, 4:] = 0
    wanted = model(x).numpy()
    path = tmp_path / {"folder": "m"}.get(kind, f"m.{kind}")
    if kind == "bridge":
        found = to_keras(model)
    else:
        model.save(path, **({"save_format": "tf"} if kind == "folder" else {}))
        found = open_model(path)
    assert np.abs(found(x).numpy() - wanted).max() < 1e-5
    assert np.abs(flat(found)(x).numpy() - wanted).max() < 1e-5


@pytest.mark.parametrize("kind", ["h5", "folder"])
def test_a_net_over_time_keeps_its_weights(kind, tmp_path):
    """A SavedModel has what is trained first, then the rest, of the whole net inside."""
    import tf_keras

    layers = tf_keras.layers
    inner = tf_keras.Sequential(
        [
            layers.Input((4,)),
            layers.BatchNormalization(),
            layers.Activation("tanh"),
            layers.BatchNormalization(),
        ]
    )
    model = tf_keras.Sequential(
        [
            layers.Input((5, 4)),
            layers.TimeDistributed(inner),
            layers.LSTM(3),
            layers.Dense(3, "softmax"),
        ]
    )
    rng = np.random.default_rng(0)
    model.set_weights([w + rng.uniform(0.1, 0.9, w.shape) for w in model.get_weights()])
    path = tmp_path / ("m" if kind == "folder" else "m.h5")
    model.save(path, **({"save_format": "tf"} if kind == "folder" else {}))
    x = rng.normal(size=(6, 5, 4)).astype(np.float32)
    assert np.abs(open_model(path)(x).numpy() - model(x).numpy()).max() < 1e-5


def test_settings_of_functions_are_not_overlooked(tmp_path):
    import tensorflow as tf
    import tf_keras

    start = tf_keras.layers.Input((6,))
    x = tf.math.l2_normalize(start, -1, epsilon=4.0)
    model = tf_keras.Model(start, tf_keras.layers.Dense(3, "softmax")(x))
    model.save(tmp_path / "m.h5")
    rows = np.random.default_rng(0).normal(size=(5, 6)).astype(np.float32)
    assert np.abs(open_model(tmp_path / "m.h5")(rows).numpy() - model(rows).numpy()).max() < 1e-5
    for strange in (
        lambda t: tf.nn.silu(t, beta=3.0),
        lambda t: tf.cast(tf.cast(t, tf.uint8), tf.float32),
    ):
        model = tf_keras.Model(start, tf_keras.layers.Dense(3, "softmax")(strange(start)))
        model.save(tmp_path / "strange.h5")
        with pytest.raises(ModelError):
            open_model(tmp_path / "strange.h5")


def test_a_softmax_along_the_width_is_not_turned_away(tmp_path):
    """With channels first the last axis is the width, not the channels."""
    import keras
    from keras import layers

    from toolkit.models.order import channels_last

    start = layers.Input((3, 6, 6))
    x = layers.MaxPooling2D(2, data_format="channels_first")(start)
    x = layers.Rescaling([1.0, 2.0, 3.0])(layers.Activation("softmax")(x))
    model = keras.Model(start, layers.Dense(3, "softmax")(layers.Flatten()(x)))
    rows = np.random.default_rng(0).normal(size=(5, 3, 6, 6)).astype(np.float32)
    pooled = rows.reshape(5, 3, 3, 2, 3, 2).max(axis=(3, 5))
    soft = np.exp(pooled) / np.exp(pooled).sum(axis=-1, keepdims=True) * [1, 2, 3]
    kernel, bias = model.layers[-1].get_weights()
    z = soft.reshape(5, -1) @ kernel + bias
    wanted = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    assert np.abs(channels_last(model)(rows).numpy() - wanted).max() < 1e-5
    conv = layers.Conv2D(3, 3, activation="softmax", data_format="channels_first")
    with pytest.raises(ModelError, match="along the width"):
        channels_last(keras.Sequential([layers.Input((3, 6, 6)), conv]))


def test_such_a_model_travels_to_other_processes(tmp_path):
    """A worker must know its layers before the model arrives."""
    import tf_keras

    from toolkit.cache import Cache
    from toolkit.glossary import Data, Fit
    from toolkit.jobs import working
    from toolkit.making import begun, make
    from toolkit.recipe import load

    model = masked(tf_keras.layers, tf_keras, "one mask")
    model.save(tmp_path / "m.h5")
    x = np.random.default_rng(0).integers(0, 10, (60, 7)).astype(np.float32)
    rows = Data(x, np.arange(60) % 3, ("a", "b", "c"))
    cache = Cache(tmp_path / "cache")
    source = begun(open_model(tmp_path / "m.h5"), Fit(rows, rows, rows), cache)
    with working(jobs=2):
        recipes = [load("float16"), load("int8-dynamic")]
        made = make(recipes, source, cache, tmp_path / "checkpoints")
    assert [one.error for one in made] == [None, None]
