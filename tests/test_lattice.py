"""Steps are read off trained weights, and not rounded a second time."""

import numpy as np
import pytest
from onnx import TensorProto, numpy_helper

from toolkit import lattice
from toolkit.exporting import export
from toolkit.glossary import Data, Fit
from toolkit.lattice import grid
from toolkit.passes import PASSES
from toolkit.predict import OnnxPredictor


@pytest.mark.parametrize("order", [range(6), [1, 2, 0, 4, 5, 3], [2, 1, 4, 3, 0, 5]])
def test_one_step_for_all_is_read_as_one(order):
    """A channel of even numbers, one whose numbers doubled others have, and one of zeros."""
    whole = np.random.default_rng(0).integers(-7, 8, (6, 16)).astype(np.float32)
    whole[1], whole[2], whole[3] = [-6, -4, 4, 2] * 4, [3, -3, 1, -1] * 4, 0
    whole = whole[list(order)]
    found, step = grid((whole * np.float32(0.0123)).astype(np.float32), 0)
    assert np.array_equal(found, whole)
    assert np.allclose(step, 0.0123)
    each = np.float32([0.010, 0.021, 0.032, 0.011, 0.017, 0.013])[:, None]
    found, step = grid(whole * each, 0)
    assert len(np.unique(step.round(4))) > 3
    assert np.allclose(found * step[:, None], whole * each, atol=1e-6)


def test_a_table_of_words_is_rounded_where_it_stands(monkeypatch):
    """The answers of rounding what was read, to the bit, without the table of floats."""
    import keras

    layers = keras.layers
    keras.utils.set_random_seed(0)
    read = [layers.Embedding(300, 24), layers.Conv1D(8, 3, activation="relu")]
    ends = [layers.GlobalMaxPooling1D(), layers.Dense(3, "softmax")]
    net = keras.Sequential([keras.Input((20,)), *read, *ends])
    x = np.random.default_rng(0).integers(0, 300, (200, 20)).astype(np.float32)
    rows = Data(x, (x[:, 0] > 100).astype(int) + (x[:, 1] > 200), ("a", "b", "c"))
    rounded = PASSES["quantise_aware"](epochs=1)(net, Fit(rows, rows, rows)).model
    small = export(rounded, rows).model
    monkeypatch.setattr(lattice, "_tables_rounded", lambda work: None)
    before = export(rounded, rows).model
    assert small.ByteSize() < before.ByteSize() - 2.9 * 300 * 24
    tables = [t for t in small.graph.initializer if list(t.dims) == [300, 24]]
    assert [t.data_type for t in tables] == [TensorProto.UINT8]
    assert len(np.unique(numpy_helper.to_array(tables[0]))) > 100
    one, other = (OnnxPredictor(m.SerializeToString(), "net")(x) for m in (small, before))
    assert (one == other).all()
