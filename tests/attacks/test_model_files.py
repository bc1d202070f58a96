"""Model files that want to run code, to read or write elsewhere, or to take all memory."""

import contextlib
import json
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from toolkit.errors import ModelError
from toolkit.models import open_model
from toolkit.predict import predictor


def edited(source, target, change):
    """A copy of a .keras archive with its config changed."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "config.json":
                config = json.loads(content)
                change(config)
                content = json.dumps(config).encode()
            new.writestr(name, content)
    return target


@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_a_lambda_does_not_run(suffix, tmp_path):
    import keras

    mark = tmp_path / "was here"
    layers = keras.layers
    evil = layers.Lambda(lambda x, place=str(mark): (Path(place).touch(), x)[1])
    net = keras.Sequential([layers.Input((3,)), evil, layers.Dense(2, "softmax")])
    net.save(tmp_path / f"m.{suffix}")
    mark.unlink(missing_ok=True)
    with pytest.raises(ModelError, match="--trust"):
        open_model(tmp_path / f"m.{suffix}")
    assert not mark.exists()


def test_a_function_named_in_the_config_does_not_run(saved, tmp_path):
    """A class of another module must not be imported because a file names it."""

    def change(config):
        config["config"]["layers"][1] = {
            "module": "subprocess",
            "class_name": "Popen",
            "config": {"args": ["touch", str(tmp_path / "was here")]},
            "registered_name": None,
        }

    with pytest.raises(ModelError):
        open_model(edited(saved, tmp_path / "m.keras", change))
    assert not (tmp_path / "was here").exists()


@pytest.mark.parametrize("name", ["m.keras", "m.h5", "m.onnx"])
def test_a_pickle_under_any_name_is_never_loaded(name, tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "was here"), "w"))

    (tmp_path / name).write_bytes(pickle.dumps(Evil()))
    with pytest.raises(ModelError, match=r"is a pickle, .* not opened"):
        open_model(tmp_path / name)
    assert not (tmp_path / "was here").exists()


def test_members_outside_the_archive_are_not_written(saved, tmp_path):
    inside = tmp_path / "a" / "b"
    inside.mkdir(parents=True)
    path = inside / "m.keras"
    path.write_bytes(saved.read_bytes())
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("../../outside", b"x")
        archive.writestr("assets/../../../outside", b"x")
    with contextlib.suppress(ModelError):  # refusing it is as good
        open_model(path)
    assert {p.name for p in tmp_path.rglob("*")} == {"a", "b", "m.keras"}


def test_a_bomb_is_refused_before_it_unpacks(tmp_path):
    path = tmp_path / "bomb.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", b" " * (65 * 2**20))
    with pytest.raises(ModelError, match="unpacks to"):
        open_model(path)


def test_absurd_layers_are_refused_before_memory_is_taken(saved, tmp_path):
    def change(config):
        dense = [c for c in config["config"]["layers"] if c["class_name"] == "Dense"]
        dense[0]["config"]["units"] = 10**11

    with pytest.raises(ModelError, match=r"units 100,000,000,000"):
        open_model(edited(saved, tmp_path / "m.keras", change))


def test_an_onnx_reads_no_file_outside_its_folder(frontier, tmp_path):
    import onnx
    from onnx import TensorProto

    (tmp_path / "secret").write_bytes(bytes(10**6))
    folder = tmp_path / "model"
    folder.mkdir()
    model = onnx.load(frontier.base.path)
    tensor = next(t for t in model.graph.initializer if len(t.dims) == 2)
    size = 4 * int(np.prod(tensor.dims))
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", "../secret"), ("offset", "0"), ("length", str(size))):
        tensor.external_data.add(key=key, value=value)
    (folder / "m.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ModelError):
        predictor(folder / "m.onnx")


def test_a_saved_model_is_never_run(tmp_path):
    folder = tmp_path / "m"
    folder.mkdir()
    (folder / "saved_model.pb").write_bytes(b"\x0a" + bytes(50))
    with pytest.raises(ModelError, match="without the Keras model"):
        open_model(folder)


@pytest.mark.parametrize("way", ["external", "link", "soft link", "virtual", "huge"])
def test_weights_in_another_file_are_not_read(way, saved_h5, tmp_path):
    """HDF5 can point at any file of the machine, whose bytes would travel in the small model."""
    import h5py

    secret = tmp_path / "secret.bin"
    secret.write_bytes(np.arange(4096, dtype=np.float32).tobytes())
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["kernel"] = np.full((64, 10), 7, np.float32)
    evil = tmp_path / "evil.h5"
    evil.write_bytes(saved_h5.read_bytes())
    with h5py.File(evil, "r+") as stored:
        found = []
        stored.visititems(lambda name, one: found.append(name) if hasattr(one, "dtype") else None)
        place = next(name for name in found if stored[name].shape == (64, 10))
        del stored[place]
        group, name = stored[place.rpartition("/")[0]], place.rpartition("/")[2]
        if way == "external":
            group.create_dataset(name, (64, 10), "<f4", external=[(str(secret), 0, 2560)])
        elif way == "link":
            group[name] = h5py.ExternalLink(str(tmp_path / "other.h5"), "kernel")
        elif way == "soft link":
            stored["away"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "/")
            group[name] = h5py.SoftLink("/away/kernel")
        elif way == "virtual":
            layout = h5py.VirtualLayout((64, 10), "<f4")
            layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "kernel", (64, 10))
            group.create_virtual_dataset(name, layout)
        else:
            group.create_dataset(name, (2**30, 30), "<f4", chunks=(1024, 30))
    with pytest.raises(ModelError) as refused:
        open_model(evil)
    assert "file" in str(refused.value) or "bytes" in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


@pytest.fixture(scope="module")
def saved_h5(tmp_path_factory):
    import keras
    from keras import layers

    path = tmp_path_factory.mktemp("h5") / "net.h5"
    net = keras.Sequential([layers.Input((64,)), layers.Dense(10, activation="softmax")])
    net.save(path)
    return path
