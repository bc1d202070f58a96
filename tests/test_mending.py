"""Roundings of the static quantiser that are dropped or made finer."""

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from toolkit.onnx_graph import Graph
from toolkit.passes import PASSES
from toolkit.predict import predictor


@pytest.fixture(scope="module")
def whole(dense_onnx):
    return onnx.load(dense_onnx)


def kinds(model):
    return [n.op_type for n in model.graph.node]


def test_a_dense_layer_before_softmax_ends_in_float(whole, digits):
    step = PASSES["static_int8"]()(whole, digits.fit)
    work = Graph(step.model)
    (softmax,) = (n for n in step.model.graph.node if n.op_type == "Softmax")
    assert work.maker(softmax.input[0]).op_type == "Gemm"
    # the hidden layer is read by integers, and stays rounded
    assert kinds(step.model).count("QuantizeLinear") == 2
    small = PASSES["integer_operators"]()(step.model, digits.fit).model
    assert kinds(small).count("QGemm") == 2
    assert "DequantizeLinear" not in kinds(small)
    ours, theirs = (predictor(m.SerializeToString())(digits.test.x) for m in (small, step.model))
    assert np.abs(ours - theirs).max() < 1e-5


def test_a_graph_that_ends_in_a_dense_layer_keeps_its_output(whole, digits):
    model = onnx.ModelProto.FromString(whole.SerializeToString())
    kept = [n for n in model.graph.node if n.op_type != "Softmax"]
    kept = [type(n).FromString(n.SerializeToString()) for n in kept]
    del model.graph.node[:]
    model.graph.node.extend(kept)
    model.graph.output[0].name = "z"
    small = PASSES["static_int8"]()(model, digits.fit).model
    assert [o.name for o in small.graph.output] == ["z"]
    assert Graph(small).maker("z").op_type == "Gemm"
    onnx.checker.check_model(small, full_check=True)


def test_a_channel_without_weights_keeps_its_bias(whole, digits):
    model = onnx.ModelProto.FromString(whole.SerializeToString())
    held = {t.name: t for t in model.graph.initializer}
    w, b = (numpy_helper.to_array(held[n]).copy() for n in ("w1", "b1"))
    w[:, 3], b[3] = 0, 1.2345
    for name, values in (("w1", w), ("b1", b)):
        held[name].CopyFrom(numpy_helper.from_array(values, name))
    small = PASSES["static_int8"]()(model, digits.fit).model
    work = Graph(small)
    last = next(n for n in small.graph.node if n.op_type == "Gemm" and "z" in n.output[0])
    bias = work.maker(last.input[2])
    numbers, steps = (work.value(i) for i in bias.input[:2])
    assert numbers[3] * steps[3] == pytest.approx(1.2345, rel=1e-6)
    given, kernel = (work.maker(i) for i in last.input[:2])
    product = work.value(given.input[1]) * work.value(kernel.input[1])
    # a runtime takes this product for the step of the bias, whatever the file says
    assert np.allclose(product, steps, rtol=1e-6)
