"""Pictures and models that name the channels first, as PyTorch writes them."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from toolkit.data import load
from toolkit.explainers import EXPLAINERS
from toolkit.explainers.players import grid
from toolkit.explanation import explain
from toolkit.passes import PASSES
from toolkit.predict import OnnxPredictor
from toolkit.shapes import in_shape


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """90 pictures of 12 x 10, of three classes by which colour is the brightest: an .npz."""
    rng = np.random.default_rng(0)
    y = np.arange(90) % 3
    x = rng.uniform(0, 0.5, (90, 3, 12, 10)).astype(np.float32)
    x[np.arange(90), y] += 0.4
    path = tmp_path_factory.mktemp("first") / "pictures.npz"
    np.savez(path, x_train=x[:60], y_train=y[:60], x_test=x[60:], y_test=y[60:])
    return path, x


@pytest.fixture(scope="module")
def model():
    """A convolution and the mean of its maps, f32 (n, 3, 12, 10) -> (n, 3)."""
    rng = np.random.default_rng(1)
    kernel = rng.normal(0, 0.1, (3, 3, 3, 3)).astype(np.float32)
    kernel[np.arange(3), np.arange(3)] += 0.3
    nodes = [
        helper.make_node("Conv", ["x", "kernel"], ["maps"], name="conv"),
        helper.make_node("Relu", ["maps"], ["kept"]),
        helper.make_node("GlobalAveragePool", ["kept"], ["means"]),
        helper.make_node("Flatten", ["means"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["p"]),
    ]
    graph = helper.make_graph(
        nodes,
        "first",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 12, 10])],
        [helper.make_tensor_value_info("p", TensorProto.FLOAT, ["n", 3])],
        [numpy_helper.from_array(kernel, "kernel")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_the_model_gets_the_values_that_were_in_the_file(pictures, model):
    import onnxruntime as ort

    path, x = pictures
    splits = load(str(path))
    assert splits.test.x.shape == (30, 12, 10, 3)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    wanted = session.run(None, {"x": x[60:]})[0]
    assert np.array_equal(OnnxPredictor(model.SerializeToString(), "m")(splits.test.x), wanted)
    assert np.array_equal(in_shape(splits.test.x, (3, 12, 10)), x[60:])
    assert np.array_equal(in_shape(x[60:], (12, 10, 3)), splits.test.x)


def test_its_patches_are_parts_of_the_picture_in_all_colours(pictures, model):
    splits = load(str(pictures[0]))
    players = grid(splits.test.x[0], splits.fit.train)
    assert len(players) == 16
    assert (players.groups == players.groups[..., :1]).all()
    predict = OnnxPredictor(model.SerializeToString(), "m")
    (found,) = explain(
        [predict], EXPLAINERS["shapley"](), splits.test, [0], background=splits.fit.train
    )
    assert len(found.values) == 16
    assert found.values.sum() == pytest.approx(found.prediction - found.base, abs=1e-6)


def test_ranges_are_those_of_the_picture_as_the_model_takes_it(pictures, model):
    """Colours that were mixed up would give the net other answers than the float's."""
    splits = load(str(pictures[0]))
    small = PASSES["static_int8"]()(model, splits.fit).model
    onnx.checker.check_model(small)
    p, q = (OnnxPredictor(m.SerializeToString(), "m")(splits.test.x) for m in (model, small))
    assert np.abs(p - q).max() < 0.02
