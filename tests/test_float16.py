import numpy as np
from onnx import TensorProto, numpy_helper

from toolkit.exporting import export
from toolkit.passes.float16 import Float16
from toolkit.predict import predictor


def test_weights_are_rounded_and_nothing_else(mlp, digits):
    model = export(mlp, digits.fit.validation).model
    small = Float16()(model, digits.fit).model
    for old, new in zip(model.graph.initializer, small.graph.initializer, strict=True):
        values = numpy_helper.to_array(old)
        if values.size >= 16:
            assert np.array_equal(numpy_helper.to_array(new), values.astype(np.float16))
    x = digits.test.x
    big, little = (predictor(m.SerializeToString())(x) for m in (model, small))
    assert 0 < np.abs(big - little).max() < 0.01


def test_what_float16_cannot_hold_stays_float(mlp, digits):
    model = export(mlp, digits.fit.validation).model
    tensor = next(t for t in model.graph.initializer if len(t.dims) == 2)
    huge = numpy_helper.to_array(tensor).copy()
    huge[0, 0] = 1e6
    tensor.CopyFrom(numpy_helper.from_array(huge, tensor.name))
    step = Float16()(model, digits.fit)
    assert "beyond 65504" in step.facts["skipped"][tensor.name]
    kept = next(t for t in step.model.graph.initializer if t.name == tensor.name)
    assert kept.data_type == TensorProto.FLOAT
