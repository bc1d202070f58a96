import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from toolkit import layers
from toolkit.errors import ModelError


def test_weights_are_those_of_the_keras_layers(frontier, mlp):
    first, last = layers.weights(frontier.base.path, "base", (8, 8, 1))
    assert np.array_equal(first.values, mlp.get_layer("dense_1").kernel.numpy())
    assert np.array_equal(last.values, mlp.get_layer("classes").kernel.numpy())
    assert (first.name, last.name) == ("dense_1", "classes")
    assert first.image == (8, 8, 1)
    assert last.image is None


def test_convolutions_keep_keras_axes(cnn, digits, tmp_path):
    from toolkit.artifact import save
    from toolkit.exporting import export

    path = save(export(cnn, digits.fit.validation).model, "cnn", tmp_path).path
    first, _ = layers.weights(path, "cnn", (8, 8, 1))
    assert np.array_equal(first.values, cnn.get_layer("conv_1a").kernel.numpy())


def test_activations_are_those_of_keras(frontier, mlp, digits):
    import keras

    x = digits.test.x[11]
    found = layers.activations(frontier.base.path, "base", x, 11)
    assert [one.row for one in found] == [11] * 3
    names = ("dense_1", "dense_2", "classes")
    outputs = [mlp.get_layer(name).output for name in names]
    for one, theirs in zip(found, keras.Model(mlp.inputs[0], outputs)(x[None]), strict=True):
        assert np.allclose(one.values, theirs[0], atol=1e-5)


@pytest.mark.parametrize("rows", ["n", 4])
def test_a_file_that_takes_so_many_rows_is_given_them(rows, frontier, digits, tmp_path):
    fixed = onnx.load(frontier.base.path)
    for end in (*fixed.graph.input, *fixed.graph.output):
        set_dims(end, rows)
    path = tmp_path / "fixed.onnx"
    onnx.save(fixed, path)
    x = digits.test.x[11]
    wanted = layers.activations(frontier.base.path, "base", x, 11)
    for one, other in zip(layers.activations(path, "base", x, 11), wanted, strict=True):
        assert np.allclose(one.values, other.values, atol=1e-6)


def set_dims(end, rows):
    """Let an input or output say how many rows it has: a number, or any by a name."""
    first = end.type.tensor_type.shape.dim[0]
    first.Clear()
    if isinstance(rows, int):
        first.dim_value = rows
    else:
        first.dim_param = rows


FIRST = np.arange(24, dtype=np.float32).reshape(6, 4) / 24
STORED = numpy_helper.from_array(FIRST, "first")
TURNED = numpy_helper.from_array(np.ascontiguousarray(FIRST.T), "turned")
WAYS = {
    "initializer": ([], [STORED]),
    "constant": ([helper.make_node("Constant", [], ["first"], value=STORED)], []),
    "transpose": ([helper.make_node("Transpose", ["turned"], ["first"])], [TURNED]),
    "identity": ([helper.make_node("Identity", ["kept"], ["first"])],
                 [numpy_helper.from_array(FIRST, "kept")]),
    "reshape": ([helper.make_node("Reshape", ["flat", "shape"], ["first"])],
                [numpy_helper.from_array(FIRST.reshape(-1), "flat"),
                 numpy_helper.from_array(np.array([6, 4]), "shape")]),
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_the_first_layer_is_found_however_its_weights_are_stored(way, tmp_path):
    before, stored = WAYS[way]
    last = np.ones((4, 3), np.float32)
    graph = helper.make_graph(
        [
            *before,
            helper.make_node("MatMul", ["x", "first"], ["a"]),
            helper.make_node("Relu", ["a"], ["b"]),
            helper.make_node("MatMul", ["b", "last"], ["c"]),
            helper.make_node("Softmax", ["c"], ["y"]),
        ],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 3])],
        [*stored, numpy_helper.from_array(last, "last")],
    )
    path = tmp_path / "net.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path)
    found = layers.weights(path, "net")
    assert np.array_equal(found[0].values, FIRST)
    assert np.array_equal(found[1].values, last)


def test_a_file_that_is_no_onnx(tmp_path):
    path = tmp_path / "no.onnx"
    path.write_bytes(b"not a model")
    with pytest.raises(ModelError, match="cannot read"):
        layers.weights(path, "no")
    with pytest.raises(ModelError, match="cannot read"):
        layers.activations(path, "no", np.zeros(6, np.float32), 0)


def test_a_net_of_one_layer_has_no_activations_to_show(tmp_path):
    weights = numpy_helper.from_array(FIRST, "weights")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "weights"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 4])],
        [weights],
    )
    path = tmp_path / "one.onnx"
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path
    )
    assert layers.activations(path, "one", np.ones(6, np.float32), 0) == ()
