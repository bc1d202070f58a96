"""Packed weights are the same weights in fewer bytes, under the same kernels of the runtime."""

from collections import Counter
from functools import partial

import hypothesis
import numpy as np
import onnx
import pytest
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from toolkit import sparsity
from toolkit.constants import constants
from toolkit.exporting import export
from toolkit.passes import PASSES
from toolkit.passes.forms import forms, fresh_names, shared_codebook
from toolkit.passes.opsets import raised
from toolkit.passes.pack import TOLERANCE, Pack
from toolkit.passes.shorten import Shorten
from toolkit.predict import predictor
from toolkit.runtime import session

QUANTISERS = ("", "float16", "dynamic_int8", "static_int8")


def optimised(model, path):
    """How many nodes of each kind the runtime computes after it has folded and fused."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.optimized_model_filepath = str(path)
    content = model.SerializeToString()
    onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    return Counter(node.op_type for node in onnx.load(path).graph.node)


@pytest.mark.parametrize("quantiser", QUANTISERS)
@pytest.mark.parametrize("made_by", ["sparse", "clustered"])
def test_the_same_answers_and_kernels_in_fewer_bytes(made_by, quantiser, request, digits, tmp_path):
    net = request.getfixturevalue(made_by).model
    model = export(net, digits.fit.validation).model
    model = PASSES[quantiser]()(model, digits.fit).model if quantiser else model
    step = Pack()(model, digits.fit)
    plain, packed = Shorten()(model, digits.fit).model, Shorten()(step.model, digits.fit).model
    onnx.checker.check_model(packed, full_check=True)
    assert packed.ByteSize() < plain.ByteSize()
    assert step.facts["bytes_after"] < step.facts["bytes_before"]
    x = digits.test.x
    ours, theirs = (predictor(m.SerializeToString())(x) for m in (model, packed))
    if any("scaled" in form for form in step.facts["forms"]):
        assert not quantiser.endswith("int8")
        assert np.abs(ours - theirs).max() <= TOLERANCE
    else:
        assert np.array_equal(ours, theirs)
    before, after = (sparsity.kernels(m).values() for m in (model, packed))
    assert all(np.allclose(a, b, rtol=1e-6, atol=0) for a, b in zip(before, after, strict=True))
    assert optimised(plain, tmp_path / "a.onnx") == optimised(packed, tmp_path / "b.onnx")


def test_clusters_take_four_bits_each(cnn, digits):
    """Half a byte a weight and 16 floats a kernel, under 200 bytes of graph for each."""
    few = PASSES["cluster"](epochs=1)(cnn, digits.fit).model
    model = Shorten()(export(few, digits.fit.validation).model, digits.fit).model
    step = Pack()(model, digits.fit)
    weights = [k.size for k in sparsity.kernels(few).values()]
    saved = sum(4 * n - (n / 2 + 64) for n in weights)
    gained = step.facts["bytes_before"] - step.facts["bytes_after"]
    assert saved - 200 * len(weights) < gained <= saved
    assert (step.model.opset_import[0].version, step.model.ir_version) == (21, 10)
    assert step.facts["forms"] == {"codebook": 3}


def test_what_gains_nothing_stays_as_it_is(cnn, digits):
    model = export(cnn, digits.fit.validation).model
    step = Pack()(model, digits.fit)
    assert step.model.SerializeToString() == model.SerializeToString()
    assert step.facts["changed"] == 0


# --- the forms, one by one ---


def unpacked(form, opset):
    graph = helper.make_graph(form.ending("w").nodes, "g", [], [], form.tensors)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    return constants(made)["w"]


@st.composite
def weights(draw):
    """Few values or many, zeros or none, in any shape and kind that weights have."""
    shape = draw(st.lists(st.integers(1, 7), min_size=2, max_size=4))
    kind = draw(st.sampled_from([np.float32, np.float16, np.int8, np.uint8]))
    count = draw(st.sampled_from([1, 2, 3, 5, 16, 17, 100, 400]))
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    book = rng.integers(1, 100, count) if np.dtype(kind).kind in "iu" else rng.normal(size=count)
    values = rng.choice(book, shape)
    return np.where(rng.random(shape) < draw(st.sampled_from([0, 0.5, 0.9])), 0, values).astype(
        kind
    )


@hypothesis.settings(max_examples=40)
@hypothesis.given(values=weights(), opset=st.sampled_from([17, 21]))
# outputs with fewer values than others, and none of them 0
@hypothesis.example(np.float32([*np.eye(2, 9) + 1, np.arange(1, 10) / 7, np.arange(9) - 9.5]), 17)
def test_every_form_gives_the_weight_again(values, opset):
    for form in forms(values, fresh_names(set()), opset21=opset == 21):
        found = unpacked(form, opset)
        assert (found.dtype, found.shape) == (values.dtype, values.shape)
        if "scaled" in form.kind:
            assert np.allclose(found, values, rtol=2e-6, atol=0)
        else:
            assert np.array_equal(found, values)


@pytest.mark.parametrize("zeros", [0.0, 0.5])
def test_a_codebook_under_scales_is_found(zeros):
    rng = np.random.default_rng(0)
    book = rng.normal(size=16 if not zeros else 15).astype(np.float32)
    true = rng.choice(book, (24, 40))
    true[rng.random(true.shape) < zeros] = 0
    scales = (rng.lognormal(size=24) * rng.choice([-1, 1], 24)).astype(np.float32)
    rows = (true * scales[:, None]).astype(np.float32)
    found, factors, places = shared_codebook(rows)
    assert len(found) <= 16
    again = found[places] * factors[:, None]
    assert np.array_equal(again == 0, rows == 0)
    assert np.allclose(again, rows, rtol=2.0**-20, atol=0)


def test_no_codebook_is_made_up():
    rng = np.random.default_rng(1)
    assert shared_codebook(rng.normal(size=(4, 40)).astype(np.float32)) is None
    assert shared_codebook(rng.normal(size=(4, 12)).astype(np.float32)) is None


# --- the opset ---


def graph(nodes, weights, opset=17):
    ends = [("x", ["n", 4, 6, 6]), ("y", None)]
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in ends]
    stored = [numpy_helper.from_array(w, name) for name, w in weights.items()]
    made = helper.make_graph(nodes, "g", ends[:1], ends[1:], stored)
    opsets = [helper.make_opsetid("", opset)]
    return helper.make_model(made, opset_imports=opsets, ir_version=8)


node = partial(helper.make_node)
CHANGED = {
    "mean": [node("ReduceMean", ["x"], ["y"], axes=[2, 3], keepdims=0)],
    "mean of all": [node("ReduceMean", ["x"], ["y"])],
    "largest": [node("ReduceMax", ["x"], ["y"], axes=[1])],
    "split": [node("Split", ["x"], ["a", "b"], axis=1), node("Sub", ["a", "b"], ["y"])],
    "turned": [node("Transpose", ["x"], ["t"], perm=[0, 2, 3, 1]), node("Flatten", ["t"], ["y"])],
}


@pytest.mark.parametrize("name", sorted(CHANGED))
def test_a_raised_graph_computes_the_same(name):
    model = graph(CHANGED[name], {})
    higher, why = raised(model)
    assert not why
    assert (higher.opset_import[0].version, higher.ir_version) == (21, 10)
    assert model.opset_import[0].version == 17
    x = np.random.default_rng(0).normal(size=(3, 4, 6, 6)).astype(np.float32)
    ours, theirs = (session(m.SerializeToString()).run(None, {"x": x})[0] for m in (model, higher))
    assert np.array_equal(ours, theirs)


def test_another_kernel_is_no_way_up():
    """From opset 19 on onnxruntime's average pooling differs in the last bits."""
    pool = [node("AveragePool", ["x"], ["y"], kernel_shape=[2, 2], pads=[1, 1, 0, 0])]
    assert raised(graph(pool, {})) == (None, "AveragePool changed between opset 17 and 21")


def test_what_cannot_be_raised_is_packed_all_the_same(digits):
    """Resize means something else since opset 18: the four bits are taken apart by shifts."""
    rng = np.random.default_rng(0)
    few = rng.choice(rng.normal(size=16), (64, 10)).astype(np.float32)
    nodes = [
        node("Reshape", ["x", "rows"], ["r"]),
        node("Resize", ["r", "", "twice"], ["s"], mode="nearest"),
        node("Resize", ["s", "", "half"], ["t"], mode="nearest"),
        node("Flatten", ["t"], ["f"]),
        node("MatMul", ["f", "w"], ["z"]),
        node("Softmax", ["z"], ["y"]),
    ]
    sizes = {"twice": np.float32([1, 1, 2, 2]), "half": np.float32([1, 1, 0.5, 0.5])}
    model = graph(nodes, {"w": few, "rows": np.array([-1, 1, 8, 8]), **sizes})
    del model.graph.input[:]
    shape = ["n", 8, 8, 1]
    model.graph.input.append(helper.make_tensor_value_info("x", TensorProto.FLOAT, shape))
    step = Pack()(model, digits.fit)
    assert step.facts["skipped"] == {"four bits": "Resize changed between opset 17 and 21"}
    assert step.facts["forms"] == {"codebook": 1}
    assert step.model.opset_import[0].version == 17
    assert step.facts["bytes_after"] < step.facts["bytes_before"] - 4 * 640 + 640 // 2 + 600
    x = digits.test.x
    ours, theirs = (predictor(m.SerializeToString())(x) for m in (model, step.model))
    assert np.array_equal(ours, theirs)
