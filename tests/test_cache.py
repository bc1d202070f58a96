import dataclasses
import os
import time
from pathlib import Path

import numpy as np
import pytest

from toolkit import cache as module
from toolkit.cache import Cache, data_key, fit_key, key_of, model_key, pass_key, plain, sweep
from toolkit.checkpoints import digest
from toolkit.passes import PASSES


def test_what_decides_no_result_is_there():
    """A part of the toolkit that was renamed would count again."""
    folder = Path(module.__file__).parent
    assert [name for name in module._APART if not (folder / name).exists()] == []


@pytest.fixture
def cache(tmp_path):
    found = Cache(tmp_path)
    found.keep("key", b"\x00\nbytes\n", {"epochs": 3, "loss": [0.5]})
    return found


def test_what_was_kept_is_found_to_the_byte(cache):
    entry = cache.find("key")
    assert entry.content == b"\x00\nbytes\n"
    assert entry.about == {"epochs": 3, "loss": [0.5]}
    assert cache.find("other") is None


def test_a_flipped_bit_or_a_cut_anywhere_is_no_entry(cache):
    (path,) = cache.folder.iterdir()
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place])
        assert cache.find("key") is None
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        found = cache.find("key")
        # the one byte that says nothing is the end of the line of the hash
        assert found is None or place == 64
    path.write_bytes(whole)
    assert cache.find("key") is not None


def test_an_entry_of_another_key_under_this_name_is_not_taken(cache):
    """Names of files are a part of the key only."""
    start = "a" * 32
    cache.keep(start + "1", b"one", {})
    assert cache.find(start + "1").content == b"one"
    assert cache.find(start + "2") is None


def test_what_was_killed_in_writing_goes_and_what_is_being_written_stays(tmp_path):
    old, new = tmp_path / ".writing-old", tmp_path / ".writing-new"
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (0, time.time() - 3600))
    sweep(tmp_path)
    assert list(tmp_path.iterdir()) == [new]


def test_facts_look_the_same_before_and_after(tmp_path):
    facts = {"shape": (1, 2), "share": np.float32(0.5), "path": tmp_path, "all": np.arange(2)}
    Cache(tmp_path).keep("k", b"", facts)
    assert Cache(tmp_path).find("k").about == plain(facts)
    with pytest.raises(TypeError, match="JSON values"):
        plain({"what": object()})


def test_every_setting_of_a_pass_counts_and_the_content_of_files_it_names(tmp_path):
    first = PASSES["static_int8"]()
    assert pass_key(first) == pass_key(PASSES["static_int8"]())
    for changed in ({"rows": 100}, {"per_channel": False}, {"calibration": "entropy"}):
        assert pass_key(dataclasses.replace(first, **changed)) != pass_key(first)
    path = tmp_path / "teacher.onnx"
    keys = set()
    for content in (b"one", b"two", b"one"):
        path.write_bytes(content)
        keys.add(pass_key(PASSES["distil"](teacher=str(path))))
    assert len(keys) == 2


def test_the_content_of_several_teachers_and_of_folders_counts(tmp_path):
    one, folder = tmp_path / "one.keras", tmp_path / "saved"
    (folder / "variables").mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(b"graph")
    keys = []
    for path in (one, folder / "variables" / "data"):
        for content in (b"one", b"two", b"one"):
            one.write_bytes(b"one")
            path.write_bytes(content)
            keys.append(pass_key(PASSES["distil"](teacher=f"base+{one}+{folder}")))
    assert keys[0] == keys[2] != keys[1]
    assert keys[3] == keys[5] != keys[4]
    build = tmp_path / "build+one.py"
    keys = []
    for content in ("def net(): 1", "def net(): 2"):
        build.write_text(content)
        keys.append(pass_key(PASSES["distil"](student=f"{build}:net")))
    assert keys[0] != keys[1]


def test_numbers_of_numpy_and_constants_in_code_count():
    rows = [pass_key(PASSES["static_int8"](rows=n)) for n in (np.int64(8), np.int64(200), 8)]
    assert rows[0] == rows[2] != rows[1]
    assert digest(np.float32(0.3)) != digest(np.float32(0.7))
    assert digest(lambda x: x * 0.5) != digest(lambda x: x * 0.9)
    assert digest(lambda x, by=1: x * by) != digest(lambda x, by=2: x * by)


def test_one_value_of_one_row_is_other_data(wine):
    x = wine.fit.train.x.copy()
    x[77, 3] = np.nextafter(x[77, 3], np.float32(np.inf))
    other = dataclasses.replace(wine.fit.train, x=x)
    again = dataclasses.replace(wine.fit.train, x=wine.fit.train.x.copy())
    assert data_key(other) != data_key(wine.fit.train) == data_key(again)
    assert fit_key(dataclasses.replace(wine.fit, train=other)) != fit_key(wine.fit)
    assert fit_key(dataclasses.replace(wine.fit, unlabelled=x)) != fit_key(wine.fit)


def nets(swapped):
    """Two nets of the same layers and weights that hang together differently."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(0)
    first = layers.Input((4,))
    a, b = layers.Dense(4), layers.Dense(4)
    one, two = a(first), b(first)
    last = layers.Subtract()([two, one] if swapped else [one, two])
    return keras.Model(first, layers.Softmax()(last))


def test_a_model_is_its_layers_its_weights_and_how_they_hang_together():
    one = nets(False)
    key = model_key(one, None)
    # names of layers count up in a process; they decide nothing
    assert model_key(nets(False), None) == key
    assert model_key(nets(True), None) != key
    one.set_weights([w + np.float32(1e-6) for w in one.get_weights()])
    assert model_key(one, None) != key


def test_devices_and_versions_count(monkeypatch):
    from toolkit.devices import on

    key = key_of("a")
    assert key_of("a") == key != key_of("b")
    with on("cpu"):
        assert key_of("a") != key
    monkeypatch.setattr("toolkit.cache.versions", lambda: {"tensorflow": "0"})
    assert key_of("a") != key


def test_weights_beside_an_onnx_count(mlp, digits, tmp_path):
    import onnx

    from toolkit.exporting import export

    model = export(mlp, digits.fit.validation).model
    keys = []
    for by in (1.0, 1.5):
        for tensor in model.graph.initializer:
            if tensor.data_type == onnx.TensorProto.FLOAT:
                values = onnx.numpy_helper.to_array(tensor) * np.float32(by)
                tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
        place = tmp_path / "t.onnx"
        for old in tmp_path.iterdir():
            old.unlink()
        copy = onnx.ModelProto.FromString(model.SerializeToString())
        onnx.save(copy, place, save_as_external_data=True, location="t.data", size_threshold=0)
        keys.append((place.read_bytes(), pass_key(PASSES["distil"](teacher=str(place)))))
    assert keys[0][0] == keys[1][0]  # the file itself says the same
    assert keys[0][1] != keys[1][1]
