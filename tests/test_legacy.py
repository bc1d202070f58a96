"""Files that Keras 2 wrote, made here with tf_keras or by editing a config, opened by Keras 3."""

import json
import shutil
import zipfile

import numpy as np
import pytest

from toolkit.errors import ModelError
from toolkit.models import open_model

pytestmark = pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5:UserWarning")
k2 = pytest.importorskip("tf_keras", reason="tf_keras writes the files of Keras 2")
L = k2.layers


def seq(*layers):
    return k2.Sequential(list(layers))


def softmax(units=3):
    return L.Dense(units, activation="softmax")


def mlp():
    return seq(L.Dense(5, input_shape=(4,), activation="relu"), softmax())


def teachable():
    """A functional net in a Sequential in a Sequential, as Teachable Machine exports it."""
    pixels = L.Input((8, 8, 3))
    x = L.DepthwiseConv2D(3, padding="same")(L.Conv2D(4, 3, use_bias=False)(pixels))
    x = L.ReLU(6.0, name="out_relu")(L.BatchNormalization()(x))
    inner = k2.Model(pixels, x, name="inner")
    head = seq(L.Dense(5, activation="relu"), softmax())
    return seq(seq(inner, L.GlobalAveragePooling2D()), head)


def nested():
    pixels = L.Input((8, 8, 3))
    inner = k2.Model(pixels, L.ReLU(6.0)(L.Conv2D(3, 3)(pixels)), name="inner")
    outer = L.Input((8, 8, 3))
    return k2.Model(outer, softmax()(L.Flatten()(inner(outer))))


def shared():
    value = L.Input((4,))
    inner = k2.Model(value, L.Dense(4)(value), name="shared")
    outer = L.Input((4,))
    return k2.Model(outer, softmax()(L.Add()([inner(outer), inner(inner(outer))])))


def ends_in_sequential():
    tail = seq(L.Dense(5, input_shape=(4,)), softmax())
    outer = L.Input((4,))
    return k2.Model(outer, tail(L.Dense(4)(outer)))


def ends_in_functional():
    value = L.Input((4,))
    tail = k2.Model(value, softmax()(value))
    outer = L.Input((4,))
    return k2.Model(outer, tail(L.Dense(4)(outer)))


def transfer():
    """x / 127.5 - 1 before the net, and other functions of TensorFlow, as tutorials have them."""
    import tensorflow as tf

    pixels = L.Input((8, 8, 3))
    x = k2.applications.mobilenet_v2.preprocess_input(pixels)
    x = tf.nn.relu(x) * 2.0 + x
    x = 1.0 - tf.concat([x, x + x], axis=-1)
    return k2.Model(pixels, softmax()(tf.reshape(x, (-1, 384))))


def attention():
    given = L.Input((7, 4))
    mixed = L.LayerNormalization()(given + L.MultiHeadAttention(2, 3)(given, given))
    return k2.Model(given, softmax()(L.GlobalAveragePooling1D()(mixed)))


def slashes():
    given = L.Input((4,), name="a/b")
    return k2.Model(given, softmax()(L.Dense(3, name="c/d")(L.Dense(3, name="c_d")(given))))


def operations():
    """Slices, means and shapes, as people wrote them with TensorFlow between layers."""
    import tensorflow as tf

    given = L.Input((6, 6, 3))
    x = L.Conv2D(4, 3)(given[:, :, :, ::-1])
    x = tf.reduce_mean(x, axis=[1, 2]) + tf.reduce_max(x[:, 0, :, :], axis=1)
    x = tf.squeeze(tf.transpose(tf.expand_dims(x, -1), [0, 2, 1]), 1)
    x = tf.math.l2_normalize(x, axis=1) / (1.0 + tf.sqrt(tf.abs(x)))
    x = tf.maximum(x**2, 0.01) - tf.clip_by_value(x, -0.5, 0.5)
    return k2.Model(given, softmax()(tf.nn.leaky_relu(x, 0.3)))


def softmax_along_rows():
    """Attention by hand: the softmax runs over time and not over the last axis."""
    import tensorflow as tf

    given = L.Input((7, 4))
    mixed = tf.reduce_sum(given * tf.nn.softmax(L.Dense(1)(given), axis=1), axis=1)
    return k2.Model(given, softmax()(mixed))


def grey_to_colour():
    import tensorflow as tf

    grey = L.Input((6, 6, 1))
    x = tf.image.resize(tf.image.grayscale_to_rgb(grey), (8, 8))
    return k2.Model(grey, softmax()(L.Flatten()(L.Conv2D(3, 3)(x))))


def adapted():
    norm = L.Normalization(input_shape=(4,))
    norm.adapt(np.random.default_rng(0).normal(3, 2, (50, 4)))
    return seq(norm, L.Dense(5, activation="relu"), softmax())


def places():
    """A number for each place and channel, as positions in a text or a picture have it."""
    import tensorflow as tf

    given = L.Input((5, 4))
    table = np.random.default_rng(0).normal(0, 1, (5, 4)).astype(np.float32)
    x = (given + tf.constant(table)) / tf.constant(table)
    return k2.Model(given, softmax()(L.Flatten()(L.Dense(3)(x))))


def layer_scale():
    from tf_keras.src.applications import convnext

    given = L.Input((6,))
    return k2.Model(given, softmax()(convnext.LayerScale(0.5, 6)(given)))


def bins(mode):
    bounds = [0.2, 0.4, 0.7]
    binned = L.Discretization(bin_boundaries=bounds, output_mode=mode, input_shape=(4,))
    if mode == "int":
        return seq(binned, L.Embedding(4, 3), L.Flatten(), softmax())
    return seq(binned, softmax())


ZOO = {
    "places": places,
    "layer scale": layer_scale,
    "bins": lambda: bins("int"),
    "bins, several at once": lambda: bins("multi_hot"),
    "operations": operations,
    "softmax along rows": softmax_along_rows,
    "grey to colour": grey_to_colour,
    "adapted": adapted,
    "slashes in a Sequential": lambda: seq(
        L.Dense(4, input_shape=(4,), name="a/b"), L.Dense(3, activation="softmax", name="a/c")
    ),
    "double precision": lambda: seq(
        L.Dense(4, input_shape=(4,), dtype="float64"),
        L.Dense(3, activation="softmax", dtype="float64"),
    ),
    "stateful": lambda: seq(L.LSTM(4, stateful=True, batch_input_shape=(5, 7, 3)), softmax()),
    "functions of TensorFlow": transfer,
    "attention": attention,
    "slashes in names": slashes,
    "thresholded relu": lambda: seq(
        L.Dense(6, input_shape=(4,)), L.ThresholdedReLU(0.3), softmax()
    ),
    "functions as activations": lambda: seq(
        L.Dense(5, input_shape=(4,), activation=k2.activations.swish),
        L.Dense(5, activation=k2.activations.relu),
        L.BatchNormalization(),
        L.Dense(3),
        L.Softmax(),
    ),
    "mlp": mlp,
    "teachable": teachable,
    "nested": nested,
    "shared": shared,
    "ends in a Sequential": ends_in_sequential,
    "ends in a Functional": ends_in_functional,
    "cnn": lambda: seq(
        L.Conv2D(4, 3, input_shape=(8, 8, 3)),
        L.BatchNormalization(),
        L.LeakyReLU(0.1),
        L.MaxPooling2D(),
        L.Flatten(),
        L.Dropout(0.2),
        softmax(),
    ),
    "separable": lambda: seq(
        L.SeparableConv2D(4, 3, input_shape=(8, 8, 3)), L.GlobalMaxPooling2D(), softmax()
    ),
    "text": lambda: seq(L.Embedding(20, 6, input_length=7), L.LSTM(5), softmax()),
    "hard sigmoid": lambda: seq(
        L.LSTM(5, input_shape=(7, 4), recurrent_activation="hard_sigmoid"),
        L.Dense(4, activation="hard_sigmoid"),
        softmax(),
    ),
    "gru": lambda: seq(L.GRU(5, input_shape=(7, 4)), softmax()),
    "gru, reset before": lambda: seq(L.GRU(5, input_shape=(7, 4), reset_after=False), softmax()),
    "bidirectional": lambda: seq(
        L.Bidirectional(L.LSTM(5), input_shape=(7, 4)), L.Dense(1, activation="sigmoid")
    ),
    # a folder of LSTMs in both directions takes 15 s to write; one of them is in "text"
    "simple, both ways": lambda: seq(
        L.Bidirectional(L.SimpleRNN(5), input_shape=(7, 4)), L.Dense(1, activation="sigmoid")
    ),
    "time distributed": lambda: seq(
        L.TimeDistributed(L.Dense(5), input_shape=(7, 4)), L.Flatten(), L.Dense(3)
    ),
    "conv1d": lambda: seq(
        L.Conv1D(5, 3, input_shape=(9, 4)),
        L.SpatialDropout1D(0.1),
        L.GlobalMaxPooling1D(),
        softmax(),
    ),
    "preprocessing": lambda: seq(
        L.Rescaling(1 / 255, input_shape=(8, 8, 3)),
        L.RandomFlip(),
        L.RandomRotation(0.1),
        L.Conv2D(3, 3, kernel_regularizer="l2"),
        L.Flatten(),
        softmax(),
    ),
}


def rows(model):
    shape = [4 if d is None else d for d in model.input_shape[1:]]
    x = np.random.default_rng(0).uniform(0, 1, (5, *shape)).astype(np.float32)
    return np.floor(20 * x) if isinstance(model.layers[0], L.Embedding) else x


def said(model, x):
    return np.asarray(model(x, training=False))


@pytest.mark.parametrize("suffix", ["h5", "keras"])
@pytest.mark.parametrize("name", sorted(ZOO))
def test_the_output_is_that_of_the_library_that_wrote_it(name, suffix, tmp_path):
    k2.utils.set_random_seed(0)
    model = ZOO[name]()
    path = tmp_path / f"m.{suffix}"
    model.save(path, save_format=suffix)
    before = path.read_bytes()
    x = rows(model)
    found, there = open_model(path), said(model, x)  # asked once: a stateful one remembers
    assert np.abs(said(found, x) - there).max() < 1e-5
    assert np.abs(found.predict(x, verbose=0) - there).max() < 1e-5, "as a traced graph"
    assert path.read_bytes() == before, "the user's file was changed"


@pytest.mark.parametrize(
    "name",
    [
        "teachable",
        "cnn",
        "simple, both ways",
        "text",
        "shared",
        "attention",
        "adapted",
        "operations",
    ],
)
def test_a_folder_that_keras_2_saved(name, tmp_path):
    """The weights come from the checkpoint; batch statistics are made to differ from the start."""
    k2.utils.set_random_seed(0)
    model = ZOO[name]()
    rng = np.random.default_rng(1)
    model.set_weights([w + rng.uniform(0.1, 0.5, w.shape) for w in model.get_weights()])
    model.save(tmp_path / "m", save_format="tf")
    x = rows(model)
    assert np.abs(said(open_model(tmp_path / "m"), x) - said(model, x)).max() < 1e-5


def test_a_graph_without_its_config_is_refused(tmp_path):
    import tensorflow as tf

    class Twice(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((None, 2))])
        def __call__(self, x):
            return 2 * x

    tf.saved_model.save(Twice(), str(tmp_path / "m"))
    with pytest.raises(ModelError, match="without the Keras model"):
        open_model(tmp_path / "m")


def edited(model, path, edit):
    """Save as HDF5 and change the config as an older Keras would have written it."""
    import h5py

    model.save(path, save_format="h5")
    with h5py.File(path, "r+") as stored:
        config = json.loads(stored.attrs["model_config"])
        stored.attrs["model_config"] = json.dumps(edit(config))
        stored.attrs["keras_version"] = "2.1.6"
    return path


def bare(config):
    """Keras 2.0 to 2.2: a list of layers, the shape on the first of them."""
    layers = [layer for layer in config["config"]["layers"] if layer["class_name"] != "InputLayer"]
    assert "batch_input_shape" in layers[0]["config"]
    return {"class_name": "Sequential", "config": layers}


def without_input_layer(config):
    return {**config, "config": {**config["config"], "layers": bare(config)["config"]}}


def strip(config, key):
    """The config without a key, wherever it stands."""
    if isinstance(config, dict):
        return {k: strip(v, key) for k, v in config.items() if k != key}
    return [strip(v, key) for v in config] if isinstance(config, list) else config


def with_dtype(config):
    """Keras 2.0 wrote the dtype into initializers."""
    if isinstance(config, dict):
        changed = {k: with_dtype(v) for k, v in config.items()}
        if config.get("class_name") in ("GlorotUniform", "Zeros"):
            changed["config"] = {**changed["config"], "dtype": "float32"}
        return changed
    return [with_dtype(v) for v in config] if isinstance(config, list) else config


OLD = {
    "a bare list": (mlp, bare),
    "no InputLayer, Dense first": (mlp, without_input_layer),
    "no InputLayer, Conv2D first": (ZOO["cnn"], without_input_layer),
    "no InputLayer, Bidirectional first": (ZOO["bidirectional"], without_input_layer),
    "GRU before reset_after": (ZOO["gru, reset before"], lambda c: strip(c, "reset_after")),
    "inner layer without its module": (
        ZOO["bidirectional"],
        lambda c: strip(strip(c, "module"), "registered_name"),
    ),
    "dtype in an initializer": (mlp, with_dtype),
    "functional called Model": (
        nested,
        lambda c: json.loads(json.dumps(c).replace('"Functional"', '"Model"')),
    ),
}


@pytest.mark.parametrize("name", sorted(OLD))
def test_configs_of_older_keras(name, tmp_path):
    make, edit = OLD[name]
    k2.utils.set_random_seed(0)
    model = make()
    x = rows(model)
    found = open_model(edited(model, tmp_path / "old.h5", edit))
    assert np.abs(said(found, x) - said(model, x)).max() < 1e-5
    assert len(found.inputs[0].shape) == x.ndim


def test_hdf5_under_another_name(tmp_path):
    model = mlp()
    model.save(tmp_path / "m.h5", save_format="h5")
    shutil.copy(tmp_path / "m.h5", tmp_path / "m.keras")
    x = rows(model)
    assert np.array_equal(said(open_model(tmp_path / "m.keras"), x), said(model, x))


def test_groups_of_weights_of_keras_2_12(tmp_path):
    """Keras 2.12 and 2.13 kept weights under another group."""
    import h5py

    model = teachable()
    model.save(tmp_path / "m.keras", save_format="keras")
    with zipfile.ZipFile(tmp_path / "m.keras") as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    weights = tmp_path / "w.h5"
    weights.write_bytes(parts["model.weights.h5"])
    with h5py.File(weights, "r+") as stored:
        names = []
        stored.visit(names.append)
        groups = [n for n in names if n.split("/")[-1] == "layers"]
        for name in sorted(groups, key=len, reverse=True):
            stored.move(name, name.removesuffix("layers") + "_layer_checkpoint_dependencies")
    with zipfile.ZipFile(tmp_path / "old.keras", "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, weights.read_bytes() if name.endswith("h5") else content)
    x = rows(model)
    assert np.abs(said(open_model(tmp_path / "old.keras"), x) - said(model, x)).max() < 1e-5
