"""Integer operators: which convolutions get a fourth input channel."""

import keras
import numpy as np
import pytest
from keras import layers

from toolkit.exporting import export
from toolkit.glossary import Data, Fit
from toolkit.passes import PASSES, apply
from toolkit.predict import predictor
from toolkit.recipe import load


@pytest.mark.parametrize(
    ("filters", "strides", "channels", "wider"),
    [(16, 1, 3, True), (32, 2, 3, True), (8, 2, 3, False), (16, 1, 4, False), (16, 1, 1, False)],
)
def test_a_fourth_channel_where_it_earns_its_copy(filters, strides, channels, wider):
    keras.utils.set_random_seed(0)
    x = first = keras.Input((12, 12, channels))
    x = layers.Conv2D(filters, 3, strides, padding="same", activation="relu")(x)
    x = layers.Dense(3, activation="softmax")(layers.GlobalAveragePooling2D()(x))
    pictures = np.random.default_rng(0).random((64, 12, 12, channels), np.float32)
    rows = Data(pictures, np.arange(64) % 3, ("a", "b", "c"), kind="image")
    fit = Fit(rows, rows, rows)
    rounded = PASSES["static_int8"]()(export(keras.Model(first, x), rows).model, fit).model
    whole = PASSES["integer_operators"]()(rounded, fit).model
    assert ("Gather" in [n.op_type for n in whole.graph.node]) == wider
    # the zeros of the fourth are made as the file loads
    assert ("Pad" in [n.op_type for n in whole.graph.node]) == wider
    assert [channels, 3, 3] in [list(t.dims)[1:] for t in whole.graph.initializer]
    before, after = (predictor(m.SerializeToString())(pictures) for m in (rounded, whole))
    assert np.array_equal(before, after)


@pytest.mark.parametrize("scaled", ["alpha", "beta"])
def test_a_scaled_gemm_of_somebody_else_answers_the_same(scaled, wine, tmp_path):
    """Alpha times the product and beta times the bias are legal, and quantisers overlook them."""
    import onnx
    from onnx import helper, numpy_helper

    from toolkit.bases import opened

    rng = np.random.default_rng(0)
    train = wine.fit.train.x
    held = [
        numpy_helper.from_array(train.mean(axis=0), "mean"),
        numpy_helper.from_array(train.std(axis=0), "spread"),
        numpy_helper.from_array(rng.normal(size=(13, 8)).astype(np.float32), "w"),
        numpy_helper.from_array(rng.normal(size=8).astype(np.float32), "b"),
        numpy_helper.from_array(rng.normal(size=(8, 3)).astype(np.float32), "v"),
        numpy_helper.from_array(np.float32([1, -1, 0]), "c"),
    ]
    nodes = [
        helper.make_node("Sub", ["x", "mean"], ["away"]),
        helper.make_node("Div", ["away", "spread"], ["even"]),
        helper.make_node("Gemm", ["even", "w", "b"], ["h"]),
        helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("Gemm", ["r", "v", "c"], ["z"], **{scaled: 0.25}),
        helper.make_node("Softmax", ["z"], ["p"], axis=1),
    ]
    values = [
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["n", size])
        for name, size in (("x", 13), ("p", 3))
    ]
    graph = helper.make_graph(nodes, "net", values[:1], values[1:], held)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, tmp_path / "net.onnx")
    base = opened(tmp_path / "net.onnx", wine.fit.validation).model
    wanted = predictor(model.SerializeToString())(wine.test.x)
    assert np.abs(predictor(base.SerializeToString())(wine.test.x) - wanted).max() < 1e-6
    small = base
    for each in (PASSES["static_int8"](), PASSES["integer_operators"]()):
        small = each(small, wine.fit).model
    assert "QGemm" in [n.op_type for n in small.graph.node]
    assert np.abs(predictor(small.SerializeToString())(wine.test.x) - wanted).mean() < 0.02
    # where it was not opened as a base, nothing is lost either
    alone = PASSES["static_int8"]()(model, wine.fit).model
    alone = PASSES["integer_operators"]()(alone, wine.fit).model
    assert [n.op_type for n in alone.graph.node].count("QGemm") == 2
    assert np.abs(predictor(alone.SerializeToString())(wine.test.x) - wanted).mean() < 0.02


def test_what_a_loop_reads_from_outside_stays(looped):
    floats, rows = looped
    fit, made = Fit(rows, rows, rows), floats
    for one in load("int8").passes:
        made = apply(one, made, fit).model
    p, q = (predictor(m.SerializeToString())(rows.x) for m in (floats, made))
    assert np.abs(p - q).max() < 0.05
