"""onnxruntime tells its maker what it opens, unless it is kept from it before it is loaded."""

import os
import subprocess
import sys

CODE = """
import sys
import numpy as np
from toolkit.predict import predictor
ask = predictor(sys.argv[1])
print(ask(np.zeros((1, *ask.shape), np.float32)).shape)
"""


def test_who_asks_a_model_tells_nobody_and_leaves_nothing_at_home(dense_onnx, tmp_path):
    # from nothing: it is silent by itself where a variable says that a CI runs
    kept = {k: os.environ[k] for k in ("PATH", "PYTHONPATH") if k in os.environ}
    command = [sys.executable, "-c", CODE, str(dense_onnx)]
    subprocess.run(command, check=True, env={**kept, "HOME": str(tmp_path)})
    assert list(tmp_path.rglob("*")) == []
