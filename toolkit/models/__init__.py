"""Keras models: our reference classifiers by name or a function of the user's, and model files.

To add a reference classifier: a function in `reference.py` and a line in its table.
"""

from toolkit.models.opening import open_model
from toolkit.models.precision import full
from toolkit.models.reference import MODELS, build
from toolkit.models.vocabulary import parted

__all__ = ["MODELS", "build", "full", "open_model", "parted"]
