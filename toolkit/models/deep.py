"""DeepLIFT's contributions by shap's DeepExplainer, for nets of which it is right.

On Keras 3 it fails for many layers and is off for some activations, and a failure leaves TensorFlow
recording gradients under shap's names; so layers are looked at first, and the recorder is put back.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from toolkit.errors import ModelError
from toolkit.glossary import Doubles, Floats
from toolkit.models.heads import head_of

LAYERS = (
    "Activation",
    "Add",
    "AveragePooling2D",
    "BatchNormalization",
    "Concatenate",
    "Conv2D",
    "Dense",
    "Dropout",
    "Flatten",
    "GlobalAveragePooling2D",
    "InputLayer",
    "MaxPooling2D",
    "Normalization",
    "ReLU",
    "Rescaling",
    "Reshape",
    "Softmax",
)
ACTIVATIONS = ("linear", "relu", "sigmoid", "softmax", "tanh")


def contributions(model: Any, x: Floats, background: Floats, target: int) -> Doubles:
    """What each value of one row adds to the probability of `target`: f64 (...).

    x: f32 (...), one row. background: f32 (b, ...), rows that the value is a mean over; the sum is
    the probability of the row less their mean (Lundberg and Lee 2017, after Shrikumar et al. 2017).
    Raises ModelError that names a layer for which it is not right.
    """
    import keras
    import shap

    _known(model)
    head, units = head_of(model), int(model.outputs[0].shape[-1])
    said = model.outputs[0]
    if head == "logits":
        said = keras.layers.Activation("softmax", name=_fresh("shares", model))(said)
    # a single output, so that the other classes are not computed
    only = keras.layers.Dense(1, use_bias=False, name=_fresh("target", model))
    one = keras.Model(model.inputs, only(said))
    kernel = np.zeros((units, 1), np.float32)
    kernel[min(target, units - 1)] = -1 if units == 1 and target == 0 else 1
    only.set_weights([kernel])
    with _recording(), warnings.catch_warnings():
        # a list around the input, and no more sessions: neither changes a value
        warnings.filterwarnings("ignore", message="The structure of `inputs`")
        warnings.filterwarnings("ignore", message="Your TensorFlow version is newer")
        explainer = shap.DeepExplainer(one, background)
        found = explainer.shap_values(x[None], check_additivity=False)
    return np.asarray(found, np.float64).reshape(x.shape)


def _fresh(name: str, model: Any) -> str:
    """The name, or a longer one that no layer has."""
    taken = {layer.name for layer in model.layers}
    return name if name not in taken else _fresh(f"{name}_", model)


def _known(model: Any) -> None:
    import keras

    for net in model._flatten_layers():
        for operation in getattr(net, "operations", ()):
            if not isinstance(operation, keras.layers.Layer):
                raise ModelError(
                    f"deep is not right for operation {operation.name}, {type(operation).__name__}",
                    f"{', '.join(LAYERS)} with {', '.join(ACTIVATIONS)}",
                    "explain by shapley or lime",
                )
    for layer in model._flatten_layers(include_self=False):
        kind = type(layer).__name__
        if getattr(layer, "layers", None) and kind in ("Functional", "Sequential"):
            continue
        activation = getattr(getattr(layer, "activation", None), "__name__", "linear")
        # a ReLU that bends elsewhere is another function
        bent = kind == "ReLU" and (layer.max_value is not None or layer.negative_slope)
        if kind not in LAYERS or activation not in ACTIVATIONS or bent:
            what = f"{kind} ({activation})" if kind in LAYERS and not bent else kind
            raise ModelError(
                f"deep is not right for layer {layer.name}, {what}",
                f"{', '.join(LAYERS)} with {', '.join(ACTIVATIONS)}",
                "explain by shapley, integrated or expected",
            )


@contextmanager
def _recording() -> Iterator[None]:
    """Put back how TensorFlow records what gradients need, also when shap fails.

    shap traces each row anew, of which TensorFlow would warn.
    """
    import tensorflow as tf
    from tensorflow.python.eager import execute

    record, log = execute.record_gradient, tf.get_logger()
    level = log.level
    log.setLevel("ERROR")
    try:
        yield
    finally:
        log.setLevel(level)
        execute.record_gradient = record
