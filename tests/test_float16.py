import numpy as np
import pytest
from onnx import TensorProto, numpy_helper

from toolkit.exporting import export
from toolkit.glossary import Data, Fit
from toolkit.passes.float16 import Float16
from toolkit.predict import predictor


def test_weights_are_rounded_and_nothing_else(mlp, digits):
    model = export(mlp, digits.fit.validation).model
    small = Float16()(model, digits.fit).model
    for old, new in zip(model.graph.initializer, small.graph.initializer, strict=True):
        values = numpy_helper.to_array(old)
        if values.size >= 16:
            assert np.array_equal(numpy_helper.to_array(new), values.astype(np.float16))
    x = digits.test.x
    big, little = (predictor(m.SerializeToString())(x) for m in (model, small))
    assert 0 < np.abs(big - little).max() < 0.01


def test_what_float16_cannot_hold_stays_float(mlp, digits):
    model = export(mlp, digits.fit.validation).model
    tensor = next(t for t in model.graph.initializer if len(t.dims) == 2)
    huge = numpy_helper.to_array(tensor).copy()
    huge[0, 0] = 1e6
    tensor.CopyFrom(numpy_helper.from_array(huge, tensor.name))
    step = Float16()(model, digits.fit)
    assert "beyond 65504" in step.facts["skipped"][tensor.name]
    kept = next(t for t in step.model.graph.initializer if t.name == tensor.name)
    assert kept.data_type == TensorProto.FLOAT


def odd_table(kind):
    """A year with little around it, or amounts of a billion beside weights of a billionth."""
    import keras
    from keras import layers

    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 300)
    x = rng.normal(size=(300, 20)).astype(np.float32)
    x[:, 0] = 2015.37 + 0.3 * (2 * y - 1) + 0.1 * rng.normal(size=300)
    keras.utils.set_random_seed(0)
    start = layers.Normalization()
    start.adapt(x)
    net = keras.Sequential([layers.Input((20,)), start, layers.Dense(2, activation="softmax")])
    kernel = np.zeros((20, 2), np.float32)
    kernel[0] = -4, 4
    if kind == "amount":
        x[:, 0] = 1e9 * (2 * y - 1)
        net = keras.Sequential([layers.Input((20,)), layers.Dense(2, activation="softmax")])
        kernel[0] = -2e-9, 2e-9
    net.layers[-1].set_weights([kernel + 0.01 * (kernel == 0), np.zeros(2, np.float32)])
    data = Data(x, y, ("a", "b"), tuple(f"x{i}" for i in range(20)))
    return net, Fit(data, data.rows(slice(60)), data.rows(slice(40)))


@pytest.mark.parametrize("kind", ["year", "amount"])
def test_what_meets_raw_values_keeps_its_digits(kind):
    net, fit = odd_table(kind)
    model = export(net, fit.validation).model
    step = Float16()(model, fit)
    big, little = (predictor(m.SerializeToString())(fit.train.x) for m in (model, step.model))
    assert np.abs(big - little).max() < 0.01
    assert step.facts["skipped"]
    assert (big.argmax(axis=1) == fit.train.y).mean() > 0.95


def test_factors_of_a_norm_behind_raw_values_keep_their_digits():
    """As converters write them: a product with factors of a ten-millionth."""
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(0)
    x = (1e7 * rng.lognormal(size=(300, 8))).astype(np.float32)
    kernel = rng.normal(size=(8, 32)).astype(np.float32)
    factor = (1 / (x @ kernel).std(axis=0)).astype(np.float32)
    held = {"kernel": kernel, "factor": factor, "last": rng.normal(size=(32, 3)).astype(np.float32)}
    nodes = [
        helper.make_node("MatMul", ["input", "kernel"], ["sums"]),
        helper.make_node("Mul", ["sums", "factor"], ["scaled"]),
        helper.make_node("Relu", ["scaled"], ["kept"]),
        helper.make_node("MatMul", ["kept", "last"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["p"]),
    ]
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", width])
        for name, width in (("input", 8), ("p", 3))
    ]
    stored = [numpy_helper.from_array(v, n) for n, v in held.items()]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    data = Data(x, np.arange(300) % 3, ("a", "b", "c"), tuple("abcdefgh"))
    step = Float16()(model, Fit(data, data.rows(slice(60)), data.rows(slice(40))))
    assert step.facts["skipped"] == {"factor": "holds factors too small for float16"}
    big, little = (predictor(m.SerializeToString())(x) for m in (model, step.model))
    assert np.abs(big - little).max() < 0.01
