"""A Keras model with fake quantisation: what an integer device will compute, in Keras.

FakeQuantize layers round activations to 8 bits; where they go follows from what onnxruntime runs
on integers. Jacob et al. 2018, "Quantization and Training of Neural Networks for Efficient
Integer-Arithmetic-Only Inference".
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np

from toolkit.glossary import Floats
from toolkit.models.graph import Rebuilding, flat, graph_of, nodes_of

_CONVOLUTIONS = ("Conv1D", "Conv2D", "DepthwiseConv1D", "DepthwiseConv2D")
COMPUTING = (*_CONVOLUTIONS, "Dense")
"""Layers whose kernels become integers."""

_SEPARABLE = {
    "SeparableConv1D": ("DepthwiseConv1D", "Conv1D"),
    "SeparableConv2D": ("DepthwiseConv2D", "Conv2D"),
}
"""Layers that are two in a row, and which two."""

_INTEGER = ("Add", "AveragePooling2D", "Concatenate", "GlobalAveragePooling2D", "Multiply")
"""Layers without kernels that run on integers."""

_PASSING = (
    "Cropping1D",
    "Cropping2D",
    "Dropout",
    "Flatten",
    "GaussianDropout",
    "GaussianNoise",
    "MaxPooling1D",
    "MaxPooling2D",
    "Permute",
    "Reshape",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "ZeroPadding1D",
    "ZeroPadding2D",
)
"""Layers that only move or pick values: what was rounded before them is rounded after them."""

BATCH = 128
"""Rows whose extremes make one sample of a range, as many as a step of training sees."""

STEPS = 255
"""Steps between the ends of the range of an activation of 8 bits."""


@functools.cache
def fake_quantize() -> Any:
    """The Keras layer class FakeQuantize, which Keras then knows by its name."""
    import keras
    import tensorflow as tf

    @keras.saving.register_keras_serializable("toolkit")
    class FakeQuantize(keras.layers.Layer):  # type: ignore[misc]
        """Round to one of 256 even steps from `low` to `high`, of which one is 0."""

        def build(self, input_shape: Any) -> None:  # noqa: ARG002
            # steps that a recurrent layer behind it is not to see stay hidden
            self.supports_masking = True
            # weights: training moves them, and a saved model keeps them
            self.low = self.add_weight(shape=(), initializer="zeros", name="low", trainable=False)
            self.high = self.add_weight(shape=(), initializer="ones", name="high", trainable=False)

        def call(self, x: Any) -> Any:
            return tf.quantization.fake_quant_with_min_max_vars(x, self.low, self.high)

        def compute_output_shape(self, input_shape: Any) -> Any:
            return input_shape

    return FakeQuantize


@dataclass(frozen=True, eq=False)
class Prepared:
    """A flat Keras model with FakeQuantize layers. skipped: layer -> why it stays float."""

    model: Any
    skipped: dict[str, str]


def prepared(model: Any, rows: Floats) -> Prepared:
    """Give a copy with FakeQuantize layers, whose ranges `rows` f32 (n, ...) set.

    Nested models are flattened, separable convolutions are split in two, and activations that
    merge with no integer kernel stand alone. The weights are those of `model`.
    """
    parts = Rebuilding()
    split = parts.model(flat(model), lambda *given: _split(parts, *given))
    look = _Look(split)
    places = look.places()
    ranges = {id(t): found for t, found in zip(places, _ranges(split, places, rows), strict=True)}
    building = Rebuilding()

    def rounded(old: Any, new: Any) -> Any:
        if id(old) not in ranges:
            return new
        make = fake_quantize()
        return building.fresh(
            id(old),
            "quantize",
            lambda name: make(name=name, dtype="float32"),
            list(ranges[id(old)]),
        )(new)

    def call(node: Any, args: Any, kwargs: Any) -> Any:
        out = building.again(node, args, kwargs)
        return rounded(node.outputs[0], out) if len(node.outputs) == 1 else out

    return Prepared(building.model(split, call, enter=rounded), look.skipped())


def folded(model: Any, scales: dict[str, Floats]) -> Any:
    """Fold BatchNormalization into the kernels before it, and put biases on the integer grid.

    model: of `prepared`, trained. scales: layer -> the step of its kernel in each output channel,
    f32 (channels,). The kernel stays a multiple of its steps. An integer device adds the bias in
    steps of input times kernel; rounded to these here, both compute the same. So a layer that is
    called on inputs of several steps becomes one for each, with the same kernel.
    """
    look = _Look(model)
    building = Rebuilding()

    def call(node: Any, args: Any, kwargs: Any) -> Any:
        layer, kind = node.operation, type(node.operation).__name__
        if kind == "BatchNormalization" and look.norm_after(look.source(node)) is node:
            return args[0]
        if kind not in COMPUTING or layer.name not in scales:
            return building.again(node, args, kwargs)
        kernel = layer.kernel.numpy()
        bias = layer.bias.numpy() if layer.use_bias else np.zeros(len(scales[layer.name]), "f")
        step, factor = scales[layer.name], np.ones(len(bias), np.float32)
        norm = look.norm_after(node)
        if norm is not None:
            factor, shift = _affine(norm.operation)
            bias = bias * factor + shift
        ends = kernel.shape[-2:] if "Depthwise" in kind else kernel.shape[-1:]
        whole = np.round(kernel / step.reshape(ends)) * np.sign(factor).reshape(ends)
        step = _short(step * np.abs(factor))
        kernel = (whole * step.reshape(ends)).astype(np.float32)
        given = look.step_before(node)
        if given is not None:
            grid = np.where(step > 0, given * step, 1.0)
            bias = np.where(step > 0, np.round(bias.astype(np.float64) / grid) * grid, bias)
        with_bias = layer.use_bias or norm is not None
        values = [kernel, bias.astype(np.float32)] if with_bias else [kernel]
        step_of_bias = given if with_bias else None
        new = building.layer(layer, values, per=step_of_bias, use_bias=with_bias)
        return new(*args, **kwargs)

    return building.model(model, call)


class _Look:
    """Who makes and who reads each tensor of a flat graph."""

    def __init__(self, model: Any) -> None:
        import keras

        graph = graph_of(model)
        self.nodes = nodes_of(graph)
        self.inputs = list(graph._inputs)
        self.ends = {id(t) for t in keras.tree.flatten(graph._outputs_struct)}
        self.readers: dict[int, list[Any]] = {}
        self.makers: dict[int, Any] = {}
        for node in self.nodes:
            for t in node.arguments.keras_tensors:
                self.readers.setdefault(id(t), []).append(node)
            for t in node.outputs:
                self.makers[id(t)] = node

    def places(self) -> list[Any]:
        """The tensors that a device holds as 8 bits."""
        found = [t for t in self.inputs if self._wanted(t)]
        return found + [n.outputs[0] for n in self.nodes if self._rounded(n)]

    def skipped(self) -> dict[str, str]:
        """Layers with weights of their own that stay float, and why."""
        found = {}
        for node in self.nodes:
            kind = type(node.operation).__name__
            merged = self.norm_after(self.source(node)) is node
            if kind in COMPUTING or merged or not getattr(node.operation, "weights", ()):
                continue
            if all("seed" in w.path for w in node.operation.weights):
                continue
            alone = kind == "BatchNormalization"
            why = "no kernel stands right before it" if alone else f"no rule for {kind}"
            found[node.operation.name] = f"{why}: it stays float"
        return found

    def source(self, node: Any) -> Any:
        """The node that makes the first input of `node`, or None."""
        given = node.arguments.keras_tensors
        return self.makers.get(id(given[0])) if given else None

    def norm_after(self, node: Any) -> Any:
        """The BatchNormalization that alone reads a computing node, or None."""
        if node is None or type(node.operation).__name__ not in COMPUTING:
            return None
        if len(node.operation._inbound_nodes) > 1:
            return None  # shared: it cannot take the statistics of one place
        if getattr(node.operation.activation, "__name__", "") != "linear":
            return None  # what is clipped first cannot be scaled first
        reader = self._only_reader(node)
        named = reader is not None and type(reader.operation).__name__ == "BatchNormalization"
        last = named and reader.operation.axis in (-1, len(reader.outputs[0].shape) - 1)
        return reader if last else None

    def step_before(self, node: Any) -> float | None:
        """The step of the rounded tensor that a node reads, or None when it reads another."""
        maker = self.source(node)
        while maker is not None and type(maker.operation).__name__ in _PASSING:
            maker = self.source(maker)
        if maker is None or type(maker.operation).__name__ != "FakeQuantize":
            return None
        low, high = maker.operation.low.numpy(), maker.operation.high.numpy()
        return float(np.float32(high) - np.float32(low)) / STEPS

    def _only_reader(self, node: Any) -> Any:
        t = node.outputs[0]
        readers = self.readers.get(id(t), [])
        return readers[0] if len(readers) == 1 and id(t) not in self.ends else None

    def _wanted(self, tensor: Any) -> bool:
        """Whether what runs on integers reads it, at once or through layers that move values."""
        for node in self.readers.get(id(tensor), []):
            kind = type(node.operation).__name__
            if kind in COMPUTING or _runs_on_integers(node):
                return True
            if kind in _PASSING and self._wanted(node.outputs[0]):
                return True
        return False

    def _rounded(self, node: Any) -> bool:
        if len(node.outputs) != 1 or type(node.operation).__name__ in _PASSING:
            return False
        if id(node.outputs[0]) in self.ends:
            return False
        reader = self._only_reader(node)
        if self.norm_after(node) is not None:
            return False
        if reader is not None and _clips(reader) and self._kernel_of(node):
            return False  # the activation merges, and is rounded in its place
        return self._wanted(node.outputs[0]) or self._kernel_of(node) in _CONVOLUTIONS

    def _kernel_of(self, node: Any) -> str:
        """The kind of layer whose integer kernel computes this node, or nothing."""
        kind = type(node.operation).__name__
        if kind in COMPUTING or _runs_on_integers(node):
            return kind
        before = self.source(node)
        if self.norm_after(before) is node:
            return type(before.operation).__name__
        if _clips(node) and before is not None and self._only_reader(before) is node:
            return "" if _clips(before) else self._kernel_of(before)
        return ""


def _runs_on_integers(node: Any) -> bool:
    """Whether it is a layer or operation of `_INTEGER` over tensors alone."""
    if type(node.operation).__name__ not in _INTEGER:
        return False
    given = node.arguments
    values = (*given.args, *(v for k, v in given.kwargs.items() if k not in ("mask", "training")))
    flat = [v for a in values for v in (a if isinstance(a, list | tuple) else [a])]
    return len(flat) == len(given.keras_tensors)


def _clips(node: Any) -> bool:
    """Whether it is a ReLU, whose place the range of what follows can take."""
    layer, kind = node.operation, type(node.operation).__name__
    if kind == "ReLU":
        return float(layer.negative_slope or 0) == 0.0 and float(layer.threshold or 0) == 0.0
    name = getattr(getattr(layer, "activation", None), "__name__", "")
    return kind in ("Relu", "Relu6") or (kind == "Activation" and name in ("relu", "relu6"))


def _split(building: Rebuilding, node: Any, args: Any, kwargs: Any) -> Any:
    """The node with what integers cannot do at once written as two layers."""
    import keras

    layer, kind = node.operation, type(node.operation).__name__
    if kind not in (*COMPUTING, *_SEPARABLE):
        return building.again(node, args, kwargs)
    act = layer.activation
    merges = getattr(act, "__name__", "") in ("linear", "relu", "relu6")
    if kind in _SEPARABLE:
        (x,) = args
        x, values = _depthwise(building, layer, x), [w.numpy() for w in layer.weights]
        out = building.fresh(
            (id(layer), "pointwise"),
            f"{layer.name}_pointwise",
            lambda name: getattr(keras.layers, _SEPARABLE[kind][1])(
                layer.filters,
                1,
                use_bias=layer.use_bias,
                activation=act if merges else None,
                data_format=layer.data_format,
                name=name,
            ),
            values[1:],
        )(x)
    else:
        alone: dict[str, Any] = {} if merges else {"activation": "linear"}
        # an activation that is a layer has its weights among those of the whole
        others = {id(w) for w in getattr(act, "weights", ())}
        values = [w.numpy() for w in layer.weights if id(w) not in others]
        out = building.layer(layer, values, **alone)(*args, **kwargs)
    if merges:
        return out
    if isinstance(act, keras.layers.Layer):
        return building.layer(act)(out)
    return building.fresh(
        (id(layer), "activation"),
        f"{layer.name}_activation",
        lambda name: keras.layers.Activation(act, name=name),
        [],
    )(out)


def _depthwise(building: Rebuilding, layer: Any, x: Any) -> Any:
    import keras

    return building.fresh(
        (id(layer), "depthwise"),
        f"{layer.name}_depthwise",
        lambda name: getattr(keras.layers, _SEPARABLE[type(layer).__name__][0])(
            layer.kernel_size,
            layer.strides,
            layer.padding,
            layer.depth_multiplier,
            data_format=layer.data_format,
            dilation_rate=layer.dilation_rate,
            use_bias=False,
            name=name,
        ),
        [layer.depthwise_kernel.numpy()],
    )(x)


def _ranges(model: Any, places: list[Any], rows: Floats) -> list[tuple[float, float]]:
    """For each tensor its lowest and highest value, averaged over batches, 0 among them."""
    import keras

    if not places:
        return []
    inner = keras.Model(model.inputs[0], places)
    found = []
    for start in range(0, len(rows), BATCH):
        answers = inner(rows[start : start + BATCH], training=False)
        answers = answers if isinstance(answers, list) else [answers]
        found.append([(float(np.min(a)), float(np.max(a))) for a in answers])
    means = np.mean(found, axis=0)
    return [zero_on_a_step(min(low, 0.0), max(high, low + 1e-3, 1e-3)) for low, high in means]


def zero_on_a_step(low: float, high: float) -> tuple[float, float]:
    """A range of 255 steps, widened by less than one so that 0 is one of them; low <= 0 < high.

    Moved instead of widened, pixels scaled to -1..1 would all lie halfway between two steps.

    >>> low, high = zero_on_a_step(-1.0, 1.0)
    >>> round(low, 6), high, round(-low / (high - low) * 255, 6)
    (-1.007874, 1.0, 128.0)
    """
    if low == 0:
        return low, high
    below = min(max(round(-255 * low / (high - low)), 1), 254)
    step = max(-low / below, high / (255 - below))
    return -step * below, step * (255 - below)


def _short(steps: Floats) -> Floats:
    """Steps that 16 bits hold, where float16 has all its digits; they take half the bytes."""
    half = steps.astype(np.float16).astype(np.float32)
    return np.where(steps >= float(np.finfo(np.float16).smallest_normal), half, steps)


def _affine(norm: Any) -> tuple[Floats, Floats]:
    """A trained BatchNormalization as x * factor + shift, f32 (channels,) each."""
    variance = norm.moving_variance.numpy().astype(np.float64)
    factor = 1 / np.sqrt(variance + norm.epsilon)
    if norm.scale:
        factor = factor * norm.gamma.numpy()
    shift = -norm.moving_mean.numpy() * factor
    if norm.center:
        shift = shift + norm.beta.numpy()
    return factor.astype(np.float32), shift.astype(np.float32)
