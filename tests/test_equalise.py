"""Factors move between layers, the float model stays, and rounding loses less."""

import numpy as np
import pytest
from onnx import ModelProto, numpy_helper

from toolkit.errors import RecipeError
from toolkit.exporting import export
from toolkit.passes import PASSES, apply
from toolkit.passes.dynamic_int8 import prepared
from toolkit.passes.equalise import Equalise
from toolkit.predict import OnnxPredictor, predictor


@pytest.fixture(scope="module")
def floats(residual, digits):
    return export(residual, digits.fit.validation).model


def uneven(model):
    """The same net with channels of the layer before the depthwise one up to 2,000 times apart."""
    ready = prepared(model)
    deep = next(
        n for n in ready.graph.node if n.op_type == "Conv" and any(a.i > 1 for a in n.attribute
                                                                   if a.name == "group")
    )  # fmt: skip
    later = next(n for n in ready.graph.node if deep.output[0] in n.input)
    held = {t.name: t for t in ready.graph.initializer}
    factors = np.geomspace(1, 2000, 16).astype(np.float32)
    for name, shape in ((deep.input[1], (-1, 1, 1, 1)), (deep.input[2], (-1,))):
        values = numpy_helper.to_array(held[name]) * factors.reshape(shape)
        held[name].CopyFrom(numpy_helper.from_array(values, name))
    values = numpy_helper.to_array(held[later.input[1]]) / factors.reshape(1, -1, 1, 1)
    held[later.input[1]].CopyFrom(numpy_helper.from_array(values, later.input[1]))
    return ready


def error(model, small, x):
    one, two = (OnnxPredictor(m.SerializeToString(), "m").logits(x) for m in (model, small))
    return float(((one - two) ** 2).mean() / (one**2).mean())


def test_the_float_model_stays(floats, digits):
    step = apply(Equalise(), floats, digits.fit)
    assert step.facts["changed"] == 1  # only the depthwise layer is read by nothing but a layer
    p, q = (predictor(m.SerializeToString())(digits.test.x) for m in (floats, step.model))
    assert np.abs(p - q).max() < 1e-4
    before = [numpy_helper.to_array(t) for t in floats.graph.initializer]
    after = [numpy_helper.to_array(t) for t in step.model.graph.initializer]
    assert any(all(a.shape != b.shape or not np.array_equal(a, b) for b in before) for a in after)


def test_uneven_channels_are_mended(floats, digits):
    x = digits.test.x[:200]
    model = uneven(floats)
    p, q = (predictor(m.SerializeToString())(x) for m in (floats, model))
    assert np.abs(p - q).max() < 1e-3  # one net, written in two ways
    plain = apply(PASSES["static_int8"](), model, digits.fit).model
    even = apply(Equalise(), model, digits.fit).model
    mended = apply(PASSES["static_int8"](), even, digits.fit).model
    assert error(model, mended, x) < 0.2 * error(model, plain, x)


def test_what_is_read_by_a_sum_stays_as_it_is(floats, digits):
    facts = apply(Equalise(), floats, digits.fit).facts
    assert any("Add" in why for why in facts["skipped"].values())


def test_channels_of_zeros_do_no_harm(floats, digits):
    model = ModelProto.FromString(prepared(floats).SerializeToString())
    for tensor in model.graph.initializer:
        if len(tensor.dims) == 4 and tensor.dims[0] > 1:
            values = numpy_helper.to_array(tensor).copy()
            values[0] = 0
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    step = apply(Equalise(), model, digits.fit)
    p, q = (predictor(m.SerializeToString())(digits.test.x[:50]) for m in (model, step.model))
    assert np.isfinite(q).all()
    assert np.abs(p - q).max() < 1e-4


@pytest.mark.parametrize("wrong", [{"share": 1.5}, {"rows": 0}])
def test_wrong_settings(wrong):
    with pytest.raises(RecipeError):
        Equalise(**wrong)
