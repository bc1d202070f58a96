"""Four bits a weight: beside the best there is, in the file, and where they are not taken."""

import itertools

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from toolkit.constants import constants
from toolkit.errors import RecipeError
from toolkit.exporting import export
from toolkit.passes import PASSES, apply
from toolkit.passes.products import Products
from toolkit.passes.round_weights import rounded
from toolkit.passes.weights_int4 import WeightsInt4, evenly, steps
from toolkit.predict import predictor
from toolkit.recipe import load


@given(st.integers(0, 10_000), st.integers(1, 5))
def test_steps_of_many_sizes_are_rounded_together(seed, k):
    """Between nearest rounding and the best of every choice, in the size that weights have."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(30, k)) @ rng.normal(size=(k, k))
    inner = x.T @ x / len(x)
    damped = inner + 0.01 * np.trace(inner) / k * np.eye(k)
    weights, step = rng.uniform(-7, 7, size=(1, k, 1)), rng.uniform(0.1, 3, size=(1, k, 1))
    whole, _ = rounded(weights, Products(inner[None]), step=step, ends=(-8, 7))

    def error(chosen):
        off = (np.asarray(chosen) - weights[0, :, 0]) * step[0, :, 0]
        return float(off @ damped @ off)

    beside = [(np.floor(w), np.ceil(w)) for w in weights[0, :, 0]]
    best = min(error(choice) for choice in itertools.product(*beside))
    nearest = error(np.rint(weights[0, :, 0]))
    assert best - 1e-9 <= error(whole[0, :, 0]) <= nearest + 1e-9


def test_numbers_stay_within_four_bits():
    whole, _ = rounded(np.array([[[-9.6], [8.3], [2.2]]]), Products(np.eye(3)[None]), ends=(-8, 7))
    assert whole.ravel().tolist() == [-8, 7, 2]


@pytest.mark.parametrize(("count", "width"), [(784, 28), (64, 32), (13, 13), (1, 1), (74, 37)])
def test_steps_serve_equal_parts(count, width):
    assert evenly(count, 32) == width


def test_steps_are_no_worse_than_those_that_hold_every_weight():
    rng = np.random.default_rng(0)
    weights = rng.standard_t(3, size=(64, 10))
    counts = rng.uniform(0.1, 2, 64)
    peaks = np.repeat(np.abs(weights).reshape(2, 32, 10).max(axis=1), 32, axis=0)

    def error(step):
        off = np.clip(np.rint(weights / step), -8, 7) * step - weights
        return (counts[:, None] * off**2).reshape(2, 32, 10).sum(axis=1)

    ours = steps(weights, 32, counts)
    assert (error(ours) <= 1.001 * error(peaks / 7)).all()
    assert np.array_equal(ours, ours.astype(np.float16).astype(np.float64))
    on_grid = np.float64(0.25) * rng.integers(-8, 8, size=(32, 4))
    on_grid[0] = -2.0
    on_grid[1] = 1.75
    assert error_free(on_grid, steps(on_grid, 32, np.ones(32)))
    assert np.isfinite(steps(np.zeros((4, 2)), 2, np.ones(4))).all()


def error_free(weights, step):
    return np.array_equal(np.clip(np.rint(weights / step), -8, 7) * step, weights)


@pytest.fixture(scope="module")
def floats(mlp, digits):
    return export(mlp, digits.fit.validation).model


def dense(model, x, name):
    """What an inner tensor is for rows x."""
    import onnxruntime

    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    copy.graph.output.append(onnx.ValueInfoProto(name=name))
    opened = onnxruntime.InferenceSession(
        copy.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return opened.run([name], {model.graph.input[0].name: x})[0]


def test_the_file_multiplies_integers_by_steps(floats, digits):
    step = WeightsInt4(smallest=100)(floats, digits.fit)
    assert step.facts["changed"] == 3
    held = {t.name: numpy_helper.to_array(t) for t in step.model.graph.initializer}
    whole = [v for v in held.values() if v.dtype == np.int8]
    assert sorted(v.size for v in whole) == [100, 100, 640]
    assert min(v.min() for v in whole) >= -8
    assert max(v.max() for v in whole) <= 7
    known = constants(step.model)
    old = [v for v in constants(floats).values() if v.ndim == 2]
    for node in step.model.graph.node:
        if node.op_type == "Gemm":
            new = known[node.input[1]]
            before = min((v for v in old if v.shape == new.shape), key=lambda v: distance(v, new))
            # a whole step at most, which is a seventh of the largest; or what is cut off that
            assert 0 < distance(new, before) <= 0.31 * np.abs(before).max()


def distance(one, other):
    return float(np.abs(one - other).max())


def test_means_of_outputs_stay(floats, digits):
    """Over calibration rows, before the first activation."""
    step = WeightsInt4(smallest=500)(floats, digits.fit)
    x = digits.fit.calibration.x[:200]
    (name,) = step.facts["lost"]
    from toolkit.passes.dynamic_int8 import prepared

    before, after = (dense(m, x, name) for m in (prepared(floats), step.model))
    assert np.abs(before - after).max() > 1e-3
    assert np.allclose(before.mean(axis=0), after.mean(axis=0), atol=1e-4)
    off, around = after - before, before - before.mean(axis=0)
    noise = (off**2).sum() / (around**2).sum()
    assert noise == pytest.approx(step.facts["lost"][name], rel=0.02)


def test_what_would_lose_too_much_stays_and_is_said(floats, digits):
    lost = sorted(WeightsInt4(smallest=100)(floats, digits.fit).facts["lost"].values())
    assert len(lost) > 1
    between = (lost[0] + lost[1]) / 2
    facts = WeightsInt4(smallest=100, loss=between)(floats, digits.fit).facts
    assert facts["changed"] == 1
    said = [why for why in facts["skipped"].values() if "of its variance would be noise" in why]
    assert len(said) == len(lost) - 1


def test_a_net_without_a_layer_for_it_is_refused(floats, digits, cnn):
    """The file would be that of float16 under another name."""
    with pytest.raises(RecipeError, match="no layer that 4 bits would do for"):
        WeightsInt4(smallest=100, loss=1e-9)(floats, digits.fit)
    with pytest.raises(RecipeError, match="no layer that 4 bits would do for"):
        WeightsInt4(smallest=10**6)(export(cnn, digits.fit.validation).model, digits.fit)


def test_a_layer_that_is_called_twice_keeps_one_kernel(digits):
    import keras
    from keras import layers

    keras.utils.set_random_seed(0)
    first = keras.Input((8, 8, 1))
    start = layers.Dense(32, "relu")(layers.Flatten()(first))
    twice = layers.Dense(32, "relu")
    net = keras.Model(first, layers.Dense(10, "softmax")(twice(twice(start))))
    step = WeightsInt4(loss=0.1)(export(net, digits.fit.validation).model, digits.fit)
    assert step.facts["changed"] == 3
    kernels = [n.input[1] for n in step.model.graph.node if n.op_type in ("Gemm", "MatMul")]
    assert len(kernels) == 4
    assert kernels[1] == kernels[2] != kernels[0]
    assert "fewer than 512 weights" in step.facts["skipped"].values()


def test_the_recipe_is_smaller_than_int8_and_right(floats, digits):
    found = {}
    for name in ("int8", "int4-weights"):
        model = floats
        for one in load(name).passes:
            model = apply(one, model, digits.fit).model
        found[name] = model
    onnx.checker.check_model(found["int4-weights"], full_check=True)
    assert found["int4-weights"].ByteSize() < found["int8"].ByteSize()
    ours, theirs = (predictor(m.SerializeToString())(digits.test.x)
                    for m in (found["int4-weights"], floats))  # fmt: skip
    assert (ours.argmax(axis=1) == theirs.argmax(axis=1)).mean() > 0.97


def transposed(floats):
    """The same net with its dense weights lying the other way."""
    from toolkit.passes.dynamic_int8 import prepared

    model = prepared(floats)
    for node in model.graph.node:
        if node.op_type == "Gemm":
            held = next(t for t in model.graph.initializer if t.name == node.input[1])
            turned = numpy_helper.from_array(numpy_helper.to_array(held).T.copy(), held.name)
            held.CopyFrom(turned)
            kept = [a for a in node.attribute if a.name != "transB"]
            kept = [type(a).FromString(a.SerializeToString()) for a in kept]
            del node.attribute[:]
            node.attribute.extend([*kept, helper.make_attribute("transB", 1)])
    return model


def test_weights_that_lie_the_other_way_are_rounded_alike(floats, digits):
    x = digits.test.x
    ours, theirs = (
        predictor(WeightsInt4(smallest=100)(m, digits.fit).model.SerializeToString())(x)
        for m in (floats, transposed(floats))
    )
    assert np.allclose(ours, theirs, atol=1e-6)


def test_words_take_four_bits_a_number(digits):
    rng = np.random.default_rng(0)
    held = {
        "table": rng.normal(size=(50, 16)).astype(np.float32),
        "w": rng.normal(size=(16, 3)).astype(np.float32),
    }
    nodes = [
        helper.make_node("Cast", ["x"], ["i"], to=TensorProto.INT64),
        helper.make_node("Gather", ["table", "i"], ["e"]),
        helper.make_node("ReduceMean", ["e"], ["m"], axes=[1], keepdims=0),
        helper.make_node("MatMul", ["m", "w"], ["z"]),
        helper.make_node("Softmax", ["z"], ["y"]),
    ]
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["n", k]) for n, k in
            (("x", 64), ("y", 3))]  # fmt: skip
    graph = helper.make_graph(
        nodes, "g", ends[:1], ends[1:], [numpy_helper.from_array(v, n) for n, v in held.items()]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    step = PASSES["weights_int4"](block=16)(model, digits.fit)
    assert step.facts["changed"] == 1
    (node,) = (n for n in step.model.graph.node if n.op_type == "Gather")
    table = constants(step.model)[node.input[0]]
    # uniform noise of a step of about a seventh of the largest of sixteen normal numbers
    assert 0 < ((table - held["table"]) ** 2).mean() < (np.abs(held["table"]).max() / 7) ** 2 / 12


@pytest.mark.parametrize("settings", [{"block": 1}, {"rows": 0}, {"loss": 0.0}])
def test_settings_that_mean_nothing_are_refused(settings):
    with pytest.raises(RecipeError, match="weights_int4"):
        WeightsInt4(**settings)
