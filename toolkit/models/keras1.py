"""Configs that Keras 1 wrote -> what Keras 2 called the same: other names for layers and settings.

To add a layer: its new name in `_CLASSES`, and what its settings are called now in `_NAMES`.
"""

from __future__ import annotations

from typing import Any

from toolkit.errors import ModelError

Node = dict[str, Any]

_CLASSES = {
    "Convolution1D": "Conv1D",
    "Convolution2D": "Conv2D",
    "Convolution3D": "Conv3D",
    "AtrousConvolution1D": "Conv1D",
    "AtrousConvolution2D": "Conv2D",
    "Deconvolution2D": "Conv2DTranspose",
    "SeparableConvolution2D": "SeparableConv2D",
}
_RECURRENT = {
    "output_dim": "units",
    "inner_activation": "recurrent_activation",
    "dropout_W": "dropout",
    "dropout_U": "recurrent_dropout",
}
_EVERYWHERE = {"border_mode": "padding", "bias": "use_bias", "subsample": "strides", "p": "rate"}
_PLANE = {"nb_filter": "filters", "atrous_rate": "dilation_rate"}
_POOL = {"pool_length": "pool_size", "stride": "strides"}
_NAMES: dict[str, dict[str, str]] = {
    "Dense": {"output_dim": "units"},
    "LSTM": _RECURRENT,
    "GRU": _RECURRENT,
    "SimpleRNN": _RECURRENT,
    "Conv1D": {**_PLANE, "filter_length": "kernel_size", "subsample_length": "strides"},
    "Conv2D": _PLANE,
    "Conv3D": _PLANE,
    "Conv2DTranspose": _PLANE,
    "SeparableConv2D": _PLANE,
    "MaxPooling1D": _POOL,
    "AveragePooling1D": _POOL,
    "UpSampling1D": {"length": "size"},
    "GaussianNoise": {"sigma": "stddev"},
}
_KERNEL = ("nb_row", "nb_col"), ("kernel_dim1", "kernel_dim2", "kernel_dim3")
_TRAINING = (
    *("init", "inner_init", "forget_bias_init", "beta_init", "gamma_init", "consume_less"),
    *("W_regularizer", "U_regularizer", "b_regularizer", "W_constraint", "U_constraint"),
    *("b_constraint", "weights"),
)
"""Settings that say how a layer starts or learns."""

_MERGES = {
    "sum": "Add",
    "mul": "Multiply",
    "ave": "Average",
    "max": "Maximum",
    "concat": "Concatenate",
    "dot": "Dot",
    "cos": "Dot",
}


def renamed(node: Node) -> None:
    """Give a layer of Keras 1 the names of Keras 2, in place; any other stays as it is.

    Raises ModelError for what Keras 2 no longer has.

    >>> old = {"class_name": "Convolution2D", "config": {"nb_filter": 4, "nb_row": 3,
    ...        "nb_col": 5, "border_mode": "same", "dim_ordering": "tf", "init": "normal"}}
    >>> renamed(old)
    >>> old["class_name"], old["config"]["kernel_size"], old["config"]["data_format"]
    ('Conv2D', [3, 5], 'channels_last')
    """
    config = node["config"]
    if not isinstance(config, dict):
        return
    kind = str(_CLASSES.get(node["class_name"], node["class_name"]))
    node["class_name"] = kind
    if kind == "Merge":
        _merge(node)
    elif kind == "TimeDistributedDense":
        _along_time(node)
    else:
        _settings(kind, config)


def _settings(kind: str, config: dict[str, Any]) -> None:
    # what a layer finds out by itself, and what only training needs
    known = {"Embedding": ("dropout",), "Conv2DTranspose": ("output_shape", "input_dim")}
    for name in (*_TRAINING, *known.get(kind, ("input_dim",))):
        config.pop(name, None)
    for old, new in {**_EVERYWHERE, **_NAMES.get(kind, {})}.items():
        if old in config:
            config[new] = config.pop(old)
    for sides in _KERNEL:
        if all(side in config for side in sides):
            config["kernel_size"] = [config.pop(side) for side in sides]
    order = config.pop("dim_ordering", None)
    if order in ("th", "tf"):
        config["data_format"] = "channels_first" if order == "th" else "channels_last"
    if kind == "BatchNormalization" and config.pop("mode", 0) != 0:
        raise ModelError(
            f"layer {config.get('name')} (BatchNormalization) has a mode other than 0",
            "mode 0, which normalises by what training has seen",
            "train it again with mode 0",
        )


def _merge(node: Node) -> None:
    """One layer for all sums, products and concatenations became one for each."""
    config = node["config"]
    mode = config.get("mode")
    if mode not in _MERGES or config.get("layers"):
        raise ModelError(
            f"layer {config.get('name')} (Merge) joins by {str(mode)[:40]}",
            f"one of {', '.join(_MERGES)}, in a model with one input",
            "replace it and save the model again",
        )
    fresh: dict[str, Any] = {"name": config["name"], "trainable": True}
    if mode == "concat":
        fresh["axis"] = config.get("concat_axis", -1)
    if mode in ("dot", "cos"):
        axes = config.get("dot_axes", -1)
        fresh |= {"axes": axes, "normalize": mode == "cos"}
    node.update(class_name=_MERGES[mode], config=fresh)


def _along_time(node: Node) -> None:
    """A Dense for each step of time was a layer of its own."""
    config = dict(node["config"])
    config.pop("input_length", None)
    shape = {n: config.pop(n) for n in ("batch_input_shape",) if n in config}
    _settings("Dense", config)
    inner = {"class_name": "Dense", "config": config}
    node.update(
        class_name="TimeDistributed", config={"name": config["name"], "layer": inner, **shape}
    )
