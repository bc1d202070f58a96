"""Steps and biases in one tensor: the same bits and kernels, fewer bytes."""

from collections import Counter

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from toolkit.exporting import export
from toolkit.passes import PASSES, joining, shorten
from toolkit.passes.joining import halved
from toolkit.predict import predictor
from toolkit.runtime import session


def loaded(model, path):
    """How many nodes of each kind the runtime computes after it has folded and fused."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.optimized_model_filepath = str(path)
    content = model.SerializeToString()
    onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    return Counter(node.op_type for node in onnx.load(path).graph.node)


@pytest.fixture(scope="module")
def deep(digits):
    """Many small layers, of which some are summed: dense, depthwise, normalised."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(0)
    x = first = keras.Input((8, 8, 1))
    x = layers.Conv2D(8, 3, padding="same", activation="relu")(x)
    for width in (8, 16, 16):
        y = layers.DepthwiseConv2D(3, padding="same", activation="relu")(x)
        y = layers.BatchNormalization()(layers.Conv2D(width, 1)(y))
        x = layers.Add()([x, y]) if width == x.shape[-1] else layers.ReLU()(y)
    x = layers.Dense(10, activation="softmax")(layers.GlobalAveragePooling2D()(x))
    return keras.Model(first, x)


def both(model, fit, monkeypatch):
    """A file with its vectors joined, and one in which each stays alone."""
    together = PASSES["shorten"]()(model, fit).model
    with monkeypatch.context() as patch:
        patch.setattr(shorten, "join", lambda *_: None)
        return together, PASSES["shorten"]()(model, fit).model


@pytest.mark.parametrize("kinds", [(), ("float16",), ("static_int8",),
                                   ("static_int8", "integer_operators")])  # fmt: skip
@pytest.mark.parametrize("net", ["cnn", "deep"])
def test_bits_and_kernels_stay(net, kinds, digits, tmp_path, monkeypatch, request):  # noqa: PLR0917
    model = export(request.getfixturevalue(net), digits.fit.validation).model
    for kind in kinds:
        model = PASSES[kind]()(model, digits.fit).model
    together, alone = both(model, digits.fit, monkeypatch)
    onnx.checker.check_model(together, full_check=True)
    assert together.ByteSize() <= alone.ByteSize()
    one, two = (predictor(m.SerializeToString())(digits.test.x) for m in (together, alone))
    assert np.array_equal(one, two)
    assert loaded(together, tmp_path / "a.onnx") == loaded(alone, tmp_path / "b.onnx")


def chain(layers, opset=21, dtype=np.float32):
    """Dense layers of 8 units, whose biases 16 bits hold, or do not."""
    rng = np.random.default_rng(0)
    nodes, weights, last = [], {}, "x"
    for i in range(layers):
        weights[f"w{i}"] = rng.normal(size=(8, 8)).astype(np.float32)
        weights[f"b{i}"] = rng.normal(size=8).astype(dtype).astype(np.float32)
        nodes.append(helper.make_node("Gemm", [last, f"w{i}", f"b{i}"], [f"y{i}"]))
        last = f"y{i}"
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["n", 8]) for n in ("x", last)]
    held = [numpy_helper.from_array(w, name) for name, w in weights.items()]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], held)
    opsets = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def answers(model, x):
    return session(model.SerializeToString()).run(None, {"x": x})[0]


@pytest.mark.parametrize("opset", [12, 13, 17, 18, 21])
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_many_layers_take_one_tensor(opset, dtype, monkeypatch):
    model = chain(12, opset, dtype)
    x = np.random.default_rng(1).normal(size=(5, 8)).astype(np.float32)
    together, alone = both(model, None, monkeypatch)
    vectors = [t for t in together.graph.initializer if len(t.dims) == 1]
    assert np.array_equal(answers(together, x), answers(alone, x))
    if opset < 13:
        assert len(vectors) == 12
        return
    assert [list(t.dims) for t in vectors] == [[96]]
    half = dtype == np.float16
    assert vectors[0].data_type == (TensorProto.FLOAT16 if half else TensorProto.FLOAT)
    assert alone.ByteSize() - together.ByteSize() >= (96 * 2 if half else 0)


def test_few_are_left_alone(monkeypatch):
    together, alone = both(chain(2), None, monkeypatch)
    assert together.SerializeToString() == alone.SerializeToString()


def test_what_an_operator_wants_as_a_constant_stays_one(monkeypatch):
    """A runtime fuses normalisation only where it finds its numbers in the file."""
    model = chain(8)
    rng = np.random.default_rng(0)
    names = ("scale", "shift", "mean", "variance")
    for name in names:
        values = rng.uniform(1, 2, 8).astype(np.float32)
        model.graph.initializer.append(numpy_helper.from_array(values, name))
    normal = helper.make_node("BatchNormalization", ["y7", *names], ["z"])
    model.graph.node.append(normal)
    model.graph.output[0].name = "z"
    together, _ = both(model, None, monkeypatch)
    last = together.graph.node[-1]
    held = {t.name for t in together.graph.initializer}
    assert last.op_type == "BatchNormalization"
    assert set(last.input[1:]) <= held
    assert any(n.op_type == "Split" for n in together.graph.node)


def test_sixteen_bits_must_hold_every_value():
    assert halved(np.float32([1, 0.5, 65504])).dtype == np.float16
    assert halved(np.float32([1, 1e5])) is None
    assert halved(np.int32([-32768, 32767])).dtype == np.int16
    assert halved(np.int32([32768])) is None
    assert halved(np.float32([np.nan])) is None
    assert halved(np.int64([1])) is None


def test_names_are_new_and_lengths_are_shared():
    """Two groups of the same lengths read them from one tensor."""
    model = chain(12)
    steps = [numpy_helper.from_array(np.full(n, 0.5, np.float32), f"b{i}") for i, n in
             enumerate([8, 4] * 6)]  # fmt: skip
    counts = [numpy_helper.from_array(np.full(n, 7, np.int32), f"c{i}") for i, n in
              enumerate([8, 4] * 6)]  # fmt: skip
    graph = model.graph
    del graph.initializer[:], graph.node[:]
    graph.initializer.extend([*steps, *counts])
    for i in range(12):
        node = helper.make_node("DequantizeLinear", [f"c{i}", f"b{i}"], [f"y{i}"], axis=0)
        graph.node.append(node)
    joining.join(graph, 21, iter(f"new{i}" for i in range(100)))
    splits = [n for n in graph.node if n.op_type == "Split"]
    assert len(splits) == 2
    assert splits[0].input[1] == splits[1].input[1]
    assert len(graph.initializer) == 3
