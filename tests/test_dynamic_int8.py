import numpy as np

from toolkit.exporting import export
from toolkit.passes.dynamic_int8 import DynamicInt8
from toolkit.predict import predictor


def test_dense_layers_change_and_convolutions_are_listed(cnn, digits):
    floats = export(cnn, digits.fit.validation).model
    step = DynamicInt8()(floats, digits.fit)
    assert step.facts["changed"] == 1
    assert len(step.facts["skipped"]) == 2
    kinds = [n.op_type for n in step.model.graph.node]
    assert kinds.count("Conv") == 2
    assert "MatMulInteger" in kinds
    p, q = (predictor(m.SerializeToString())(digits.test.x) for m in (floats, step.model))
    assert (p.argmax(1) == q.argmax(1)).mean() > 0.95
    assert np.abs(p - q).max() > 0
