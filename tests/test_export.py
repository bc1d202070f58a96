import numpy as np
import onnx
import pytest

from toolkit.errors import ExportError
from toolkit.export import TOLERANCE, export


@pytest.mark.parametrize("name", ["mlp", "cnn", "tabular"])
def test_reference_models_come_out_right(name, request, digits, wine):
    model = request.getfixturevalue(name)
    rows = wine.fit.validation if name == "tabular" else digits.fit.validation
    step = export(model, rows)
    onnx.checker.check_model(step.model, full_check=True)
    assert step.facts["largest_difference"] <= TOLERANCE
    assert step.model.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "n"
    props = {p.key: p.value for p in step.model.metadata_props}
    assert props["classes"].split("\n") == list(rows.classes)
    assert "keras" in props["producer"]


@pytest.mark.parametrize("head", ["sigmoid", "linear"])
def test_other_heads_become_probabilities(head, wine):
    import keras

    from toolkit.glossary import Data
    from toolkit.predict import OnnxPredictor

    units = 1 if head == "sigmoid" else 3
    model = keras.Sequential([keras.layers.Input((13,)), keras.layers.Dense(units, head)])
    classes = wine.test.classes[: max(units, 2)]
    small = OnnxPredictor(
        export(model, Data(wine.test.x, wine.test.y, classes)).model.SerializeToString(), "s"
    )
    p = small(wine.test.x)
    assert p.shape == (len(wine.test), len(classes))
    assert np.allclose(p.sum(axis=1), 1, atol=1e-6)


def test_what_onnx_has_no_form_for_is_refused(wine):
    """Exact GELU comes out of the converter as an invalid file without a word."""
    import keras

    model = keras.Sequential(
        [
            keras.layers.Input((13,)),
            keras.layers.Dense(4, "gelu"),
            keras.layers.Dense(3, "softmax"),
        ]
    )
    with pytest.raises(ExportError, match="cannot be turned into ONNX"):
        export(model, wine.fit.validation)


def test_a_wrong_file_never_leaves(monkeypatch, mlp, digits):
    """Break the file on purpose: the comparison on real rows must catch it."""
    import tf2onnx

    right = tf2onnx.convert.from_function

    def wrong(*args, **kwargs):
        proto, other = right(*args, **kwargs)
        weight = next(t for t in proto.graph.initializer if len(t.dims) == 2)
        values = onnx.numpy_helper.to_array(weight) * np.float32(1.01)
        weight.CopyFrom(onnx.numpy_helper.from_array(values, weight.name))
        return proto, other

    monkeypatch.setattr(tf2onnx.convert, "from_function", wrong)
    with pytest.raises(ExportError, match="differs from Keras"):
        export(mlp, digits.fit.validation)
