"""Files of Keras 1, of Theano and of layers for cuDNN: nets of tf_keras, whose configs and weights
are written as those wrote them, compared with what tf_keras computes."""

import json

import h5py
import numpy as np
import pytest

from toolkit.errors import ModelError
from toolkit.models import open_model

pytestmark = pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5:UserWarning")
k2 = pytest.importorskip("tf_keras", reason="tf_keras writes the files of Keras 2")
L = k2.layers

KERNELS = ("Conv1D", "Conv2D", "Conv2DTranspose")


def pooled(order):
    shape = (9, 8, 2) if order == "channels_last" else (2, 9, 8)
    return k2.Sequential(
        [
            L.Conv2D(4, (3, 2), data_format=order, padding="same", input_shape=shape),
            L.BatchNormalization(axis=-1 if order == "channels_last" else 1),
            L.Activation("relu"),
            L.MaxPooling2D((2, 2), data_format=order),
            L.Dropout(0.25),
            L.Flatten(),
            L.Dense(3, activation="softmax"),
        ]
    )


def merged():
    given = L.Input((6,))
    one, two = L.Dense(4, activation="relu")(given), L.Dense(4, activation="tanh")(given)
    joined = L.Concatenate()([L.Add()([one, two]), L.Multiply()([one, two])])
    return k2.Model(given, L.Dense(3, activation="softmax")(joined))


NETS = {
    "channels last": lambda: pooled("channels_last"),
    "channels first": lambda: pooled("channels_first"),
    "gates": lambda: k2.Sequential(
        [
            L.Embedding(20, 5, input_length=7),
            L.Bidirectional(
                L.LSTM(4, recurrent_activation="hard_sigmoid", return_sequences=True, dropout=0.2)
            ),
            L.GRU(3, recurrent_activation="hard_sigmoid", reset_after=False),
            L.Dense(2, activation="softmax"),
        ]
    ),
    "along time": lambda: k2.Sequential(
        [
            L.Conv1D(4, 3, input_shape=(9, 2)),
            L.MaxPooling1D(2),
            L.TimeDistributed(L.Dense(3, activation="relu")),
            L.SimpleRNN(4),
            L.Dense(3, activation="softmax"),
        ]
    ),
    "merged": merged,
}

GATES = {
    "units": "output_dim",
    "recurrent_activation": "inner_activation",
    "dropout": "dropout_W",
    "recurrent_dropout": "dropout_U",
}
OLD = {
    "Dense": {"units": "output_dim"},
    "Conv1D": {"filters": "nb_filter", "kernel_size": "filter_length"},
    "Conv2D": {"filters": "nb_filter"},
    "MaxPooling1D": {"pool_size": "pool_length", "strides": "stride"},
    "Dropout": {"rate": "p"},
    "LSTM": GATES,
    "GRU": GATES,
    "SimpleRNN": GATES,
}
KEPT = {
    *("name", "trainable", "batch_input_shape", "activation", "use_bias", "padding", "strides"),
    *("data_format", "pool_size", "axis", "epsilon", "momentum", "input_dim", "output_dim"),
    *("mask_zero", "input_length", "return_sequences", "go_backwards", "stateful", "unroll"),
    *("layer", "merge_mode", "kernel_size"),
}
MERGES = {"Add": "sum", "Multiply": "mul", "Concatenate": "concat"}


def written(layer):
    """A layer's dict as Keras 1 wrote it."""
    kind, config = layer["class_name"], dict(layer["config"])
    if kind in MERGES:
        merge = {"name": config["name"], "mode": MERGES[kind], "mode_type": "raw"}
        merge |= {"concat_axis": -1, "dot_axes": -1, "output_shape": None, "arguments": {}}
        return {**without(layer), "class_name": "Merge", "config": merge}
    if kind == "TimeDistributed":
        old = written(config["layer"])["config"]
        config = {**old, "name": config["name"], "input_dim": 4, "input_length": 3}
        return {**without(layer), "class_name": "TimeDistributedDense", "config": config}
    names = OLD.get(kind, {})
    config = {names.get(n, n): v for n, v in config.items() if n in KEPT or n in names}
    if kind == "Conv2D":
        config["nb_row"], config["nb_col"] = config.pop("kernel_size")
        config["subsample"] = config.pop("strides")
    if kind == "Conv1D":
        (config["filter_length"],) = config["filter_length"]
        (config["subsample_length"],) = config.pop("strides")
    for new, old in (
        ("padding", "border_mode"),
        ("use_bias", "bias"),
        ("data_format", "dim_ordering"),
    ):
        if new in config:
            config[old] = config.pop(new)
    if "dim_ordering" in config:
        config["dim_ordering"] = "tf" if config["dim_ordering"] == "channels_last" else "th"
        if kind in ("Conv1D", "MaxPooling1D", "Flatten"):
            config.pop("dim_ordering")
    if kind in ("Dense", "Conv1D", "Conv2D", "LSTM", "GRU", "SimpleRNN", "Embedding"):
        config |= {"init": "glorot_uniform", "W_regularizer": None, "W_constraint": None}
    if kind in ("LSTM", "GRU", "SimpleRNN"):
        config |= {"inner_init": "orthogonal", "consume_less": "cpu", "input_dim": 5}
    if kind == "BatchNormalization":
        config |= {"mode": 0, "beta_init": "zero", "gamma_init": "one", "gamma_regularizer": None}
        (config["axis"],) = config["axis"]
    if "layer" in config:
        config["layer"] = written(config["layer"])
    renamed = {"Conv1D": "Convolution1D", "Conv2D": "Convolution2D"}.get(kind, kind)
    return {**without(layer), "class_name": renamed, "config": config}


def without(layer):
    """What a layer's dict had around its config before Keras 2.13."""
    dropped = ("module", "registered_name", "build_config")
    return {name: value for name, value in layer.items() if name not in dropped}


def laid_out(kind, values, order):
    """The weights of a layer as Keras 1 kept them."""
    if kind == "Bidirectional":
        half = len(values) // 2
        return laid_out("LSTM", values[:half], order) + laid_out("LSTM", values[half:], order)
    if kind in ("LSTM", "GRU"):
        gates = (0, 2, 1, 3) if kind == "LSTM" else (0, 1, 2)
        parts = [np.split(value, len(gates), axis=-1) for value in values]
        return [part[gate] for gate in gates for part in parts]
    if kind == "Conv1D":
        return [values[0][:, None], *values[1:]]
    if kind == "Conv2D" and order == "channels_first":
        return [values[0].transpose(3, 2, 0, 1), *values[1:]]
    return values


def old_file(model, path, change, *, backend="tensorflow", version="1.2.2", config=None):
    """Save the model as HDF5, then write config and weights otherwise."""
    model.save(path, save_format="h5", include_optimizer=False)
    with h5py.File(path, "r+") as stored:
        if config:
            stored.attrs["model_config"] = json.dumps(
                config(json.loads(stored.attrs["model_config"]))
            )
        for place in (stored, stored["model_weights"]):
            place.attrs["keras_version"], place.attrs["backend"] = version, backend
        for layer in model.layers:
            group = stored["model_weights"][layer.name]
            values = [np.asarray(w) for w in layer.trainable_weights + layer.non_trainable_weights]
            for name in list(group):
                del group[name]
            made = change(layer, values)
            group.attrs["weight_names"] = [f"w{i}".encode() for i in range(len(made))]
            for i, value in enumerate(made):
                group[f"w{i}"] = value
    return path


def rows(model):
    shape = model.input_shape[1:]
    x = np.random.default_rng(0).uniform(0, 1, (5, *shape)).astype(np.float32)
    return np.floor(20 * x) if isinstance(model.layers[0], L.Embedding) else x


def stirred(model):
    """The model with biases and batch statistics that are not those of the start."""
    rng = np.random.default_rng(1)
    model.set_weights([w + rng.uniform(0.1, 0.5, w.shape) for w in model.get_weights()])
    return model


def as_keras_1(config):
    inside = config["config"]
    layers = [written(one) for one in inside["layers"] if one["class_name"] != "InputLayer"]
    if config["class_name"] == "Sequential":
        return {"class_name": "Sequential", "config": layers}
    heads = [without(one) for one in inside["layers"] if one["class_name"] == "InputLayer"]
    calls = {**inside, "layers": [*heads, *layers]}
    return {"class_name": "Model", "config": calls}


@pytest.mark.filterwarnings("ignore:.*channels_first.*")
@pytest.mark.parametrize("name", sorted(NETS))
def test_a_file_of_keras_1(name, tmp_path):
    k2.utils.set_random_seed(0)
    model = stirred(NETS[name]())
    order = name.replace(" ", "_")

    def change(layer, values):
        return laid_out(type(layer).__name__, values, order)

    path = old_file(model, tmp_path / "old.h5", change, config=as_keras_1)
    with h5py.File(path, "r") as stored:
        assert '"units"' not in stored.attrs["model_config"], "the config is not that of Keras 1"
    x = rows(model)
    found = np.asarray(open_model(path)(x, training=False))
    wanted = twin(model, x) if name == "channels first" else model(x, training=False)
    assert np.abs(found - wanted).max() < 1e-5


def twin(model, x):
    """What a channels_first net computes, by one with channels last, as TensorFlow's CPU has it."""
    other = pooled("channels_last")
    values = model.get_weights()
    turned = values[-2].reshape(4, 4, 4, 3).transpose(1, 2, 0, 3).reshape(64, 3)
    other.set_weights([*values[:-2], turned, values[-1]])
    return other(x.transpose(0, 2, 3, 1), training=False)


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5:UserWarning")
@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_channels_first_are_turned_inside(suffix, tmp_path):
    """TensorFlow runs such layers on a CPU by its compiler alone, or where oneDNN is on."""
    import keras
    import tensorflow as tf
    from keras import layers

    first = {"data_format": "channels_first"}
    given = layers.Input((3, 8, 9))
    x = layers.Conv2D(4, (3, 2), padding="same", **first)(given)
    x = layers.ReLU()(layers.BatchNormalization(axis=1)(x))
    y = layers.SeparableConv2D(4, 3, padding="same", **first)(layers.ZeroPadding2D(1, **first)(x))
    y = layers.Cropping2D(1, **first)(y)
    x = layers.UpSampling2D(2, **first)(layers.MaxPooling2D(2, **first)(layers.Add()([x, y])))
    mean = layers.GlobalAveragePooling2D(**first)(x)
    flat = layers.Flatten()(layers.Reshape((4, -1))(x))
    turned = layers.Flatten(**first)(x)
    end = layers.Dense(3, "softmax")(layers.Concatenate()([mean, flat, turned]))
    model = keras.Model(given, end)
    rng = np.random.default_rng(1)
    model.set_weights([w + rng.uniform(0.01, 0.05, w.shape) for w in model.get_weights()])
    model.save(tmp_path / f"m.{suffix}")
    found = open_model(tmp_path / f"m.{suffix}")
    orders = {getattr(layer, "data_format", None) for layer in found.layers}
    assert "channels_first" not in orders
    x = rng.uniform(0, 1, (5, 3, 8, 9)).astype(np.float32)
    there = tf.function(lambda x: model(x, training=False), jit_compile=True)(x)
    assert np.abs(np.asarray(found(x)) - np.asarray(there)).max() < 1e-5


def test_channels_first_over_time_are_refused(tmp_path):
    import keras
    from keras import layers

    conv = layers.ConvLSTM2D(2, 3, data_format="channels_first")
    net = [layers.Input((4, 3, 6, 6)), conv, layers.Flatten(), layers.Dense(2, "softmax")]
    keras.Sequential(net).save(tmp_path / "m.keras")
    with pytest.raises(ModelError, match="channels last in a layer over time"):
        open_model(tmp_path / "m.keras")


def test_kernels_of_theano_lie_the_other_way_round(tmp_path):
    """Theano convolves, TensorFlow correlates: Keras 2 turned the kernels of such a file."""
    k2.utils.set_random_seed(0)
    model = stirred(NETS["channels last"]())

    def change(layer, values):
        kernel = type(layer).__name__ in KERNELS
        return [values[0][::-1, ::-1], *values[1:]] if kernel else values

    path = old_file(model, tmp_path / "m.h5", change, backend="theano", version="2.0.8")
    x = rows(model)
    assert np.abs(np.asarray(open_model(path)(x)) - model(x, training=False)).max() < 1e-5


@pytest.mark.parametrize("around", ["alone", "bidirectional", "in a model"])
@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_layers_for_cudnn(kind, around, tmp_path):
    """The layer exists only on a GPU; its weights are turned as cuDNN wants them."""
    k2.utils.set_random_seed(0)
    inner = {"LSTM": L.LSTM, "GRU": L.GRU}[kind](4)
    if around == "bidirectional":
        inner = L.Bidirectional(inner)
    if around == "in a model":
        inner = k2.Sequential([L.Dense(3, input_shape=(7, 3)), inner])
    model = stirred(k2.Sequential([L.InputLayer((7, 3)), inner, L.Dense(2, activation="softmax")]))

    def turned(values):
        gates = 4 if kind == "LSTM" else 3
        kernel, recurrent, bias = values
        # (inputs, units) of each gate, its numbers in the order of (units, inputs)
        parts = [np.ravel(g.T).reshape(g.shape) for g in np.split(kernel, gates, 1)]
        again = [g.T for g in np.split(recurrent, gates, 1)]
        halves = np.concatenate([0.25 * bias, 0.75 * bias]) if kind == "LSTM" else bias.reshape(-1)
        return [np.concatenate(parts, 1), np.concatenate(again, 1), halves]

    def change(layer, values):
        name = type(layer).__name__
        if name == kind:
            return turned(values)
        if name == "Bidirectional":
            return turned(values[:3]) + turned(values[3:])
        return values[:2] + turned(values[2:]) if name == "Sequential" else values

    def config(told):
        return json.loads(json.dumps(told).replace(f'"{kind}"', f'"CuDNN{kind}"'))

    path = old_file(model, tmp_path / "m.h5", change, version="2.2.4", config=config)
    x = rows(model)
    assert np.abs(np.asarray(open_model(path)(x)) - model(x, training=False)).max() < 1e-5


def test_normalisation_in_an_inner_model(tmp_path):
    """What it learnt is used, and not what it started with."""
    norm = L.Normalization(input_shape=(4,))
    norm.adapt(np.random.default_rng(0).normal(3, 2, (50, 4)))
    model = k2.Sequential([k2.Sequential([norm, L.Dense(5)]), L.Dense(3, activation="softmax")])
    x = rows(model)
    model.save(tmp_path / "m.h5", save_format="h5")
    assert np.abs(np.asarray(open_model(tmp_path / "m.h5")(x)) - model(x)).max() < 1e-5


@pytest.mark.parametrize(
    ("at", "layer", "said"),
    [
        (1, {"mode": 2}, "mode other than 0"),
        (2, {"class_name": "Merge", "mode": "cosine"}, "joins by cosine"),
    ],
)
def test_what_keras_1_alone_could_is_refused(at, layer, said, tmp_path):
    model = NETS["channels last"]()

    def config(told):
        old = as_keras_1(told)
        old["config"][at]["config"] |= layer
        old["config"][at]["class_name"] = layer.get("class_name", "BatchNormalization")
        return old

    path = old_file(model, tmp_path / "m.h5", lambda _, values: values, config=config)
    with pytest.raises(ModelError, match=said):
        open_model(path)
