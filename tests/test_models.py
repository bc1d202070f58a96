import zipfile
from dataclasses import replace

import numpy as np
import pytest

from toolkit.errors import ModelError
from toolkit.glossary import Data
from toolkit.models import MODELS, build, open_model
from toolkit.models.opening import kind_of


@pytest.mark.parametrize("name", sorted(MODELS))
def test_reference_models_classify(name, digits, wine):
    data = wine.fit.train if name.startswith("tabular") else digits.fit.train
    if name.startswith("text"):
        rng = np.random.default_rng(0)
        data = Data(rng.integers(0, 9, (20, 6)).astype(np.float32), np.arange(20) % 2, ("a", "b"))
        data = replace(data, kind="text")
    model = build(name, data)
    out = model(data.x[:3]).numpy()
    assert out.shape == (3, len(data.classes))
    assert np.allclose(out.sum(axis=1), 1, atol=1e-6)


def test_the_base_is_inputs_10_10_10(digits):
    model = build("mlp", digits.fit.train)
    assert [layer.units for layer in model.layers if hasattr(layer, "units")] == [10, 10, 10]


def test_the_seed_decides_the_weights(digits):
    one, same, other = (build("mlp", digits.fit.train, seed=s) for s in (1, 1, 2))
    assert all((a == b).all() for a, b in zip(one.get_weights(), same.get_weights(), strict=True))
    assert (one.get_weights()[0] != other.get_weights()[0]).any()


def test_options_reach_the_layers(digits):
    model = build("mlp", digits.fit.train, activation="tanh", l1=0.1, l2=0.2, dropout=0.3)
    dense = model.get_layer("dense_1")
    assert dense.activation.__name__ == "tanh"
    assert dense.kernel_regularizer.l1 == pytest.approx(0.1)
    assert model.get_layer("dropout_1").rate == 0.3


@pytest.mark.parametrize(
    ("name", "options"),
    [("mpl", {}), ("mlp", {"activation": "rleu"}), ("mlp", {"dropout": 1.5}), ("none.py:f", {})],
)
def test_wrong_names_and_options(name, options, digits):
    with pytest.raises(ModelError):
        build(name, digits.fit.train, **options)


def test_a_function_of_the_user(tmp_path, wine):
    file = tmp_path / "mine.py"
    file.write_text(
        "import keras\n"
        "def net(shape, classes):\n"
        "    return keras.Sequential([keras.layers.Input(shape),"
        " keras.layers.Dense(classes, 'softmax')])\n"
    )
    assert build(f"{file}:net", wine.fit.train).output_shape == (None, 3)
    with pytest.raises(ModelError, match="no function"):
        build(f"{file}:nets", wine.fit.train)


@pytest.mark.parametrize("suffix", [".keras", ".h5", ".bin"])
def test_files_are_told_by_content(suffix, tmp_path, mlp, saved, digits):
    path = tmp_path / f"model{suffix}"
    if suffix == ".h5":
        mlp.save(path)
    else:
        path.write_bytes(saved.read_bytes())
    x = digits.test.x[:20]
    assert np.array_equal(open_model(path)(x), mlp(x))


def test_what_is_no_model(tmp_path):
    (tmp_path / "a.keras").write_text("hello")
    (tmp_path / "empty.h5").write_bytes(b"")
    with zipfile.ZipFile(tmp_path / "other.keras", "w") as archive:
        archive.writestr("x", "y")
    for name in ("a.keras", "empty.h5", "other.keras", "missing.keras", ""):
        with pytest.raises(ModelError) as caught:
            kind_of(tmp_path / name)
        assert "\n" not in str(caught.value)


def test_code_in_a_file_does_not_run(tmp_path, monkeypatch):
    import keras

    monkeypatch.chdir(tmp_path)
    model = keras.Sequential(
        [
            keras.layers.Input((2,)),
            keras.layers.Lambda(lambda x: (__import__("pathlib").Path("ran").touch(), x)[1]),
            keras.layers.Dense(2, "softmax"),
        ]
    )
    model.save("evil.keras")
    (tmp_path / "ran").unlink()  # building the model called the function once
    with pytest.raises(ModelError, match="Lambda"):
        open_model(tmp_path / "evil.keras")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("layers", "said"),
    [
        (lambda k: [k.layers.Dense(1)], "one linear unit"),
        (lambda k: [k.layers.Dense(2, "sigmoid")], "autoencoder"),
        (lambda k: [k.layers.Dense(3, "sigmoid")], "multi-label"),
        (lambda k: [k.layers.Dense(3, "relu")], "relu"),
        (lambda k: [k.layers.Dense(4), k.layers.Reshape((2, 2))], "shape"),
    ],
)
def test_what_is_no_classifier(layers, said, tmp_path):
    import keras

    path = tmp_path / "m.keras"
    keras.Sequential([keras.layers.Input((2,)), *layers(keras)]).save(path)
    with pytest.raises(ModelError, match=said):
        open_model(path)


def rows(model, count=5):
    shape = [4 if d is None else d for d in model.inputs[0].shape[1:]]
    return np.random.default_rng(0).uniform(0, 1, (count, *shape)).astype(np.float32)


def operations():
    import keras
    from keras import layers, ops

    given = layers.Input((7, 4))
    x = given[:, -1, 1:] * ops.sigmoid(given[:, 0, :3]) + ops.mean(given, axis=1)[..., :3]
    return keras.Model(given, layers.Dense(3, "softmax")(x))


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5:UserWarning")
@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_operations_between_layers(suffix, tmp_path):
    """Plain load_model of Keras 3.15 refuses its own HDF5 file of such a model."""
    model = operations()
    model.save(tmp_path / f"m.{suffix}")
    x = rows(model)
    assert np.abs(np.asarray(open_model(tmp_path / f"m.{suffix}")(x)) - model(x)).max() < 1e-6


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5:UserWarning")
@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_settings_of_training_are_left_behind(suffix, tmp_path):
    """Half precision, a fixed number of rows, states between batches: the device has none."""
    import keras
    from keras import layers

    model = keras.Sequential(
        [
            layers.Input(batch_shape=(2, 7, 3)),
            layers.LSTM(4, stateful=True),
            layers.Dense(4, dtype="mixed_float16"),
            layers.Dense(3, "softmax", dtype="float32"),
        ]
    )
    model.save(tmp_path / f"m.{suffix}")
    found = open_model(tmp_path / f"m.{suffix}")
    x = rows(model)
    assert found.inputs[0].shape == (None, 7, 3)
    assert {layer.compute_dtype for layer in found.layers} == {"float32"}
    # half precision has 11 bits
    assert np.abs(np.asarray(found(x[:2])) - model(x[:2])).max() < 2**-9
    # two rows at a time may be added up in another order than all
    assert np.allclose(found(x[:2]), found(x)[:2], rtol=0, atol=1e-6), "rows remember other rows"


@pytest.mark.parametrize(
    ("loss", "said"), [("mse", "trained with mse"), ("binary_crossentropy", "trained with binary")]
)
def test_one_linear_unit_is_told_by_its_loss(loss, said, tmp_path):
    import keras

    model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(1)])
    model.compile("adam", loss)
    model.save(tmp_path / "m.keras")
    with pytest.raises(ModelError, match=said):
        open_model(tmp_path / "m.keras")


@pytest.mark.parametrize("loss", ["mse", "mean_absolute_error", "huber", "object"])
def test_several_linear_units_of_a_regressor_are_told_by_their_loss(loss, tmp_path):
    import keras

    model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(3)])
    model.compile("adam", keras.losses.MeanSquaredError() if loss == "object" else loss)
    model.save(tmp_path / "m.keras")
    with pytest.raises(ModelError, match="linear units and was trained with"):
        open_model(tmp_path / "m.keras")
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.save(tmp_path / "m.keras")
    assert open_model(tmp_path / "m.keras").output_shape == (None, 3)


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5:UserWarning")
@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_one_logit_of_two_classes(suffix, tmp_path):
    """Dense(1) with BinaryCrossentropy(from_logits=True), as tutorials on transfer learn it."""
    import keras

    from toolkit.models.keras_predictor import KerasPredictor

    model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(1)])
    model.compile("adam", keras.losses.BinaryCrossentropy(from_logits=True))
    model.save(tmp_path / f"m.{suffix}")
    found = KerasPredictor(open_model(tmp_path / f"m.{suffix}"), "m")
    x = rows(model)
    z = np.asarray(model(x))
    assert np.abs(found(x)[:, 1:] - 1 / (1 + np.exp(-z))).max() < 1e-6
    assert np.abs(found.logits(x)[:, 1:] - z).max() < 1e-6


def test_a_class_that_keras_has_not_is_named(tmp_path):
    import keras

    class Mine(keras.layers.Layer):
        pass

    keras.Sequential([keras.layers.Input((4,)), Mine(), keras.layers.Dense(2, "softmax")]).save(
        tmp_path / "m.keras"
    )
    with pytest.raises(ModelError, match=r"names Mine.*--custom FILE.py:Mine"):
        open_model(tmp_path / "m.keras")


def test_one_output_in_a_dict_is_given_alone(tmp_path, wine):
    import keras
    from keras import layers

    from toolkit.predict import predictor

    start = layers.Input((13,))
    ends = [layers.Dense(3, activation="softmax")(start) for _ in range(2)]
    # the answers alone say that these are probabilities
    net = keras.Model(start, {"p": (ends[0] + ends[1]) / 2})
    wanted = net(wine.test.x)["p"].numpy()
    net.save(tmp_path / "m.keras")
    for given in (net, tmp_path / "m.keras"):
        # traced, a sum may differ in its last bit; softmax of softmax would differ by 0.1
        assert np.abs(predictor(given, "net")(wine.test.x) - wanted).max() < 1e-6


def test_damaged_archives_and_settings_are_a_line(tmp_path, saved):
    import h5py

    content = bytearray(saved.read_bytes())
    at = content.rindex(b"PK\x01\x02")
    content[at : at + 4] = b"\0\0\0\0"
    (tmp_path / "cut.keras").write_bytes(content)
    with pytest.raises(ModelError, match="archive that cannot be read"):
        open_model(tmp_path / "cut.keras")
    open_model(saved).save(tmp_path / "m.h5")
    for told in ("{", "[1]", '{"loss": ["mse"]}'):
        with h5py.File(tmp_path / "m.h5", "r+") as stored:
            stored.attrs["training_config"] = told
        if told == "{":
            with pytest.raises(ModelError):
                open_model(tmp_path / "m.h5")
        else:
            open_model(tmp_path / "m.h5")


@pytest.mark.parametrize("loss", [["mse"], {"out": "mse"}])
def test_a_loss_in_a_list_or_by_the_name_of_its_output(loss, tmp_path):
    import keras
    from keras import layers

    net = keras.Sequential([layers.Input((4,)), layers.Dense(3, name="out")])
    net.compile(loss=loss)
    net.save(tmp_path / "m.keras")
    with pytest.raises(ModelError, match="regressor"):
        open_model(tmp_path / "m.keras")
