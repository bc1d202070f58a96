"""Rounding together: beside every choice there is, beside nearest rounding, and in the file."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import ModelProto, numpy_helper

from toolkit.errors import RecipeError
from toolkit.exporting import export
from toolkit.passes import PASSES, apply
from toolkit.passes.dynamic_int8 import prepared
from toolkit.passes.products import Products
from toolkit.passes.round_weights import RoundWeights, rounded, steps
from toolkit.predict import OnnxPredictor


@pytest.fixture(scope="module")
def floats(residual, digits):
    return export(residual, digits.fit.validation).model


def damped(inner):
    return inner + 0.01 * np.trace(inner) / len(inner) * np.eye(len(inner))


@given(st.integers(0, 10_000), st.integers(1, 6))
def test_between_nearest_and_the_best_there_is(seed, k):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(30, k)) @ rng.normal(size=(k, k))
    inner = x.T @ x / len(x)
    weights = rng.uniform(-9, 9, size=(1, k, 1))
    whole, left = rounded(weights, Products(inner[None]))

    def error(chosen):
        off = np.asarray(chosen) - weights[0, :, 0]
        return float(off @ damped(inner) @ off)

    beside = [(np.floor(w), np.ceil(w)) for w in weights[0, :, 0]]
    best = min(error(choice) for choice in itertools.product(*beside))
    nearest, ours = error(np.rint(weights[0, :, 0])), error(whole[0, :, 0])
    assert best - 1e-9 <= ours <= nearest + 1e-9
    assert left * nearest == pytest.approx(ours, abs=1e-9)
    assert all(w in pair for w, pair in zip(whole[0, :, 0], beside, strict=True))


def test_groups_are_rounded_each_by_its_own_inputs():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3, 50, 4)) @ rng.normal(size=(3, 4, 4))
    inner = np.matmul(np.swapaxes(x, 1, 2), x) / 50
    weights = rng.uniform(-9, 9, size=(3, 4, 2))
    whole, _ = rounded(weights, Products(inner))
    for g in range(3):
        assert np.array_equal(
            whole[g], rounded(weights[g : g + 1], Products(inner[g : g + 1]))[0][0]
        )


@pytest.mark.parametrize("bits", [7, 8])
@pytest.mark.parametrize("per_channel", [True, False])
def test_the_file_holds_these_integers(bits, per_channel, floats, digits):
    """The static quantiser finds every weight on its own grid, the depthwise ones as well."""
    on_grid = apply(RoundWeights(bits=bits, per_channel=per_channel), floats, digits.fit).model
    small = PASSES["static_int8"](bits=bits, per_channel=per_channel)(on_grid, digits.fit).model
    held = {t.name: numpy_helper.to_array(t) for t in small.graph.initializer}
    meant = [numpy_helper.to_array(t) for t in on_grid.graph.initializer]
    read = 0
    for node in small.graph.node:
        if node.op_type != "DequantizeLinear" or held.get(node.input[0]) is None:
            continue
        whole = held[node.input[0]]
        if whole.dtype != np.int8 or whole.ndim < 2:
            continue
        scale = held[node.input[1]]
        axis = next((a.i for a in node.attribute if a.name == "axis"), 1)
        shape = [1] * whole.ndim
        if scale.size > 1:
            shape[axis] = -1
        values = whole * scale.reshape(shape)
        assert any(m.shape == values.shape and np.allclose(m, values, atol=1e-6) for m in meant)
        read += 1
    assert read == 5


def test_answers_come_nearer_than_with_nearest_rounding(floats, digits):
    """On rows that it has not seen, with nothing rounded but the weights."""
    ready = prepared(floats)
    nearest = ModelProto.FromString(ready.SerializeToString())
    for tensor in nearest.graph.initializer:
        values = numpy_helper.to_array(tensor)
        axis = {4: 0, 2: 1}.get(values.ndim)
        if axis is not None and values.size > 1:
            others = tuple(i for i in range(values.ndim) if i != axis)
            step = np.abs(values).max(axis=others, keepdims=True) / 64
            tensor.CopyFrom(numpy_helper.from_array(np.rint(values / step) * step, tensor.name))
    step = apply(RoundWeights(), floats, digits.fit)
    assert all(share < 1 for share in step.facts["error"].values())
    meant, near, ours = (
        OnnxPredictor(m.SerializeToString(), "m").logits(digits.test.x)
        for m in (ready, nearest, step.model)
    )
    assert ((ours - meant) ** 2).mean() < 0.5 * ((near - meant) ** 2).mean()


def test_the_mean_of_the_first_layer_stays(floats, digits):
    """Its bias takes up what its weights moved; of later layers the inputs have moved as well."""
    import onnx
    import onnxruntime

    def first(model):
        model = onnx.ModelProto.FromString(model.SerializeToString())
        conv = next(n for n in model.graph.node if n.op_type == "Conv")
        model.graph.output.append(onnx.ValueInfoProto(name=conv.output[0]))
        opened = onnxruntime.InferenceSession(model.SerializeToString())
        x = digits.fit.calibration.x[:200]
        made = opened.run([conv.output[0]], {opened.get_inputs()[0].name: x})[0]
        return made.mean(axis=(0, 2, 3))

    meant = first(floats)
    off = {bias: np.abs(first(apply(RoundWeights(bias=bias), floats, digits.fit).model) - meant)
           for bias in (True, False)}  # fmt: skip
    assert off[True].max() < 1e-4 < off[False].max()


def test_channels_of_zeros_and_constant_inputs():
    weights = np.zeros((1, 3, 2))
    weights[0, :, 1] = 0.3
    step = steps(weights, 7, per_channel=True)
    assert np.isfinite(step).all()
    whole, left = rounded(weights / step, Products(np.zeros((1, 3, 3))))
    assert not whole[0, :, 0].any()
    assert np.isfinite(left)


@pytest.mark.parametrize("wrong", [{"bits": 4}, {"rows": 0}])
def test_wrong_settings(wrong):
    with pytest.raises(RecipeError):
        RoundWeights(**wrong)


def test_a_layer_that_is_called_twice_keeps_one_kernel(digits):
    import keras
    from keras import layers

    keras.utils.set_random_seed(0)
    first = keras.Input((8, 8, 1))
    start = layers.Conv2D(8, 3, padding="same", activation="relu")(first)
    twice = layers.Conv2D(8, 3, padding="same", activation="relu")
    last = layers.GlobalAveragePooling2D()(twice(twice(start)))
    net = keras.Model(first, layers.Dense(10, "softmax")(last))
    floats = export(net, digits.fit.validation).model
    step = RoundWeights()(floats, digits.fit)
    assert step.facts["changed"] == 4
    kernels = [n.input[1] for n in step.model.graph.node if n.op_type == "Conv"]
    assert len(kernels) == 3
    assert kernels[1] == kernels[2] != kernels[0]
    chain = [PASSES[n]() for n in ("static_int8", "integer_operators", "shorten")]
    size = []
    for begin in (floats, step.model):
        made = begin
        for one in chain:
            made = apply(one, made, digits.fit).model
        size.append(len(made.SerializeToString()))
    assert size[1] < 1.05 * size[0]
