"""How much each channel matters: by its weights, by its batch normalisation, by the loss."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from toolkit.errors import ModelError
from toolkit.glossary import Data, Doubles
from toolkit.models.channels import ChannelMap
from toolkit.models.heads import head_of
from toolkit.passes.tuning import logits_of
from toolkit.shapes import in_shape

BATCH = 32
"""Rows whose gradients are summed before they are squared."""

Ranking = Callable[[Any, ChannelMap, Data], Doubles]
"""(flat model, its channels, rows) -> how much each matters, f64 (channels,), read by group."""


def l1(model: Any, channels: ChannelMap, data: Data) -> Doubles:  # noqa: ARG001
    """The sizes of the weights that make a channel, summed (Li et al. 2017)."""
    found = np.zeros(len(channels.group))
    for layer in model.layers:
        if layer.name in channels.makers:
            met = channels.layers[id(layer)]
            kernel = _value(layer, met.reads or "embeddings")
            weights = np.abs(kernel).sum(axis=tuple(range(kernel.ndim - 1)))
            found += channels.total(weights, met.out)
    return found


def batchnorm(model: Any, channels: ChannelMap, data: Data) -> Doubles:
    """The factor by which batch normalisation scales a channel (Liu et al. 2017).

    Channels that meet none are ranked by `l1`: only channels of the same layers are compared.
    """
    found, meets = np.zeros(len(channels.group)), np.zeros(len(channels.group), bool)
    for layer in model.layers:
        met = channels.layers.get(id(layer))
        if met is not None and "gamma" in met.weights:
            found += channels.total(np.abs(_value(layer, "gamma")), met.out)
            meets[channels.group[met.out]] = True
    return np.where(meets, found, l1(model, channels, data))


def taylor(model: Any, channels: ChannelMap, data: Data) -> Doubles:
    """The squared first-order change of the loss when a channel goes (Molchanov et al. 2019).

    Summed over all that read the channel before it is squared; the mean over batches of `BATCH`.
    """
    every = list(slopes(model, channels, data))
    return np.asarray(np.mean(np.square(every), axis=0), np.float64)


def slopes(model: Any, channels: ChannelMap, data: Data) -> Iterator[Doubles]:
    """For each batch, the derivative of the loss by a factor on each channel, f64 (channels,).

    A factor on a channel scales the weights that read it, so this is the sum over these of weight
    times gradient: over all places, and over every layer that the channel reaches.
    """
    import keras
    import tensorflow as tf

    head, shape = head_of(model), tuple(model.inputs[0].shape[1:])
    eye = np.eye(len(data.classes), dtype=np.float32)
    readers = [
        (layer, met, getattr(layer, met.reads))
        for layer in model.layers
        if (met := channels.layers.get(id(layer))) is not None and met.reads
    ]
    kernels = [kernel.value for _, _, kernel in readers]

    @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]
    def gradients(x: Any, hard: Any) -> Any:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(kernels)
            logits = logits_of(model(x, training=False), head)
            loss = keras.losses.categorical_crossentropy(hard, logits, from_logits=True)
            mean = tf.reduce_mean(loss)
        return tape.gradient(mean, kernels)

    for start in range(0, len(data), BATCH):
        rows = slice(start, start + BATCH)
        x = in_shape(np.asarray(data.x[rows]), shape)
        found = np.zeros(len(channels.group))
        for (layer, met, kernel), slope in zip(
            readers, gradients(x, eye[data.y[rows]]), strict=True
        ):
            if slope is None:
                raise ModelError(
                    f"no gradient of the loss reaches layer {layer.name}",
                    "layers that learn",
                    "rank by l1",
                )
            axis = kernel.ndim - 2
            others = tuple(i for i in range(kernel.ndim) if i != axis)
            product = kernel.numpy().astype(np.float64) * slope.numpy()
            found += channels.total(product.sum(axis=others), met.weights[met.reads][axis])
        if not np.isfinite(found).all():
            raise ModelError(
                f"{model.name} has a loss without end on rows {start} to {start + BATCH}",
                "a model that fits the data",
                "rank by l1",
            )
        yield found


RANKINGS: dict[str, Ranking] = {"batchnorm": batchnorm, "l1": l1, "taylor": taylor}
"""Name -> ranking; a new one is a line here, and in `LOSSES` if its scores are losses."""
LOSSES = ("taylor",)
"""Rankings whose scores are squared changes of the loss, which can be compared between layers."""


def _value(layer: Any, name: str) -> Any:
    return getattr(layer, name).numpy().astype(np.float64)
