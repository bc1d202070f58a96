"""The bundle: all that a device needs of one compressed model, in a zip, and what comes back.

    model.onnx  manifest.json  labels.json  preprocessing.json  samples.npz  MODEL_CARD.md  run.py

`device.py` travels as run.py and imports nothing of the toolkit; here it verifies bundles too.
"""

from toolkit.bundle.returned import returned
from toolkit.bundle.verifying import Verdict, verify
from toolkit.bundle.writing import place, write

__all__ = ["Verdict", "place", "returned", "verify", "write"]
