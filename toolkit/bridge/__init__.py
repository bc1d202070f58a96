"""Keras 3 <-> tf_keras, and the tools that live there. The only room that knows tf_keras.

tensorflow-model-optimization needs tf_keras; people have Keras 3. A model crosses as a twin with
the same layers and weights, is trained there, and its weights come back.
"""

from toolkit.bridge.back import to_keras, weights_back
from toolkit.bridge.forward import Twin, to_tf_keras

__all__ = ["Twin", "to_keras", "to_tf_keras", "weights_back"]
