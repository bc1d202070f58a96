"""Convolutions as products of matrices, beside onnxruntime's own."""

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper

from toolkit.windows import depthwise, matrices, restored, rows, size


def run(node, x, w):
    given = [helper.make_tensor_value_info(n, TensorProto.FLOAT, list(v.shape)) for n, v in
             (("x", x), ("w", w))]  # fmt: skip
    made = [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
    opset = [helper.make_opsetid("", 17)]
    model = helper.make_model(
        helper.make_graph([node], "g", given, made), opset_imports=opset, ir_version=8
    )
    opened = onnxruntime.InferenceSession(model.SerializeToString())
    return opened.run(None, {"x": x, "w": w})[0]


@pytest.mark.parametrize(
    ("x", "w", "settings"),
    [
        ((2, 3, 7, 6), (4, 3, 3, 2), {"pads": [1, 0, 2, 1]}),
        ((2, 4, 9, 9), (6, 2, 3, 3), {"group": 2, "strides": [2, 1], "dilations": [1, 2]}),
        ((1, 5, 6, 6), (5, 1, 3, 3), {"group": 5, "auto_pad": "SAME_UPPER", "strides": [2, 2]}),
        ((3, 2, 11), (4, 2, 4), {"auto_pad": "SAME_LOWER"}),
    ],
)
def test_a_convolution(x, w, settings):
    rng = np.random.default_rng(0)
    x, w = (rng.normal(size=s).astype(np.float32) for s in (x, w))
    node = helper.make_node("Conv", ["x", "w"], ["y"], **settings)
    made = np.matmul(rows(node, x, w.shape), matrices(node, w))
    made = np.concatenate(list(made), axis=1).reshape(len(x), *size(node, x.shape, w.shape), -1)
    assert np.allclose(np.moveaxis(made, -1, 1), run(node, x, w), atol=1e-5)
    assert np.array_equal(restored(node, matrices(node, w), w.shape), w)
    assert depthwise(node, w) == (settings.get("group") == 5)


@pytest.mark.parametrize(("kind", "settings"), [("MatMul", {}), ("Gemm", {"transB": 1})])
def test_a_dense_layer(kind, settings):
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(4, 6)).astype(np.float32), rng.normal(size=(6, 3)).astype(np.float32)
    w = w.T.copy() if settings else w
    node = helper.make_node(kind, ["x", "w"], ["y"], **settings)
    made = (rows(node, x, w.shape) @ matrices(node, w))[0]
    assert np.allclose(made, run(node, x, w), atol=1e-5)
    assert np.array_equal(restored(node, matrices(node, w), w.shape), w)
