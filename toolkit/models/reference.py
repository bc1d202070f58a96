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
        if name in _IMAGES and train.kind != "image":
            raise ModelError(
                f"{name} takes pictures, not rows of columns", "mlp or tabular", "use tabular"
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
        peak = float(np.abs(train.x).max()) or 1.0
        return first, keras.layers.Rescaling(1 / peak, name="scale")(first)
    variance = train.x.var(axis=0)
    # a constant column has nothing to divide by
    scale = keras.layers.Normalization(
        mean=train.x.mean(axis=0), variance=np.where(variance > 0, variance, 1.0), name="scale"
    )
    if not train.categories:
        return first, scale(first)
    ops = keras.ops
    # the codes of a category have no order: one input a value; the same layer scales the numbers
    numbers = [i for i in range(train.x.shape[1]) if i not in train.categories]
    spread = [ops.take(scale(first), numbers, axis=1)] if numbers else []
    for column, names in sorted(train.categories.items()):
        codes = ops.cast(first[:, column], "int32")
        spread.append(ops.one_hot(codes, len(names)))
    return first, keras.layers.Concatenate(name="columns")(spread) if len(spread) > 1 else spread[0]


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
}
"""mlp: inputs-10-10-classes. cnn: 8 and 16 filters. tabular: 64-64. The large ones teach."""

_IMAGES = ("cnn", "cnn-large")
