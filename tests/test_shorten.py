import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from toolkit.exporting import export
from toolkit.passes.shorten import Shorten
from toolkit.passes.static_int8 import StaticInt8
from toolkit.predict import predictor


@pytest.mark.parametrize("quantised", [False, True])
def test_outputs_are_bit_identical_and_the_file_is_smaller(quantised, cnn, digits):
    model = export(cnn, digits.fit.validation).model
    if quantised:
        model = StaticInt8()(model, digits.fit).model
    step = Shorten()(model, digits.fit)
    x = digits.test.x
    one, two = (predictor(m.SerializeToString())(x) for m in (model, step.model))
    assert np.array_equal(one, two)
    assert step.facts["bytes_after"] < 0.85 * step.facts["bytes_before"]
    ends = [v.name for v in (*step.model.graph.input, *step.model.graph.output)]
    assert ends == ["input", "probabilities"]


def graph(nodes, weights):
    return helper.make_model(
        helper.make_graph(
            nodes,
            "g",
            [helper.make_tensor_value_info("a", TensorProto.FLOAT, ["n", 2])],
            [helper.make_tensor_value_info("b", TensorProto.FLOAT, ["n", 2])],
            [numpy_helper.from_array(w, name) for name, w in weights.items()],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )


def test_equal_weights_are_shared_and_ends_keep_their_letters(digits):
    """The model's own ends are called a and b: no inner tensor may take these names."""
    w = np.float32([[1, 2], [3, 4]])
    nodes = [
        helper.make_node("MatMul", ["a", "first"], ["m"]),
        helper.make_node("MatMul", ["m", "second"], ["z"]),
        helper.make_node("Softmax", ["z"], ["b"]),
    ]
    model = graph(nodes, {"first": w, "second": w.copy()})
    small = Shorten()(model, digits.fit).model
    assert len(small.graph.initializer) == 1
    x = np.float32([[0.1, -0.2]])
    assert np.array_equal(*(predictor(m.SerializeToString())(x) for m in (model, small)))


@pytest.mark.parametrize(("names", "kept"), [("0\n1\n2", False), ("0\n2\n1", True), ("cat", True)])
def test_classes_called_by_their_places_need_no_names(names, kept, digits):
    model = graph([helper.make_node("Softmax", ["a"], ["b"])], {})
    helper.set_model_props(model, {"classes": names})
    props = {p.key: p.value for p in Shorten()(model, digits.fit).model.metadata_props}
    assert props == ({"classes": names} if kept else {})
