"""Several devices and several workers compute what one does; what is missing is said."""

import json
import os
import socket
import subprocess
import sys

import numpy as np
import pytest

from toolkit.devices import Place, _here, here, on
from toolkit.errors import DeviceError
from toolkit.training import Settings, train

# every line of code here runs in a process that has two CPU devices or is one of two workers
NETS = """
import hashlib, json, os, sys
import numpy as np
from toolkit.data import load
from toolkit.devices import here, on, shared
from toolkit.training import Settings, train

SETTINGS = json.loads(os.environ["SETTINGS"])

def scaled(wine):
    import dataclasses
    x = wine.fit.train.x
    parts = {
        name: dataclasses.replace(d, x=(d.x - x.mean(0)) / x.std(0))
        for name, d in (("train", wine.fit.train), ("validation", wine.fit.validation))
    }
    return dataclasses.replace(wine.fit, **parts)

def net(hidden):
    import keras
    keras.utils.set_random_seed(0)
    layers = keras.layers
    inner = [layers.Dense(8), layers.BatchNormalization(), layers.Dropout(0.3)] if hidden else []
    return keras.Sequential([layers.Input((13,)), *inner, layers.Dense(3, "softmax")])

def both():
    fit = scaled(load("wine"))
    made = {}
    for hidden in (False, True):
        model, history = train(net(hidden), fit, Settings(**SETTINGS), seed=1)
        weights = b"".join(w.tobytes() for w in model.get_weights())
        made[str(hidden)] = [history.series, hashlib.sha256(weights).hexdigest()]
    return made
"""

WORKER = (
    NETS
    + """
from toolkit.cli import run
arguments = ["train", "--data", "wine", "--epochs", "1", "--out", sys.argv[1], "--devices", "cpu"]
assert run(["train"], arguments[1:], "toolkit") == 0
with on("cpu"):
    made = both()
    made["chief"] = here().chief
    made["heard"] = shared(b"only the chief's" if here().chief else b"mine").decode()
print("MADE", json.dumps(made))
"""
)

TWO_DEVICES = (
    NETS
    + """
import tensorflow as tf
(cpu,) = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
with on("all"):
    print("MADE", json.dumps(both()))
"""
)


def started(code, *arguments, **environment):
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def answered(process):
    try:
        out, err = process.communicate(timeout=240)
    finally:
        process.kill()
    assert process.returncode == 0, err
    return json.loads(out.split("MADE ")[1])


@pytest.fixture(scope="module")
def rows(wine):
    """The scaled training rows, f64, and the settings under which rounding cannot grow."""
    x = wine.fit.train.x.astype(np.float64)
    x = (x - x.mean(0)) / x.std(0)
    largest = np.sqrt((x**2).sum(axis=1).max() + 1)  # 1 for the bias
    # the loss of a softmax of linear units is convex; below 2 / its curvature, which is at most
    # half the squared norm of a row, a step of descent brings no two points farther apart
    settings = {
        "optimizer": "sgd", "learning_rate": float(2 / largest**2), "batch": 32, "epochs": 3,
    }  # fmt: skip
    return x, largest, settings


@pytest.fixture(scope="module")
def found(rows, tmp_path_factory):
    """Two workers and two devices of one, in processes of their own."""
    folder = tmp_path_factory.mktemp("workers")
    settings = json.dumps(rows[2])
    sockets = [socket.socket() for _ in range(2)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    places = [f"127.0.0.1:{s.getsockname()[1]}" for s in sockets]
    for s in sockets:
        s.close()

    def worker(index):
        task = {"cluster": {"worker": places}, "task": {"type": "worker", "index": index}}
        name = folder / f"{index}.keras"
        return started(WORKER, name, TF_CONFIG=json.dumps(task), SETTINGS=settings)

    pair = [worker(i) for i in range(2)]
    made = {"two workers": [answered(p) for p in pair]}
    made["two devices"] = [answered(started(TWO_DEVICES, SETTINGS=settings))]
    made["files"] = sorted(p.name for p in folder.iterdir())
    return made


@pytest.fixture(scope="module")
def plain(rows, wine):
    """The same training through Keras's own fit on one device."""
    space = {}
    os.environ["SETTINGS"] = json.dumps(rows[2])
    try:
        exec(NETS, space)  # noqa: S102
    finally:
        del os.environ["SETTINGS"]
    return train(space["net"](False), space["scaled"](wine), Settings(**rows[2]), seed=1)[1].series


@pytest.mark.parametrize("which", ["two workers", "two devices"])
def test_the_loss_curve_is_that_of_one_device(which, found, plain, rows):
    x, largest, settings = rows
    steps = settings["epochs"] * -(-len(x) // settings["batch"])
    # sums over a batch and over columns, in any order: a relative error of the number of terms
    rounding = (settings["batch"] + x.shape[1]) * np.finfo(np.float32).eps
    slope = np.sqrt(2) * largest  # of the loss of one row, at most
    apart = steps * settings["learning_rate"] * rounding * slope
    for made in found[which]:
        series = made["False"][0]
        assert series.keys() == plain.keys()
        for name in ("loss", "val_loss"):
            wrong = np.abs(np.array(series[name]) - plain[name])
            assert (wrong <= slope * apart + rounding * np.array(plain[name])).all()
        assert plain["loss"][-1] < 0.7 * plain["loss"][0]


def test_all_workers_end_with_the_same_model(found):
    first, second = found["two workers"]
    assert first["False"] == second["False"]
    # BatchNormalization and Dropout too
    assert first["True"] == second["True"]


def test_only_the_chief_writes_and_all_hear_it(found):
    assert found["files"] == ["0.keras"]
    first, second = found["two workers"]
    assert (first["chief"], second["chief"]) == (True, False)
    assert first["heard"] == second["heard"] == "only the chief's"


def test_float16_is_for_training_alone(wine, tabular):
    """As on a GPU, which this machine need not have: the model computes in float32 again."""
    import keras

    token = _here.set(Place("GPU", "/CPU:0", mixed=True))
    seen = []
    try:
        with pytest.MonkeyPatch.context() as patch:
            fit = keras.Model.fit
            patch.setattr(
                keras.Model, "fit",
                lambda self, *a, **k: seen.extend(self.layers) or fit(self, *a, **k),
            )  # fmt: skip
            trained, history = train(tabular, wine.fit, Settings(epochs=1))
    finally:
        _here.reset(token)
    inside = [layer.dtype_policy.name for layer in seen if layer.trainable_variables]
    assert inside == ["mixed_float16"] * (len(inside) - 1) + ["float32"]
    assert history.facts["mixed"]
    assert {layer.dtype_policy.name for layer in trained.layers} == {"float32"}
    assert trained(wine.test.x[:2]).dtype == "float32"


def test_the_device_is_said_and_the_bits_are_those_of_no_device(wine, tabular):
    bare, without = train(tabular, wine.fit, Settings(epochs=1))
    with on("cpu"):
        placed, history = train(tabular, wine.fit, Settings(epochs=1))
    assert history.facts == {**without.facts, "devices": "CPU"}
    pairs = zip(bare.get_weights(), placed.get_weights(), strict=True)
    assert all((a == b).all() for a, b in pairs)
    assert here().name == ""


@pytest.mark.parametrize(
    ("devices", "mixed", "config", "said"),
    [
        ("gpu", False, "", "no GPU"),
        ("cpu", True, "", "without a GPU"),
        ("tpu", False, "", "unknown devices 'tpu'"),
        ("auto", False, "{", "TF_CONFIG is {"),
    ],
)
def test_what_is_not_there_is_one_line(devices, mixed, config, said, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", config)
    with pytest.raises(DeviceError, match=said) as caught, on(devices, mixed=mixed):
        pass
    assert "\n" not in str(caught.value)
