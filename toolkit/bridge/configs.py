"""A Keras 3 layer -> the same layer of tf_keras, from its config."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np

from toolkit.errors import ModelError
from toolkit.models.graph import KNOWN

_SILENT = {
    "autocast",
    "build_config",
    "flash_attention",
    "quantization_config",
    "seed",
    "use_cudnn",
}
"""Settings that tf_keras lacks and that change no answer."""

_RENAMED = {"LeakyReLU": {"negative_slope": "alpha"}}


def built(layer: Any, name: str) -> Any:
    """The tf_keras layer of the same class and settings, called `name`, without weights yet.

    Raises ModelError when tf_keras has no such class or a setting it cannot express.
    """
    import tf_keras

    kind = type(layer).__name__
    theirs = getattr(tf_keras.layers, kind, None)
    if theirs is None or not type(layer).__module__.startswith(KNOWN):
        raise cannot(layer, "it has no such layer")
    # a pass trains what it changes, whatever was frozen when the model was made
    config = {**_plain(layer, layer.get_config()), "name": name, "trainable": True}
    if kind == "Normalization":
        config = {
            "name": name,
            "axis": config["axis"],
            "mean": np.asarray(layer.mean).reshape(-1) if layer.mean is not None else None,
            "variance": np.asarray(layer.variance).reshape(-1) if layer.mean is not None else None,
        }
        if config["mean"] is not None and len(config["mean"]) == 1:
            config["axis"] = None
    for inner in ("layer", "backward_layer"):
        if inner in config:
            wrapped = getattr(layer, "forward_layer" if kind == "Bidirectional" else "layer")
            wrapped = layer.backward_layer if inner == "backward_layer" else wrapped
            config[inner] = built(wrapped, wrapped.name)
    if kind == "MultiHeadAttention":
        for shape in ("query_shape", "key_shape", "value_shape"):
            config.pop(shape, None)
    accepted = _accepted(theirs)
    for setting in sorted(set(config) - accepted):
        standard = inspect.signature(type(layer).__init__).parameters.get(setting)
        at_default = standard is not None and standard.default == config[setting]
        at_default |= setting == "data_format" and config[setting] == "channels_last"
        if setting not in _SILENT and not at_default and config[setting]:
            raise cannot(layer, f"it has no setting {setting} = {config[setting]}")
        config.pop(setting)
    try:
        return theirs(**config)
    except (TypeError, ValueError) as error:
        # a cell or a layer inside, which tf_keras makes by itself
        raise cannot(layer, f"tf_keras does not take it so ({error})") from error


def activation(name: str) -> Any:
    """An activation of Keras 3 by its name, for tf_keras.

    The hard sigmoids differ between the two; the function here computes what Keras 3 does.
    """
    import tf_keras

    own = {
        "hard_sigmoid": keras3_hard_sigmoid,
        "hard_silu": keras3_hard_silu,
        "hard_swish": keras3_hard_silu,
        "leaky_relu": keras3_leaky_relu,
        "silu": "swish",
        "toolkit>hard_sigmoid_keras2": "hard_sigmoid",
    }
    found = own.get(name, name)
    return tf_keras.activations.get(found)


def keras3_hard_sigmoid(x: Any) -> Any:
    """relu6(x + 3) / 6, as Keras 3 means it; tf_keras means clip(0.2 x + 0.5)."""
    import tensorflow as tf

    return tf.nn.relu6(x + 3.0) * (1.0 / 6.0)


def keras3_hard_silu(x: Any) -> Any:
    """X * relu6(x + 3) / 6."""
    return x * keras3_hard_sigmoid(x)


def keras3_leaky_relu(x: Any) -> Any:
    """x, or 0.2 x below zero, as the activation of Keras 3."""
    import tensorflow as tf

    return tf.nn.leaky_relu(x, 0.2)


def objects() -> dict[str, Any]:
    """What tf_keras must know by name to copy a model that holds these functions."""
    own = (keras3_hard_sigmoid, keras3_hard_silu, keras3_leaky_relu)
    return {function.__name__: function for function in own}


def _plain(layer: Any, config: dict[str, Any]) -> dict[str, Any]:
    """The settings that change answers, as tf_keras writes them."""
    renamed = _RENAMED.get(type(layer).__name__, {})
    found: dict[str, Any] = {}
    for key, value in config.items():
        setting = renamed.get(key, key)
        if key.endswith(("_initializer", "_regularizer", "_constraint")) or key in (
            "dtype",
            "batch_shape",
            "build_config",
        ):
            # weights are copied; regularisers act in training with Keras 3
            continue
        if key in ("activation", "recurrent_activation") and value is not None:
            function = getattr(layer, key, None) or getattr(layer.cell, key)
            if isinstance(value, dict) and "class_name" in value:
                if (value.get("registered_name") or "").startswith("toolkit>"):
                    found[setting] = function
                    continue
                name = str(value["config"] if isinstance(value["config"], str) else "")
            else:
                name = str(value)
            if not name:
                raise cannot(layer, "its activation is a layer or a function of its own")
            try:
                found[setting] = activation(name)
            except ValueError as error:
                raise cannot(layer, f"it has no activation {name}") from error
            continue
        found[setting] = value
    return found


def _accepted(kind: type) -> set[str]:
    """The keyword arguments that a tf_keras layer takes."""
    import tf_keras

    found = {"name", "trainable", "dtype"}
    if issubclass(kind, tf_keras.layers.RNN):
        found.add("zero_output_for_mask")  # taken, but not declared
    for base in kind.__mro__:
        if "__init__" in vars(base):
            parameters = inspect.signature(base.__init__).parameters  # type: ignore[misc]
            found |= set(parameters) - {"self", "args", "kwargs"}
            if not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
                break
    return found


def cannot(layer: Any, why: str) -> ModelError:
    """The error that names a layer which stays on this side, and why."""
    return ModelError(
        f"layer {layer.name} ({type(layer).__name__}) has no twin in tf_keras: {why}",
        "layers that both Kerases have",
        "leave out the training-time passes for this model, or replace the layer",
    )
