"""tensorflow-model-optimization, imported so that nothing else of the process changes."""

from __future__ import annotations

import os
from typing import Any

_LEGACY = "TF_USE_LEGACY_KERAS"


def tfmot() -> Any:
    """The package. It sets a variable by which `tf.keras` is tf_keras from then on, here and in
    processes begun from here; shap then knows no model of Keras 3. So it is set back.
    """
    import tensorflow as tf

    _ = tf.keras.Model  # found at the first look, and kept
    before = os.environ.get(_LEGACY)
    import tensorflow_model_optimization

    if before is None:
        os.environ.pop(_LEGACY, None)
    else:
        os.environ[_LEGACY] = before
    return tensorflow_model_optimization
