"""Files of Keras 2 that are refused by name, or opened in another precision."""

import json

import numpy as np
import pytest

from tests.test_legacy import ZOO, L, edited, k2, mlp, rows, said, seq, softmax
from toolkit.errors import ModelError
from toolkit.models import open_model

pytestmark = pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5:UserWarning")


def test_what_would_compute_otherwise_is_refused(tmp_path):
    def timed(config):
        return json.loads(json.dumps(config).replace('"time_major": false', '"time_major": true'))

    with pytest.raises(ModelError, match="time_major"):
        open_model(edited(ZOO["gru"](), tmp_path / "m.h5", timed))


def test_a_function_without_a_layer_is_named_and_not_called(tmp_path):
    import tensorflow as tf

    given = L.Input((4,))
    model = k2.Model(given, softmax()(tf.cumsum(given, axis=1)))
    model.save(tmp_path / "m.h5", save_format="h5")
    with pytest.raises(ModelError, match="cumsum"):
        open_model(tmp_path / "m.h5")


def test_a_lambda_is_refused(tmp_path):
    model = seq(L.Dense(4, input_shape=(4,)), L.Lambda(lambda x: 2 * x), softmax())
    model.save(tmp_path / "m.h5", save_format="h5")
    with pytest.raises(ModelError, match="Lambda"):
        open_model(tmp_path / "m.h5")


def test_half_precision_is_opened_in_float32(tmp_path):
    k2.utils.set_random_seed(0)
    half = L.Dense(6, input_shape=(4,), dtype="mixed_float16")
    model = seq(half, L.Dense(3, activation="softmax", dtype="float32"))
    model.save(tmp_path / "m.h5", save_format="h5")
    found = open_model(tmp_path / "m.h5")
    assert {layer.compute_dtype for layer in found.layers} == {"float32"}
    x = rows(model)
    assert np.abs(said(found, x) - said(model, x)).max() < 2**-9  # half precision has 11 bits


def test_weights_only(tmp_path):
    mlp().save_weights(tmp_path / "w.h5")
    with pytest.raises(ModelError, match="weights only"):
        open_model(tmp_path / "w.h5")


def test_a_git_lfs_pointer(tmp_path):
    path = tmp_path / "m.h5"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n")
    with pytest.raises(ModelError, match="git lfs pull"):
        open_model(path)


def test_the_old_hard_sigmoid_is_kept_when_the_model_is_copied(tmp_path):
    """The formulas differ by up to 0.05; a copy must not fall back to the new one."""
    from toolkit.models.graph import copied

    model = ZOO["hard sigmoid"]()
    model.save(tmp_path / "m.h5", save_format="h5")
    x = rows(model)
    assert np.abs(said(copied(open_model(tmp_path / "m.h5")), x) - said(model, x)).max() < 1e-6
