"""The door to tensorflow-model-optimization."""

from __future__ import annotations

import warnings
from typing import Any


def tfmot() -> Any:
    """The package, imported without the warnings it gives about its own old habits."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import tensorflow_model_optimization

    return tensorflow_model_optimization
