"""What each kind of layer does with channels; to add a kind: a rule, and a line in `LAYERS`.

Channels have numbers. A tensor (n, ..., c) is known by the numbers of its last axis, i64 (c,): a
sum ties the numbers of its terms, a concatenation strings them together, Flatten repeats them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from toolkit.glossary import Ints
from toolkit.models.graph import KNOWN
from toolkit.models.ties import NoRule, Ties, Traced

ELEMENTWISE = {
    *("celu", "elu", "exponential", "gelu", "hard_sigmoid", "hard_silu", "hard_tanh"),
    *("leaky_relu", "linear", "mish", "relu", "relu6", "selu", "sigmoid", "silu"),
    *("softplus", "softsign", "tanh"),
}
"""Activations that look at one value at a time; softmax does not."""


Rule = Callable[[Any, Ties, list[Ints]], Traced]
"""(node of the graph, ties, channels of each incoming tensor) -> what the layer does."""


def _same(node: Any, ties: Ties, given: list[Ints]) -> Traced:  # noqa: ARG001
    return Traced(given[0])


def _activation(node: Any, ties: Ties, given: list[Ints]) -> Traced:  # noqa: ARG001
    if mixing := _mixing(node.operation):
        raise NoRule(f"its activation {mixing} mixes channels")
    return Traced(given[0])


def _mixing(layer: Any) -> str:
    """The name of an activation that is not known to take values one by one."""
    name = str(getattr(layer.activation, "__name__", layer.activation))
    return "" if layer.activation is None or name in ELEMENTWISE else name


def _made(layer: Any, ties: Ties, count: int) -> Ints:
    out = ties.new(count)
    if mixing := _mixing(layer):
        ties.keep(out, f"the activation {mixing} of {layer.name} mixes them")
    return out


def _kernel(width: str) -> Rule:
    """Dense and convolutions: kernel (..., in, out), bias (out,)."""

    def rule(node: Any, ties: Ties, given: list[Ints]) -> Traced:
        layer = node.operation
        _plain(layer)
        rank = len(layer.kernel.shape)
        out = _made(layer, ties, getattr(layer, width))
        weights = {"kernel": {rank - 2: given[0], rank - 1: out}, "bias": {0: out}}
        return Traced(out, weights, "kernel", width)

    return rule


def _depthwise(node: Any, ties: Ties, given: list[Ints]) -> Traced:
    """Kernel (..., in, multiplier): output i * multiplier + j comes of input i."""
    layer = node.operation
    _plain(layer)
    out = np.repeat(given[0], layer.depth_multiplier)
    if mixing := _mixing(layer):
        ties.keep(out, f"the activation {mixing} of {layer.name} mixes them")
    rank = len(layer.kernel.shape)
    return Traced(out, {"kernel": {rank - 2: given[0]}, "bias": {0: out}})


def _separable(node: Any, ties: Ties, given: list[Ints]) -> Traced:
    layer = node.operation
    _plain(layer)
    rank = len(layer.pointwise_kernel.shape)
    between = np.repeat(given[0], layer.depth_multiplier)
    out = _made(layer, ties, layer.filters)
    weights = {
        "depthwise_kernel": {rank - 2: given[0]},
        "pointwise_kernel": {rank - 2: between, rank - 1: out},
        "bias": {0: out},
    }
    return Traced(out, weights, "pointwise_kernel", "filters")


def _plain(layer: Any) -> None:
    """Refuse what is computed in another way than these rules say."""
    if getattr(layer, "data_format", "channels_last") != "channels_last":
        raise NoRule("its channels come first")
    if getattr(layer, "groups", 1) != 1:
        raise NoRule("it convolves in groups")


def _embedding(node: Any, ties: Ties, given: list[Ints]) -> Traced:  # noqa: ARG001
    out = ties.new(node.operation.output_dim)
    return Traced(out, {"embeddings": {1: out}}, width="output_dim")


def _normalised(node: Any, ties: Ties, given: list[Ints]) -> Traced:  # noqa: ARG001
    layer, rank = node.operation, len(node.outputs[0].shape)
    if layer.axis % rank != rank - 1:
        raise NoRule("it normalises another axis than the channels")
    own = ("gamma", "beta", "moving_mean", "moving_variance")
    return Traced(given[0], {name: {0: given[0]} for name in own})


def _prelu(node: Any, ties: Ties, given: list[Ints]) -> Traced:  # noqa: ARG001
    shape = node.operation.alpha.shape
    own = {len(shape) - 1: given[0]} if shape[-1] == len(given[0]) else {}
    return Traced(given[0], {"alpha": own})


def _pooled(node: Any, ties: Ties, given: list[Ints]) -> Traced:  # noqa: ARG001
    _plain(node.operation)
    return Traced(given[0])


def _rescaled(node: Any, ties: Ties, given: list[Ints]) -> Traced:  # noqa: ARG001
    if np.size(node.operation.scale) > 1 or np.size(node.operation.offset) > 1:
        raise NoRule("it has a scale for each channel")
    return Traced(given[0])


def _fixed(node: Any, ties: Ties, given: list[Ints]) -> Traced:
    """Normalization: its statistics are settings, so the channels stay, but go on being known."""
    ties.keep(given[0], f"{node.operation.name} knows their statistics")
    return Traced(given[0], {"adapt_mean": {}, "adapt_variance": {}, "count": {}})


def _permuted(node: Any, ties: Ties, given: list[Ints]) -> Traced:  # noqa: ARG001
    if node.operation.dims[-1] != len(node.operation.dims):
        raise NoRule("it moves the channels to another axis")
    return Traced(given[0])


def _reshaped(node: Any, ties: Ties, given: list[Ints]) -> Traced:  # noqa: ARG001
    """Flatten and Reshape: whole rows of channels are strung together, channels_last."""
    _plain(node.operation)
    before, after = len(given[0]), node.outputs[0].shape[-1]
    if not before or not after or after % before:
        raise NoRule("it splits the axis of channels")
    width = "target_shape" if hasattr(node.operation, "target_shape") else ""
    return Traced(np.tile(given[0], after // before), width=width)


def _merged(node: Any, ties: Ties, given: list[Ints]) -> Traced:
    """Sums, products, maxima: partners go together; one channel for all stays."""
    if len(given) < 2 and not all(np.ndim(v) == 0 for v in _constants(node)):
        raise NoRule("it has a constant for each channel")
    wide = max(given, key=len)
    for one in given:
        if len(one) == len(wide):
            ties.tie(one, wide)
        else:
            ties.keep(one, f"{node.operation.name} spreads it over all channels")
    return Traced(wide)


def _constants(node: Any) -> list[Any]:
    import keras

    every = keras.tree.flatten([node.arguments.args, node.arguments.kwargs])
    return [v for v in every if v is not None and not isinstance(v, keras.KerasTensor)]


def _concatenated(node: Any, ties: Ties, given: list[Ints]) -> Traced:
    rank = len(node.outputs[0].shape)
    if node.operation.axis % rank == rank - 1:
        return Traced(np.concatenate(given))
    return _merged(node, ties, given)


def _reduced(node: Any, ties: Ties, given: list[Ints]) -> Traced:  # noqa: ARG001
    """keras.ops.mean and max over places."""
    rank, axis = len(node.input_tensors[0].shape), node.operation.axis
    axes = [axis] if isinstance(axis, int) else axis
    if axes is None or any(a % rank in (0, rank - 1) for a in axes):
        raise NoRule("it reduces channels")
    return Traced(given[0])


_KINDS: tuple[tuple[Rule, tuple[str, ...]], ...] = (
    (_kernel("filters"), ("Conv1D", "Conv2D")),
    (_kernel("units"), ("Dense",)),
    (_depthwise, ("DepthwiseConv1D", "DepthwiseConv2D")),
    (_separable, ("SeparableConv1D", "SeparableConv2D")),
    (_embedding, ("Embedding",)),
    (_normalised, ("BatchNormalization",)),
    (_prelu, ("PReLU",)),
    (_activation, ("Activation",)),
    (_rescaled, ("Rescaling",)),
    (_fixed, ("Normalization",)),
    (_permuted, ("Permute",)),
    (_reshaped, ("Flatten", "Reshape")),
    (_merged, ("Add", "Average", "Maximum", "Minimum", "Multiply", "Subtract")),
    (_concatenated, ("Concatenate",)),
    (
        _pooled,
        (
            *("AveragePooling1D", "AveragePooling2D", "MaxPooling1D", "MaxPooling2D"),
            *("GlobalAveragePooling1D", "GlobalAveragePooling2D"),
            *("GlobalMaxPooling1D", "GlobalMaxPooling2D"),
            *("Cropping1D", "Cropping2D", "ZeroPadding1D", "ZeroPadding2D"),
            *("SpatialDropout1D", "SpatialDropout2D", "UpSampling1D", "UpSampling2D"),
        ),
    ),
    (
        _same,
        (
            *("ActivityRegularization", "AlphaDropout", "Dropout", "GaussianDropout"),
            *("ELU", "GaussianNoise", "Identity", "LeakyReLU", "ReLU", "RepeatVector"),
        ),
    ),
)
LAYERS: dict[str, Rule] = {kind: rule for rule, kinds in _KINDS for kind in kinds}
"""Layer class of Keras -> its rule; channels at any other layer stay."""

_ONE_BY_ONE = (
    *("Abs", "Elu", "Gelu", "HardSigmoid", "HardSilu", "LeakyRelu", "Relu", "Relu6", "Selu"),
    *("Sigmoid", "Silu", "Softplus", "Square", "Tanh"),
)
_PAIRED = ("Add", "Divide", "Maximum", "Minimum", "Multiply", "Subtract", "TrueDivide")
OPERATIONS: dict[str, Rule] = {
    **dict.fromkeys(_ONE_BY_ONE, _same),
    **dict.fromkeys(_PAIRED, _merged),
    "Concatenate": _concatenated,
    "Max": _reduced,
    "Mean": _reduced,
}
"""The same for keras.ops between layers."""


def followed(node: Any, ties: Ties, given: list[Ints]) -> Traced:
    """What the layer of `node` does with the channels it is given.

    Raises NoRule with the reason when that is not known.
    """
    import keras

    operation = node.operation
    kind, own = type(operation).__name__, type(operation).__module__.startswith(KNOWN)
    layer = isinstance(operation, keras.layers.Layer)
    rule = (LAYERS if layer else OPERATIONS).get(kind) if own else None
    if rule is None or len(node.outputs) != 1:
        raise NoRule(f"{kind} has no rule")
    traced = rule(node, ties, given)
    weights = {w: a for w, a in traced.weights.items() if getattr(operation, w, None) is not None}
    if layer:
        known = {id(getattr(operation, name)) for name in weights}
        strange = [w for w in operation.weights if id(w) not in known and "seed" not in w.path]
        if strange:
            raise NoRule(f"its weight {strange[0].name} has no rule")
    return Traced(traced.out, weights, traced.reads, traced.width)
