"""Weights put on the grid of their integers so that each layer's output changes least."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from toolkit.glossary import Doubles, Fit, Floats, Stage, Step
from toolkit.onnx_graph import Graph
from toolkit.operators import LEARNT, Operator, operators
from toolkit.passes import ranges
from toolkit.passes.base import Pass, positive
from toolkit.passes.dynamic_int8 import prepared, seven_or_eight
from toolkit.passes.levelling import levelled
from toolkit.passes.products import Gathered, Products
from toolkit.progress import tell
from toolkit.shapes import in_shape, shape_of
from toolkit.windows import matrices, restored, rows

_WINDOWS = 4_000
"""Windows of a batch that are looked at: more hardly change the sums and take time."""
_SWEEPS = 20
_NEAR = 1e-6
LEVELS = {7: 64, 8: 127}
"""Bits -> the largest integer of a weight, as onnxruntime has it."""
_DAMPING = 0.01
"""Share of the mean square of an input that is added: rows that were not seen are noisier."""


@dataclass(frozen=True, kw_only=True)
class RoundWeights(Pass):
    """Round the weights of convolutions and dense layers up or down, whichever errs less together.

    The problem is AdaRound's (Nagel et al. 2020): of the two integers beside each weight choose so
    that the output of the layer changes least over calibration rows. It is solved one weight after
    the other, which from nearest rounding on can only get better (coordinate descent, as in
    QuantEase, Behdin et al. 2023). What the mean of an output still moves is taken off its bias
    (Nagel et al. 2019). The weights stay float32, on the grid that static_int8 of the same `bits`
    and `per_channel` reads off them. rows: calibration rows used. keep_float: layers whose weights
    stay as they are, by the names that static_int8 takes.
    """

    stage: ClassVar[Stage] = "onnx"
    rank: ClassVar[int] = -1
    bits: int = 7
    per_channel: bool = True
    rows: int = 200
    bias: bool = True
    keep_float: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse settings that do not exist."""
        positive(self.name, rows=self.rows)
        seven_or_eight(self.name, self.bits)

    def __call__(self, model: Any, fit: Fit, seed: int = 0) -> Step:  # noqa: ARG002
        """Give the model with rounded weights; facts hold what is left of each layer's error.

        `error` is the squared error of a layer's output beside that of rounding to the nearest.
        """
        ready = prepared(model)
        x = in_shape(fit.ranging(self.rows).x[:], shape_of(ready))
        ready = levelled(ready, x)
        work = Graph(ready)
        layers = [o for o in operators(ready) if o.kind in LEARNT and o.kind != "ConvTranspose"]
        layers, skipped = of_floats(work, layers)
        for layer in [o for o in layers if {o.makes, o.node.name} & {*self.keep_float}]:
            skipped[layer.makes] = "it is to stay float"
            layers.remove(layer)
        read = gathered(ready, work, layers, x)
        left: dict[str, float] = {}
        for done, layer in enumerate(layers):
            tell("round weights", done, len(layers))
            if layer.makes in left:
                continue
            node = work.maker(layer.makes)
            inputs = read[layer.makes]
            calls = [o for o in layers if read[o.makes] is inputs]
            old = np.asarray(layer.weights, np.float64)
            weights = matrices(node, old)
            step = steps(weights, self.bits, per_channel=self.per_channel)
            whole, error = rounded(weights / step, inputs.products())
            moved = whole * step - weights
            new = restored(node, whole * step, old.shape).astype(np.float32)
            kernel, shifted = work.constant(new, "rounded"), None
            if self.bias and len(node.input) > 2 and node.input[2]:
                shift = np.einsum("gk,gkn->gn", inputs.means(), moved).reshape(-1)
                bias = work.value(node.input[2])
                if bias is not None and bias.size == shift.size:
                    fixed = (bias - shift.reshape(bias.shape)).astype(np.float32)
                    shifted = work.constant(fixed, "rounded_bias")
            for call in calls:
                its = work.maker(call.makes)
                its.input[1] = kernel
                if shifted is not None:
                    its.input[2] = shifted
                left[call.makes] = round(error, 4)
        tell("round weights", len(layers), len(layers))
        made = work.finished()
        return Step(made, {"changed": len(left), "skipped": skipped, "error": left})


def parameters(work: Graph, layer: Operator) -> tuple[Any, ...]:
    """What a layer has learnt, by its numbers: the same for each call of one layer."""
    node = work.maker(layer.makes)
    held = [work.value(name) for name in node.input[1:]]
    return (str(node.op_type), *(None if v is None else v.tobytes() for v in held))


def of_floats(work: Graph, layers: list[Operator]) -> tuple[list[Operator], dict[str, str]]:
    """The layers whose weights the graph holds as matrices or kernels of floats, and the others."""
    kept, skipped = [], {}
    for layer in layers:
        node = work.maker(layer.makes)
        weights = work.value(node.input[1]) if node.op_type in LEARNT else None
        if weights is None or weights.dtype.kind != "f":
            skipped[layer.makes] = "its weights are rounded already"
        elif layer.kind != "Conv" and weights.ndim != 2:
            skipped[layer.makes] = f"its weights have {weights.ndim} axes"
        else:
            kept.append(layer)
    return kept, skipped


def steps(weights: Doubles, bits: int, *, per_channel: bool) -> Doubles:
    """The step of each output, (groups, 1, n), as onnxruntime's symmetric integers have it."""
    peaks = np.abs(weights).max(axis=1, keepdims=True)
    if not per_channel:
        peaks = np.full_like(peaks, peaks.max())
    return np.asarray(np.where(peaks > 0, peaks, 1) / LEVELS[bits])


def rounded(
    weights: Doubles,
    products: Products,
    *,
    step: Doubles | float = 1.0,
    ends: tuple[float, float] = (-np.inf, np.inf),
) -> tuple[Doubles, float]:
    """Whole numbers beside the weights, and their error as a share of nearest rounding's.

    weights: (groups, k, n), in steps. products: of its inputs. step: (groups, k, n), where not
    one step serves a whole output. ends: the lowest and the highest number there is.

    >>> whole, left = rounded(np.array([[[0.4], [0.4]]]), Products(np.ones((1, 2, 2))))
    >>> whole.ravel().tolist(), round(left, 2)
    ([1.0, 0.0], 0.07)
    """
    k = weights.shape[1]
    inner = products.damped(_DAMPING * products.diagonal().sum(axis=1) / k)
    # the largest weight is a whole number of steps, whatever a quotient of floats says
    low = np.clip(np.floor(weights + _NEAR), *ends)
    high = np.clip(np.ceil(weights - _NEAR), *ends)
    step = np.broadcast_to(step, weights.shape)
    whole = np.clip(np.rint(weights), *ends)
    strength = np.maximum(inner.diagonal(), 1e-30)
    before = inner.of(step * (whole - weights))
    inner.start(step * (whole - weights))
    for _ in range(_SWEEPS):
        moves = 0
        for at in range(k):
            wanted = whole[:, at] - inner.pull(at) / (strength[:, at, None] * step[:, at])
            new = np.clip(np.rint(wanted), low[:, at], high[:, at])
            change = new - whole[:, at]
            if change.any():
                moves += int(np.count_nonzero(change))
                whole[:, at] = new
                inner.move(at, step[:, at] * change)
        if not moves:
            break
    after = inner.of(step * (whole - weights))
    return whole, after / before if before > 0 else 1.0


def gathered(ready: Any, work: Graph, layers: list[Operator], x: Floats) -> dict[str, Gathered]:
    """What each layer reads when the net is asked rows x, by the name of what it makes.

    A layer that is called several times has one kernel, for all that goes in: the calls share it.
    """
    rng = np.random.default_rng(0)
    by_kernel: dict[Any, Gathered] = {}
    found = {o.makes: by_kernel.setdefault(parameters(work, o), Gathered()) for o in layers}
    tensors = list(dict.fromkeys(layer.node.input[0] for layer in layers))
    for values in ranges.values(ready, tensors, x):
        for layer in layers:
            given = values[layer.node.input[0]]
            seen = rows(layer.node, given, np.shape(layer.weights))  # type: ignore[arg-type]
            if seen.shape[1] > _WINDOWS:
                seen = seen[:, rng.choice(seen.shape[1], _WINDOWS, replace=False)]
            found[layer.makes].add(seen, seen.shape[1] * len(x) / len(given))
    return found
