"""Nets and rows with something amiss: every rounding gives a file that answers, and near the float.

Files that do not open are in test_bases.py.
"""

from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from toolkit.errors import ModelError
from toolkit.passes import apply
from toolkit.predict import predictor
from toolkit.recipe import load

ROUNDING = ("int8", "int8-dynamic", "int8-repair", "int4-weights")


def changed(model, **values):
    """A copy with other values of constants."""
    copy = onnx.ModelProto.FromString(model.SerializeToString())
    for tensor in copy.graph.initializer:
        if tensor.name in values:
            new = values[tensor.name](numpy_helper.to_array(tensor).copy())
            tensor.CopyFrom(numpy_helper.from_array(new, tensor.name))
    return copy


def answers(recipe, model, fit, x):
    for step in load(recipe).passes:
        model = apply(step, model, fit).model
    return predictor(model.SerializeToString())(x)


def dead(w):
    w[..., 3] = 0
    return w


def constant(w):
    w[..., 5] = 0.01
    return w


@pytest.fixture(scope="module")
def whole(dense_onnx):
    return onnx.load(dense_onnx)


@pytest.mark.parametrize("recipe", ROUNDING)
@pytest.mark.parametrize("amiss", [dead, constant])
def test_channels_of_one_value(amiss, recipe, whole, digits):
    """A hidden unit that is always 0, or the same from all inputs, and its bias with it."""
    model = changed(whole, w0=amiss, b0=amiss)
    x = digits.test.x
    theirs = predictor(model.SerializeToString())(x)
    ours = answers(recipe, model, digits.fit, x)
    assert np.isfinite(ours).all()
    assert (ours.argmax(axis=1) == theirs.argmax(axis=1)).mean() > 0.95


@pytest.mark.parametrize("recipe", ROUNDING)
@pytest.mark.parametrize("names", [("w0", "b0", "w1"), ("w1",)])
def test_a_net_of_zeros_says_what_its_biases_say(names, recipe, whole, digits):
    """Where no weight gives a step, the bias must not be rounded by the step of the input."""
    model = changed(whole, **dict.fromkeys(names, np.zeros_like))
    ours = answers(recipe, model, digits.fit, digits.test.x[:9])
    theirs = predictor(model.SerializeToString())(digits.test.x[:9])
    # 16 bits hold a bias to a few parts in 10,000
    assert np.abs(ours - theirs).max() < 1e-3


@pytest.mark.parametrize("recipe", ROUNDING)
def test_few_rows_of_one_class_and_rows_of_one_value(recipe, whole, digits):
    rows = digits.fit.calibration
    one = rows.rows(np.flatnonzero(rows.y == 0)[:2])
    for given in (one, replace(one, x=np.zeros_like(one.x)), one.rows(slice(1))):
        ours = answers(recipe, whole, replace(digits.fit, calibration=given), digits.test.x)
        assert np.isfinite(ours).all()
        assert np.allclose(ours.sum(axis=1), 1, atol=1e-3)


@pytest.mark.parametrize("recipe", ROUNDING)
@pytest.mark.parametrize("value", [np.nan, -np.inf])
def test_weights_that_are_no_numbers(value, recipe, whole, digits):
    def broken(w):
        w[2, 2] = value
        return w

    with pytest.raises(ModelError, match="w0 holds 1 values that are NaN or infinite"):
        answers(recipe, changed(whole, w0=broken), digits.fit, digits.test.x[:2])
