"""Fake quantisation in training: TFMOT's wrappers on a tf_keras twin, and the way back.

The wrappers and the moving ranges are TFMOT's. The rounding of kernels is our own quantiser for
them: one learnt step a channel (Esser et al. 2020, "Learned step size quantization"), and what
pruning or clustering did to a kernel is kept.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from toolkit.bridge.configs import built
from toolkit.bridge.forward import Twin, own, steady, to_tf_keras
from toolkit.bridge.tfmot import tfmot
from toolkit.glossary import Floats
from toolkit.models.graph import copied
from toolkit.models.quantised import COMPUTING, fake_quantize
from toolkit.sparsity import SPARSE, clusters, zeros

LITTLE = 32
"""Dense units that read fewer inputs share one step: four bytes a unit would be a large part. Of
four bits, so do filters of one pixel that read no more.
"""


def to_training(model: Any, bits: int, *, frozen: bool = False) -> Twin:
    """Give the twin of a `models.quantised.prepared` model that rounds as it trains.

    Kernels are rounded to `bits` bits; the ranges of activations start where FakeQuantize has
    them and follow the data. frozen: the statistics of BatchNormalization stay as they are.
    """

    def make(layer: Any, name: str) -> Any:
        kind = type(layer).__name__
        if kind == "FakeQuantize":
            return _ranging(name)
        inner = built(layer, name)
        return _wrapped(inner, layer, name, bits) if kind in COMPUTING else inner

    twin = to_tf_keras(model, make=make)
    for name, layer in twin.layers.items():
        if type(layer).__name__ == "BatchNormalization" and frozen:
            twin.model.get_layer(name).trainable = False
        if type(layer).__name__ in COMPUTING:
            _begin(twin.model.get_layer(name), layer, bits)
        elif _shaped(layer):
            # nothing holds zeros and shared values of a layer that trains as floats
            twin.model.get_layer(name).trainable = False
    return twin


def answering(layer: Any, name: str) -> Any:
    """The tf_keras layer of any layer of a model that only answers, for `to_tf_keras`.

    FakeQuantize rounds there as it does here; of a model that is trained no twin is made so, since
    its kernels would leave their steps.
    """
    if not isinstance(layer, fake_quantize()):
        return built(layer, name)
    made = _answering()(name=name)
    made.supports_masking = layer.supports_masking
    return made


@functools.cache
def _answering() -> Any:
    """The class FakeQuantize of `models.quantised`, for tf_keras."""
    import tensorflow as tf
    import tf_keras

    class FakeQuantize(tf_keras.layers.Layer):  # type: ignore[misc]
        """Round to one of 256 even steps from `low` to `high`."""

        def build(self, input_shape: Any) -> None:
            self.low, self.high = (
                self.add_weight(name, (), trainable=False) for name in ("low", "high")
            )
            super().build(input_shape)

        def call(self, x: Any) -> Any:
            return tf.quantization.fake_quant_with_min_max_vars(x, self.low, self.high)

    return FakeQuantize


def _shaped(layer: Any) -> bool:
    """Whether pruning or clustering gave a layer its kernel."""
    names = ("kernel", "depthwise_kernel", "pointwise_kernel")
    held = [np.asarray(k) for name in names if (k := getattr(layer, name, None)) is not None]
    return any(zeros(kernel) >= SPARSE or clusters(kernel) > 0 for kernel in held)


def from_training(twin: Twin, model: Any) -> tuple[Any, dict[str, Floats]]:
    """A copy of the Keras 3 `model` as the twin was trained, and the step of each channel.

    Kernels are multiples of their steps; steps: layer -> f32 (channels,).
    """
    made = copied(model)
    steps: dict[str, Floats] = {}
    for name, old in twin.layers.items():
        layer, trained = made.get_layer(old.name), twin.model.get_layer(name)
        values = [w.numpy() for w in own(trained)[: len(steady(layer))]]
        if type(old).__name__ in COMPUTING:
            (kernel, quantiser, variables) = trained._weight_vars[0]
            values[0] = quantiser(kernel, False, variables).numpy()
            channels = old.kernel.shape[-1]
            if "Depthwise" in type(old).__name__:
                channels *= old.kernel.shape[-2]
            step = np.exp(variables["log_step"].numpy()).reshape(-1)
            steps[old.name] = np.broadcast_to(step, (channels,)).astype(np.float32)
        if values:
            for weight, value in zip(steady(layer), values, strict=True):
                weight.assign(value.reshape(weight.shape))
    return made, steps


def _ranging(name: str) -> Any:
    """A layer that rounds to 8 bits between ends that follow the extremes of the batches."""
    tfmot()
    from tensorflow_model_optimization.python.core.quantization.keras import (
        quantize_layer,
        quantizers,
    )

    moving = quantizers.MovingAverageQuantizer(
        8, per_axis=False, symmetric=False, narrow_range=False
    )
    return quantize_layer.QuantizeLayer(moving, name=name)


def _wrapped(inner: Any, layer: Any, name: str, bits: int) -> Any:
    tfmot()
    from tensorflow_model_optimization.python.core.quantization.keras import quantize_wrapper

    _, config = _classes()
    depthwise = "Depthwise" in type(layer).__name__
    attribute = "depthwise_kernel" if depthwise else "kernel"
    return quantize_wrapper.QuantizeWrapperV2(
        inner, config(attribute, bits, clusters(layer.kernel.numpy())), name=name
    )


def _begin(wrapper: Any, layer: Any, bits: int) -> None:
    """Set the steps, and what of the kernel must stay as it is."""
    kernel = layer.kernel.numpy()
    ((_, quantiser, variables),) = wrapper._weight_vars
    if zeros(kernel) >= SPARSE or quantiser.clusters:
        variables["mask"].assign((kernel != 0).astype(np.float32))
    if quantiser.clusters:
        values = np.unique(kernel[kernel != 0])
        places = np.searchsorted(values, kernel).clip(0, len(values) - 1)
        variables["cluster"].assign(places.astype(np.int32))
    axes = _axes(kernel.shape, type(layer).__name__, quantiser.clusters, quantiser.bits)
    step = best_step(kernel, axes, levels(bits))
    variables["log_step"].assign(np.log(step).reshape(variables["log_step"].shape))


def levels(bits: int) -> int:
    """The largest integer of a kernel of `bits` bits; the grid is symmetric.

    >>> levels(7), levels(4)
    (63, 7)
    """
    return int(2 ** (bits - 1) - 1)


def best_step(kernel: Floats, axes: tuple[int, ...], most: int) -> Floats:
    """The step with the least squared error of rounding, over `axes`, among shares of the largest.

    >>> best_step(np.float32([[-6.3], [0.1]]), (0,), 63).round(2).tolist()
    [[0.10000000149011612]]
    """
    peak = np.abs(kernel).max(axis=axes, keepdims=True)
    peak = np.where(peak > 0, peak, 1.0)
    best, least = peak / most, np.full(peak.shape, np.inf)
    for share in np.linspace(1.0, 0.3, 36):
        step = peak * share / most
        rounded = np.clip(np.round(kernel / step), -most, most) * step
        error = ((kernel - rounded) ** 2).sum(axis=axes, keepdims=True)
        best, least = np.where(error < least, step, best), np.minimum(error, least)
    return np.asarray(best, np.float32)


def _axes(shape: tuple[int, ...], kind: str, clusters: int, bits: int) -> tuple[int, ...]:
    """The axes that share a step: all but the output channels.

    All, when clusters are shared, or when units read so little that a step each outweighs it.
    """
    rank = len(shape)
    pixel = rank == 4 and kind == "Conv2D" and shape[:2] == (1, 1) and bits <= 4
    if clusters or (rank == 2 and shape[0] < LITTLE) or (pixel and shape[2] <= LITTLE):
        return tuple(range(rank))
    return tuple(range(rank - 2)) if "Depthwise" in kind else tuple(range(rank - 1))


@functools.cache
def _classes() -> tuple[Any, Any]:
    """Our quantiser of kernels and its configuration, as classes of TFMOT."""
    import tensorflow as tf
    import tf_keras

    tfmot()
    from tensorflow_model_optimization.python.core.quantization.keras import (
        quantize_config,
        quantizers,
    )

    class Kernels(quantizers.Quantizer):  # type: ignore[misc]
        """Rounds to a learnt step; keeps zeros (mask) and shared values (cluster)."""

        def __init__(self, bits: int, depthwise: bool, clusters: int) -> None:
            self.bits, self.depthwise, self.clusters = bits, depthwise, clusters

        def build(self, tensor_shape: Any, name: str, layer: Any) -> dict[str, Any]:
            shape = tuple(tensor_shape)
            kind = "DepthwiseConv2D" if self.depthwise else "Conv2D"
            axes = _axes(shape, kind, self.clusters, self.bits)
            steps = [1 if i in axes else n for i, n in enumerate(shape)]
            constant = tf_keras.initializers.Constant
            found = {
                "log_step": layer.add_weight(f"{name}_log_step", steps, initializer=constant(-5.0)),
                "mask": layer.add_weight(
                    f"{name}_mask", shape, initializer=constant(1.0), trainable=False
                ),
            }
            if self.clusters:
                found["cluster"] = layer.add_weight(
                    f"{name}_cluster",
                    shape,
                    dtype=tf.int32,
                    initializer=constant(0),
                    trainable=False,
                )
            return found

        def __call__(self, inputs: Any, training: Any, weights: Any, **_: Any) -> Any:  # noqa: ARG002
            most = float(levels(self.bits))
            kernel = inputs * weights["mask"]
            if self.clusters:
                kernel = self._shared(kernel, weights)
            step = tf.exp(weights["log_step"])
            value = tf.clip_by_value(kernel / step, -most, most)
            # rounding has no slope: the gradient passes it by (Bengio et al. 2013)
            return (value + tf.stop_gradient(tf.round(value) - value)) * step

        def _shared(self, kernel: Any, weights: Any) -> Any:
            """Each value replaced by the mean of its cluster, so that clusters move as one."""
            places = tf.reshape(weights["cluster"], [-1])
            mask = tf.reshape(weights["mask"], [-1])
            total = tf.math.unsorted_segment_sum(tf.reshape(kernel, [-1]), places, self.clusters)
            count = tf.math.unsorted_segment_sum(mask, places, self.clusters)
            mean = total / tf.maximum(count, 1.0)
            return tf.reshape(tf.gather(mean, places) * mask, tf.shape(kernel))

        def get_config(self) -> dict[str, Any]:
            return {"bits": self.bits, "depthwise": self.depthwise, "clusters": self.clusters}

    class Config(quantize_config.QuantizeConfig):  # type: ignore[misc]
        """Which weight of a layer is rounded; activations are rounded by layers of their own."""

        def __init__(self, attribute: str, bits: int, clusters: int) -> None:
            self.attribute, self.bits, self.clusters = attribute, bits, clusters

        def get_weights_and_quantizers(self, layer: Any) -> Any:
            depthwise = self.attribute == "depthwise_kernel"
            return [(getattr(layer, self.attribute), Kernels(self.bits, depthwise, self.clusters))]

        def set_quantize_weights(self, layer: Any, quantize_weights: Any) -> None:
            setattr(layer, self.attribute, quantize_weights[0])

        def get_activations_and_quantizers(self, layer: Any) -> Any:  # noqa: ARG002
            return []

        def set_quantize_activations(self, layer: Any, quantize_activations: Any) -> None:
            pass

        def get_output_quantizers(self, layer: Any) -> Any:  # noqa: ARG002
            return []

        def get_config(self) -> dict[str, Any]:
            return {"attribute": self.attribute, "bits": self.bits, "clusters": self.clusters}

    return Kernels, Config
