"""Keras 3 <-> tf_keras, and the tools that live there. The only room that knows tf_keras.

tensorflow-model-optimization needs tf_keras; people have Keras 3. A model crosses as a twin with
the same layers and weights, is trained there, and its weights come back.
"""

from __future__ import annotations

from typing import Any

from toolkit.bridge.back import to_keras, weights_back
from toolkit.bridge.forward import Twin, to_tf_keras
from toolkit.bridge.quantising import answering, from_training, to_training

__all__ = [
    "Twin",
    "answering",
    "from_training",
    "library",
    "to_keras",
    "to_tf_keras",
    "to_training",
    "weights_back",
]


def library() -> Any:
    """The module tf_keras, for `training.fitted`."""
    import tf_keras

    return tf_keras
