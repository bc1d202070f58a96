import subprocess
import sys

import numpy as np

from toolkit.exporting import export
from toolkit.glossary import Fit
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


def test_a_table_of_words_beside_a_loop_stays_float(looped, tmp_path):
    """Rounded, onnxruntime ends the process that opens it, so another one does."""
    floats, rows = looped
    step = DynamicInt8()(floats, Fit(rows, rows, rows))
    (tmp_path / "small.onnx").write_bytes(step.model.SerializeToString())
    code = "import sys, onnxruntime as ort; ort.InferenceSession(sys.argv[1])"
    subprocess.run([sys.executable, "-c", code, tmp_path / "small.onnx"], check=True)
    assert step.facts["changed"] > 0
    assert "onnxruntime cannot open it in integers" in step.facts["skipped"].values()
