"""What is no model says what it is, and what to do, in one line; nothing of it runs."""

import json
import pickle
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from toolkit.errors import ModelError
from toolkit.models import open_model
from toolkit.predict import predictor

TFJS = json.dumps({"format": "layers-model", "modelTopology": {}, "weightsManifest": []})
FILES = {
    "net.tflite": (bytes(4) + b"TFL3" + bytes(80), "TensorFlow-Lite"),
    "net.h5": (pickle.dumps({"a": 1}), "pickle, which can run any code"),
    "net.joblib": (pickle.dumps([1], protocol=2), "pickle"),
    "page.h5": (b"\n<!DOCTYPE html><html>", "web page"),
    "page.keras": (b"<html><head>", "web page"),
    "net.tar.gz": (b"\x1f\x8b" + bytes(90), "packed archive"),
    "frozen.pb": (b"\n\x0f\n\x05input" + bytes(90), "frozen graph"),
    "saved_model.pb": (b"\x08\x01" + bytes(90), "graph of a SavedModel.*give its folder"),
    "model.json": (TFJS.encode(), "tensorflowjs_converter"),
    "net.json": (b'{"class_name": "Sequential", "config": []}', "--architecture"),
    "other.json": (b'{"a": ', "JSON and no model"),
    "nothing.keras": (b"", "is empty"),
    "half.keras": (b"PK\x03\x04" + bytes(90), "an archive whose end is missing"),
    "hello.keras": (b"hello", "is not a model; .*model.save"),
}
ARCHIVES = {
    "converted_keras.zip": ("keras_model.h5", "holds keras_model.h5"),
    "net.pt": ("net/data.pkl", "PyTorch"),
    "rows.npz": ("x_train.npy", "arrays of numpy"),
    "other.zip": ("readme.txt", "without a model"),
}
FOLDERS = {
    "web": ("model.json", TFJS, "TensorFlow.js"),
    "runs": ("one/saved_model.pb", "", "give one: .*one"),
    "files": ("best.h5", "", "give the file: .*best.h5"),
    "steps": ("checkpoint", "", "checkpoint"),
    "nothing": ("readme.txt", "", "without a model"),
}


def refusal(path):
    with pytest.raises(ModelError) as caught:
        open_model(path)
    assert "\n" not in str(caught.value)
    return caught


@pytest.mark.parametrize("name", sorted(FILES))
def test_files_of_others(name, tmp_path):
    content, said = FILES[name]
    (tmp_path / name).write_bytes(content)
    assert refusal(tmp_path / name).match(said)


@pytest.mark.parametrize("name", sorted(ARCHIVES))
def test_archives_of_others(name, tmp_path):
    inside, said = ARCHIVES[name]
    with zipfile.ZipFile(tmp_path / name, "w") as archive:
        archive.writestr(inside, "x")
    assert refusal(tmp_path / name).match(said)


@pytest.mark.parametrize("name", sorted(FOLDERS))
def test_folders_of_others(name, tmp_path):
    inside, content, said = FOLDERS[name]
    path = tmp_path / name / inside
    path.parent.mkdir(parents=True)
    path.write_text(content)
    assert refusal(tmp_path / name).match(said)


def test_an_unpacked_archive(tmp_path, saved):
    with zipfile.ZipFile(saved) as archive:
        archive.extractall(tmp_path / "net")
    assert refusal(tmp_path / "net").match("unpacked .keras")


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5:UserWarning")
@pytest.mark.parametrize("keras_2", [True, False])
def test_an_architecture_as_json_with_weights_beside_it(keras_2, tmp_path):
    """As many people stored their nets: model.to_json() and model.save_weights()."""
    if keras_2:
        keras = pytest.importorskip("tf_keras", reason="it writes the files of Keras 2")
    else:
        import keras
    layers = keras.layers
    model = keras.Sequential(
        [
            layers.InputLayer((6, 6, 1)),
            layers.Conv2D(3, 3, activation="relu"),
            layers.BatchNormalization(),
            layers.Flatten(),
            layers.Dense(4, activation="softmax"),
        ]
    )
    weights = tmp_path / ("w.h5" if keras_2 else "w.weights.h5")
    model.save_weights(weights)
    (tmp_path / "net.json").write_text(model.to_json())
    x = np.random.default_rng(0).uniform(0, 1, (5, 6, 6, 1)).astype(np.float32)
    found = open_model(weights, architecture=str(tmp_path / "net.json"))
    assert np.abs(np.asarray(found(x)) - np.asarray(model(x))).max() < 1e-6


def test_code_in_an_architecture_does_not_run(tmp_path):
    import keras

    layers = keras.layers
    net = [layers.Input((3,)), layers.Lambda(lambda x: 2 * x), layers.Dense(2, "softmax")]
    model = keras.Sequential(net)
    model.save_weights(tmp_path / "w.weights.h5")
    (tmp_path / "net.json").write_text(model.to_json())
    with pytest.raises(ModelError, match="--trust"):
        open_model(tmp_path / "w.weights.h5", architecture=str(tmp_path / "net.json"))


@pytest.mark.parametrize("content", ["[1]", "{", '{"class_name": "Sequential"}', None])
def test_what_is_no_architecture(content, tmp_path, mlp):
    mlp.save_weights(tmp_path / "w.weights.h5")
    if content is not None:
        (tmp_path / "net.json").write_text(content)
    with pytest.raises(ModelError, match="cannot read the architecture"):
        open_model(tmp_path / "w.weights.h5", architecture=str(tmp_path / "net.json"))


def test_the_command_that_is_said_of_an_exported_graph_works(mlp, digits, tmp_path):
    folder = tmp_path / "exported"
    mlp.export(folder, verbose=False)
    step = str(refusal(folder).value).partition("python -m ")[2]
    assert "--output model.onnx" in step
    subprocess.run(
        [sys.executable, "-m", *step.split()], check=True, capture_output=True, cwd=tmp_path
    )
    rows = digits.test.x[:9]
    there = predictor(tmp_path / "model.onnx")(rows)
    assert np.abs(there - predictor(mlp)(rows)).max() <= 1e-5
