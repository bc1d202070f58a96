"""What a person can say about a file that does not open by itself."""

import sys

import pytest

from toolkit.errors import ModelError
from toolkit.models import open_model, scripts


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        "import keras\n"
        "class Double(keras.layers.Layer):\n"
        "    def call(self, x):\n"
        "        return 2 * x\n"
        "def net():\n"
        "    return keras.Sequential([keras.layers.Input((3,)),"
        " keras.layers.Dense(2, 'softmax')])\n"
        "number = 3\n"
        "def other():\n"
        "    return 3\n"
    )
    return path


@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_a_custom_class_is_named(script, tmp_path, suffix):
    import keras
    import numpy as np

    double = scripts.named(f"{script}:Double")
    model = keras.Sequential([keras.layers.Input((3,)), double(), keras.layers.Dense(2, "softmax")])
    path = tmp_path / f"m.{suffix}"
    model.save(path)
    with pytest.raises(ModelError, match="--custom"):
        open_model(path)
    x = np.ones((2, 3), np.float32)
    found = open_model(path, custom=[f"{script}:Double"])
    assert np.array_equal(found(x), model(x))


def test_trust_lets_a_lambda_run(tmp_path):
    import keras
    import numpy as np

    layers = keras.layers
    net = [layers.Input((3,)), layers.Lambda(lambda x: 2 * x), layers.Dense(2, "softmax")]
    model = keras.Sequential(net)
    model.save(tmp_path / "m.keras")
    with pytest.raises(ModelError, match="--trust"):
        open_model(tmp_path / "m.keras")
    x = np.ones((2, 3), np.float32)
    assert np.array_equal(open_model(tmp_path / "m.keras", trust=True)(x), model(x))


@pytest.mark.parametrize("name", ["w.weights.h5", "w.bin"])
def test_weights_take_their_architecture_from_a_file(script, tmp_path, name):
    import numpy as np

    model = scripts.model_of(f"{script}:net")
    model.save_weights(tmp_path / "w.weights.h5")
    path = (tmp_path / "w.weights.h5").rename(tmp_path / name)
    with pytest.raises(ModelError, match="--architecture"):
        open_model(path)
    found = open_model(path, architecture=f"{script}:net")
    x = np.ones((2, 3), np.float32)
    assert np.array_equal(found(x), model(x))


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5:UserWarning")
def test_weights_of_keras_2_as_well(script, tmp_path):
    import numpy as np

    k2 = pytest.importorskip("tf_keras")
    old = k2.Sequential([k2.layers.Dense(2, activation="softmax", input_shape=(3,))])
    old.save_weights(tmp_path / "w.h5")
    x = np.ones((2, 3), np.float32)
    found = open_model(tmp_path / "w.h5", architecture=f"{script}:net")
    assert np.abs(np.asarray(found(x)) - np.asarray(old(x))).max() < 1e-6


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("none.py:f", "no file"),
        ("{s}:nets", "did you mean net"),
        ("{s}:number", "no function"),
        ("{s}:other", "gave a int"),
        ("{b}:f", "ZeroDivisionError"),
    ],
)
def test_scripts_that_do_not_help(spec, said, script, tmp_path):
    broken = tmp_path / "broken.py"
    broken.write_text("1 / 0\n")
    with pytest.raises(ModelError, match=said) as caught:
        scripts.model_of(spec.format(s=script, b=broken))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("command", ["compress", "explain"])
def test_a_command_opens_the_model_once(command, saved, tmp_path, monkeypatch):
    from keras.src.saving import saving_lib

    from toolkit.cli import run

    opened = []
    real = saving_lib._load_model_from_fileobj

    def counted(*arguments, **settings):
        opened.append(command)
        return real(*arguments, **settings)

    monkeypatch.setattr(saving_lib, "_load_model_from_fileobj", counted)
    more = ["--recipe", "float16", "--out", str(tmp_path)]
    if command == "explain":
        more = ["--rows", "2", "--method", "shapley", "--out", str(tmp_path / "why.html")]
    assert run([command], [str(saved), "--data", "digits", *more], command) in (0, 1)
    assert opened == [command]


def test_a_file_may_look_itself_up_and_import_what_lies_beside_it(tmp_path):
    (tmp_path / "beside_it.py").write_text("two = 2\n")
    path = tmp_path / "typed.py"
    path.write_text(
        "from __future__ import annotations\n"
        "from dataclasses import dataclass\n"
        "from beside_it import two\n"
        "@dataclass\n"
        "class Settings:\n"
        "    units: int = two\n"
        "def units():\n"
        "    return Settings().units\n"
    )
    before = list(sys.path)
    assert scripts.named(f"{path}:units")() == 2
    assert sys.path == before


def test_a_function_of_a_file_travels_to_other_processes(script):
    from toolkit.jobs import spread, working

    script.write_text("def louder(x):\n    return 2 * x\n")
    with working(jobs=2):
        assert spread(scripts.named(f"{script}:louder"), [1, 2, 3]) == [2, 4, 6]
