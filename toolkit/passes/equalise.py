"""Channels brought to like ranges between layers, so that one step a tensor suits them all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from toolkit.errors import RecipeError
from toolkit.glossary import Doubles, Fit, Stage, Step
from toolkit.onnx_graph import Graph
from toolkit.operators import LEARNT
from toolkit.passes import ranges
from toolkit.passes.base import Pass, positive
from toolkit.passes.dynamic_int8 import prepared
from toolkit.shapes import in_shape
from toolkit.windows import depthwise, settings

_PASSING = (
    "AveragePool", "GlobalAveragePool", "Identity", "LeakyRelu", "MaxPool", "Pad", "Relu",
)  # fmt: skip
"""Operators that give a times as much of what is a times as large, channel by channel."""
_FLATTENING = ("Flatten", "Reshape", "Squeeze")
_MOST = 1e3
"""A channel is scaled by no more: it holds next to nothing."""


@dataclass(frozen=True, kw_only=True)
class Equalise(Pass):
    """Divide the channels that one layer makes by what the next multiplies them with again.

    Between two layers with nothing but ReLU, pooling and padding of zeros any positive factor a
    channel can be moved (Nagel et al. 2019). Factors are SmoothQuant's (Xiao et al. 2023): the
    largest activation to the power of `share`, over the largest weight that reads it to the power
    of 1 - share. A depthwise layer has a step a channel of its own, so there the activations alone
    decide. The float model computes the same but for the order of rounding. rows: calibration
    rows used.
    """

    stage: ClassVar[Stage] = "onnx"
    rank: ClassVar[int] = -2
    share: float = 0.5
    rows: int = 200

    def __post_init__(self) -> None:
        """Refuse settings that cannot work."""
        positive(self.name, rows=self.rows)
        if not 0 <= self.share <= 1:
            raise RecipeError(f"{self.name} has share {self.share}", "from 0 to 1", "0.5 is usual")

    def __call__(self, model: Any, fit: Fit, seed: int = 0) -> Step:  # noqa: ARG002
        """Give the model with moved factors; changed: how many tensors, skipped: which not, why."""
        ready = prepared(model)
        work = Graph(ready)
        dims = list(ready.graph.input[0].type.tensor_type.shape.dim)[1:]
        x = in_shape(fit.ranging(self.rows).x[:], tuple(d.dim_value or None for d in dims))
        pairs, skipped = _pairs(work)
        peaks = _peaks(ready, [tensor for _, tensor, _ in pairs], x)
        for maker, tensor, readers in pairs:
            factors = _factors(work, readers, peaks[tensor], self.share)
            _scaled(work, maker, 1 / factors)
            for reader in readers:
                axis = _axis(work, reader)
                _multiplied(work, reader, 1, axis, factors)
        return Step(work.finished(), {"changed": len(pairs), "skipped": skipped})


def _pairs(work: Graph) -> tuple[list[tuple[Any, str, list[Any]]], dict[str, str]]:
    """Each layer whose channels can be scaled, the tensor that is read, and who reads it."""
    found, skipped = [], {}
    for node in work.nodes:
        if node.op_type not in ("Conv", "Gemm") or work.value(node.input[1]) is None:
            continue
        tensor, flat = node.output[0], False
        reader = work.only_reader(tensor)
        while reader is not None and _passes(work, reader):
            flat |= reader.op_type in _FLATTENING
            tensor = reader.output[0]
            reader = work.only_reader(tensor)
        readers = work.readers(tensor)
        channels = _outputs(work, node)
        if tensor in work.ends or not readers:
            skipped[node.output[0]] = "it is what the model gives"
        elif not all(_reads(work, r, tensor, channels) for r in readers):
            kinds = sorted({r.op_type for r in readers})
            skipped[node.output[0]] = f"read by {', '.join(kinds)}, where factors do not pass"
        else:
            found.append((node, tensor, readers))
    return found, skipped


def _passes(work: Graph, node: Any) -> bool:
    if node.op_type == "Pad":
        fill = work.value(node.input[2]) if len(node.input) > 2 and node.input[2] else None
        zero = fill is None or not fill.any()
        return zero and settings(node).get("mode", b"constant") == b"constant"
    return node.op_type in (*_PASSING, *_FLATTENING)


def _outputs(work: Graph, node: Any) -> int:
    weights = work.value(node.input[1])
    turned = node.op_type == "Conv" or settings(node).get("transB", 0)
    return int(weights.shape[0 if turned else 1])  # type: ignore[union-attr]


def _reads(work: Graph, node: Any, tensor: str, channels: int) -> bool:
    """Whether a node is a layer whose weights can take up one factor a channel of its input."""
    if node.op_type not in LEARNT or node.op_type == "ConvTranspose" or node.input[0] != tensor:
        return False
    weights = work.value(node.input[1])
    if weights is None or weights.ndim < 2:
        return False
    groups = settings(node).get("group", 1) if node.op_type == "Conv" else 1
    whole = groups == 1 or depthwise(node, weights)
    return bool(whole and weights.shape[_axis(work, node)] == channels)


def _axis(work: Graph, node: Any) -> int:
    """The axis of the weights of a layer along which the channels of its input lie."""
    weights = work.value(node.input[1])
    if node.op_type == "Conv":
        return 0 if depthwise(node, np.asarray(weights)) else 1
    return 1 if node.op_type == "Gemm" and settings(node).get("transB", 0) else 0


def _peaks(ready: Any, tensors: list[str], x: Any) -> dict[str, Doubles]:
    """The largest size of each channel of each tensor on rows x; channels are the second axis."""
    peaks: dict[str, Any] = {}
    for made in ranges.values(ready, tensors, x) if tensors else ():
        for tensor, values in made.items():
            sizes = np.abs(values).max(axis=(0, *range(2, values.ndim))).astype(np.float64)
            peaks[tensor] = np.maximum(peaks.get(tensor, 0.0), sizes)
    return peaks


def _factors(work: Graph, readers: list[Any], peaks: Doubles, share: float) -> Doubles:
    """What each channel is divided by; 1 for one that is never anything or never read."""
    largest: Any = 0.0
    alone = True
    for reader in readers:
        weights = np.abs(np.asarray(work.value(reader.input[1]), np.float64))
        axis = _axis(work, reader)
        others = tuple(i for i in range(weights.ndim) if i != axis)
        largest = np.maximum(largest, weights.max(axis=others))
        alone &= depthwise(reader, weights)
    power = 1.0 if alone else share
    used = (peaks > 0) & (largest > 0)
    factors = np.ones_like(peaks)
    factors[used] = peaks[used] ** power / largest[used] ** (1 - power)
    if used.any():
        factors[used] /= np.exp(np.log(factors[used]).mean())
    return np.asarray(np.clip(factors, 1 / _MOST, _MOST))


def _scaled(work: Graph, node: Any, factors: Doubles) -> None:
    """Multiply what a layer makes, channel by channel."""
    turned = node.op_type == "Conv" or settings(node).get("transB", 0)
    _multiplied(work, node, 1, 0 if turned else 1, factors)
    if len(node.input) > 2 and node.input[2]:
        bias = np.asarray(work.value(node.input[2]))
        _multiplied(work, node, 2, bias.ndim - 1, factors)


def _multiplied(work: Graph, node: Any, place: int, axis: int, factors: Doubles) -> None:
    held: NDArray[Any] = np.asarray(work.value(node.input[place]))
    shape = [1] * held.ndim
    shape[axis] = -1
    changed = (held.astype(np.float64) * factors.reshape(shape)).astype(held.dtype)
    node.input[place] = work.constant(changed, "equalised")
