"""Columns that are far apart do not share one step."""

import numpy as np
import pytest

from toolkit import Settings, build, load, train
from toolkit.diagnosis import diagnose
from toolkit.exporting import export
from toolkit.passes import PASSES
from toolkit.passes.dynamic_int8 import prepared
from toolkit.passes.levelling import levelled, levelled_net
from toolkit.predict import predictor


@pytest.fixture(scope="module")
def tissue():
    """breast_cancer, whose columns reach from 0.03 to 4,254."""
    return load("breast_cancer")


@pytest.fixture(scope="module")
def folded(tissue):
    """A net that reads raw columns: the scaling of one that learnt is in its first weights."""
    import keras

    net, _ = train(build("tabular", tissue.fit.train), tissue.fit, Settings(epochs=30))
    scale = next(la for la in net.layers if isinstance(la, keras.layers.Normalization))
    dense = [la for la in net.layers if isinstance(la, keras.layers.Dense)]
    mean, spread = (np.asarray(v).reshape(-1) for v in (scale.mean, np.sqrt(scale.variance)))
    made = [keras.layers.Dense(d.units, d.activation) for d in dense]
    raw = keras.Sequential([keras.Input((len(mean),)), *made])
    for layer, old in zip(made, dense, strict=True):
        layer.set_weights(old.get_weights())
    kernel, bias = dense[0].get_weights()
    made[0].set_weights([kernel / spread[:, None], bias - (mean / spread) @ kernel])
    return raw


@pytest.fixture(scope="module")
def floats(folded, tissue):
    return export(folded, tissue.fit.validation).model


@pytest.mark.parametrize("passes", [["static_int8"], ["round_weights", "static_int8"],
                                    ["dynamic_int8"]])  # fmt: skip
def test_rounding_keeps_a_net_that_reads_raw_columns(passes, floats, tissue):
    small = floats
    for name in passes:
        small = PASSES[name]()(small, tissue.fit).model
    x, y = tissue.test.x, tissue.test.y
    was, now = (predictor(m.SerializeToString())(x).argmax(axis=1) == y for m in (floats, small))
    assert was.mean() > 0.9
    assert now.mean() > was.mean() - 0.02


def test_no_layer_is_at_fault_for_being_levelled(floats, tissue):
    """Its weights take in what stands in front, beside which they are to be tried."""
    small = PASSES["static_int8"]()(floats, tissue.fit).model
    found = diagnose(floats, small, tissue.fit.calibration.x)
    assert len(found) >= 2
    assert max(e.effect for e in found) < 0.02
    assert min(e.cosine for e in found) > 0.99


def test_the_float_net_computes_the_same(floats, tissue):
    ready = prepared(floats)
    level = levelled(ready, tissue.fit.calibration.x)
    assert [n.op_type for n in level.graph.node][:2] == ["Sub", "Mul"]
    was, now = (predictor(m.SerializeToString())(tissue.test.x) for m in (ready, level))
    assert np.abs(was - now).max() < 1e-3


def test_what_is_scaled_already_stays(tabular, wine, mlp, digits):
    for net, splits in ((tabular, wine), (mlp, digits)):
        ready = prepared(export(net, splits.fit.validation).model)
        x = np.asarray(splits.fit.calibration.x, np.float32)
        x = x[..., None] if x.ndim == 3 else x
        assert levelled(ready, x) is ready


def test_rows_that_are_all_alike_level_nothing(floats, tissue):
    ready = prepared(floats)
    assert levelled(ready, tissue.fit.train.x[:1]) is ready


def test_trained_rounding_keeps_it_too(folded, tissue):
    x, y = tissue.test.x, tissue.test.y
    before = [np.array(w) for w in folded.get_weights()]
    net = levelled_net(folded, tissue.fit.train.x)
    assert np.abs(np.asarray(net(x)) - np.asarray(folded(x))).max() < 1e-3
    made = PASSES["quantise_aware"](epochs=3)(folded, tissue.fit).model
    was, now = (np.asarray(m(x)).argmax(axis=1) == y for m in (folded, made))
    assert now.mean() > was.mean() - 0.02
    small = predictor(export(made, tissue.fit.validation).model.SerializeToString())
    assert (small(x).argmax(axis=1) == y).mean() > was.mean() - 0.02
    assert all((a == b).all() for a, b in zip(before, folded.get_weights(), strict=True))
