"""The reference classifiers. Raw values go in: scaling is a layer of the model, fitted on train."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from toolkit.errors import ModelError, near
from toolkit.glossary import Data
from toolkit.models.scripts import model_of
from toolkit.seeding import seeded


@dataclass(frozen=True)
class Options:
    """What every reference classifier can be told. l1, l2: weight penalties; dropout: share."""

    activation: str = "relu"
    l1: float = 0.0
    l2: float = 0.0
    dropout: float = 0.0


def build(
    name: str,
    train: Data,
    *,
    activation: str = "relu",
    l1: float = 0.0,
    l2: float = 0.0,
    dropout: float = 0.0,
    seed: int = 0,
) -> Any:
    """Build an untrained keras.Model by name, or by `FILE.py:function`, for the rows of `train`.

    The function is called as function(shape, classes) with the shape of one row and the number of
    classes, and gives a keras.Model. The same seed gives the same initial weights.
    Raises ModelError for an unknown name, kind of data, option, or function.
    """
    options = Options(activation, l1, l2, dropout)
    _check(options)
    with seeded(seed):
        if ":" in name or name.endswith(".py"):
            if options != Options():
                raise ModelError(
                    f"layer options with {name}",
                    "activation, l1, l2 and dropout for the reference classifiers only",
                    "set them in your function",
                )
            return model_of(name, train.x.shape[1:], len(train.classes))
        if name not in MODELS:
            raise ModelError(f"unknown model '{name}'", near(name, MODELS), "or FILE.py:function")
        if not _suits(name, train.kind):
            fitting = [n for n in MODELS if _suits(n, train.kind)]
            raise ModelError(
                f"{name} is no model for data of kind {train.kind}",
                ", ".join(fitting),
                f"use {fitting[0]}",
            )
        return MODELS[name](train, options)


def _check(options: Options) -> None:
    import keras

    try:
        keras.activations.get(options.activation)
    except ValueError as error:
        known = [n for n in dir(keras.activations) if not n.startswith("_")]
        known = [n for n in known if n not in ("get", "serialize", "deserialize")]
        raise ModelError(
            f"unknown activation '{options.activation}'", near(options.activation, known)
        ) from error
    if not (0 <= options.dropout < 1 and options.l1 >= 0 and options.l2 >= 0):
        raise ModelError(
            f"dropout {options.dropout}, l1 {options.l1}, l2 {options.l2}",
            "dropout from 0 to below 1, penalties from 0 up",
            "correct the option",
        )


def _start(train: Data) -> tuple[Any, Any]:
    """The input, and the layers that scale raw values and spread categories, part of the model."""
    import keras

    first = keras.layers.Input(train.x.shape[1:], name="input")
    if train.kind == "image":
        peak = float(np.abs(train.x[:5000]).max()) or 1.0
        return first, keras.layers.Rescaling(1 / peak, name="scale")(first)
    given = _filled(first, train) if train.fill else first
    variance = train.x.var(axis=0)
    # a constant column has nothing to divide by
    scale = keras.layers.Normalization(
        mean=train.x.mean(axis=0), variance=np.where(variance > 0, variance, 1.0), name="scale"
    )
    if not train.categories:
        return first, scale(given)
    ops = keras.ops
    # the codes of a category have no order: one input a value; the same layer scales the numbers
    numbers = [i for i in range(train.x.shape[1]) if i not in train.categories]
    spread = [ops.take(scale(given), numbers, axis=1)] if numbers else []
    for column, names in sorted(train.categories.items()):
        codes = ops.cast(first[:, column], "int32")
        spread.append(ops.one_hot(codes, len(names)))
    return first, keras.layers.Concatenate(name="columns")(spread) if len(spread) > 1 else spread[0]


def _filled(first: Any, train: Data) -> Any:
    """NaN, which a device sends where a number is missing, becomes the median of training."""
    from keras import ops

    middle = np.zeros(train.x.shape[1], np.float32)
    for column, value in train.fill.items():
        middle[column] = value
    return ops.where(ops.isnan(first), middle, first)


def _dense(train: Data, options: Options, units: tuple[int, ...]) -> list[Any]:
    """Dense layers of `units`, each followed by dropout when asked for, and the softmax."""
    import keras

    layers: list[Any] = []
    for i, count in enumerate(units, start=1):
        penalty = keras.regularizers.L1L2(options.l1, options.l2)
        layers.append(
            keras.layers.Dense(
                count, options.activation, kernel_regularizer=penalty, name=f"dense_{i}"
            )
        )
        if options.dropout:
            layers.append(keras.layers.Dropout(options.dropout, name=f"dropout_{i}"))
    return [*layers, keras.layers.Dense(len(train.classes), "softmax", name="classes")]


def _convolutions(options: Options, filters: tuple[tuple[int, ...], ...]) -> list[Any]:
    """Blocks of 3x3 convolutions with the given filters, each block halved by max pooling."""
    import keras

    layers: list[Any] = []
    for i, block in enumerate(filters, start=1):
        for j, count in enumerate(block):
            penalty = keras.regularizers.L1L2(options.l1, options.l2)
            layers.append(
                keras.layers.Conv2D(
                    count,
                    3,
                    padding="same",
                    activation=options.activation,
                    kernel_regularizer=penalty,
                    name=f"conv_{i}{'ab'[j]}",
                )
            )
        layers.append(keras.layers.MaxPooling2D(padding="same", name=f"pool_{i}"))
        if options.dropout:
            layers.append(keras.layers.Dropout(options.dropout, name=f"dropout_conv_{i}"))
    return layers


def _network(train: Data, options: Options, units: tuple[int, ...], filters: Any = ()) -> Any:
    import keras

    first, x = _start(train)
    flat = [keras.layers.Flatten(name="flatten")] if train.x.ndim > 2 else []
    for layer in (*_convolutions(options, filters), *flat, *_dense(train, options, units)):
        x = layer(x)
    return keras.Model(first, x, name="classifier")


def _mlp(train: Data, options: Options) -> Any:
    return _network(train, options, (10, 10))


def _cnn(train: Data, options: Options) -> Any:
    return _network(train, options, (), ((8,), (16,)))


def _tabular(train: Data, options: Options) -> Any:
    return _network(train, options, (64, 64))


def _text(train: Data, options: Options) -> Any:
    import keras

    first = keras.layers.Input(train.x.shape[1:], name="input")
    x = keras.layers.Embedding(_indices(train), 16, mask_zero=True, name="words")(first)
    x = keras.layers.GlobalAveragePooling1D(name="mean")(x)
    for layer in _dense(train, options, (16,)):
        x = layer(x)
    return keras.Model(first, x, name="classifier")


def _text_large(train: Data, options: Options) -> Any:
    import keras

    options = Options(options.activation, options.l1, options.l2, options.dropout or 0.5)
    first = keras.layers.Input(train.x.shape[1:], name="input")
    x = keras.layers.Embedding(_indices(train), 64, name="words")(first)
    x = keras.layers.Dropout(options.dropout, name="dropout_words")(x)
    x = keras.layers.Conv1D(64, 3, padding="same", activation=options.activation, name="conv")(x)
    x = keras.layers.GlobalMaxPooling1D(name="most")(x)
    for layer in _dense(train, options, (64,)):
        x = layer(x)
    return keras.Model(first, x, name="classifier")


def _indices(train: Data) -> int:
    return len(train.words.vocabulary) if train.words else int(train.x.max()) + 1


def _cnn_large(train: Data, options: Options) -> Any:
    options = Options(options.activation, options.l1, options.l2, options.dropout or 0.25)
    return _network(train, options, (128,), ((16,), (32,)))


def _tabular_large(train: Data, options: Options) -> Any:
    options = Options(options.activation, options.l1, options.l2, options.dropout or 0.25)
    return _network(train, options, (256, 256))


MODELS: dict[str, Callable[[Data, Options], Any]] = {
    "cnn": _cnn,
    "cnn-large": _cnn_large,
    "mlp": _mlp,
    "tabular": _tabular,
    "tabular-large": _tabular_large,
    "text": _text,
    "text-large": _text_large,
}
"""mlp: inputs-10-10-classes. cnn: 8 and 16 filters. tabular: 64-64. text: the mean of 16 numbers a
word, then 16 units. The large ones teach.
"""

_ONLY = {"cnn": "image", "cnn-large": "image", "text": "text", "text-large": "text"}
_USUAL = {"image": ("mlp", "cnn-large", "cnn"), "text": ("text", "text-large", "text")}


def usual(kind: str) -> tuple[str, str, str]:
    """For a kind of data: the model to begin with, the one that teaches, and the one taught."""
    return _USUAL.get(kind, ("tabular", "tabular-large", "tabular"))


def _suits(name: str, kind: str) -> bool:
    return _ONLY.get(name) == kind or (name not in _ONLY and kind != "text")
