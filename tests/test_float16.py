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
