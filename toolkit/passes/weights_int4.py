"""Four bits a weight without training: dense layers and embeddings, a step for each few inputs."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from toolkit.errors import RecipeError
from toolkit.glossary import Doubles, Fit, Floats, Stage, Step
from toolkit.onnx_graph import Graph
from toolkit.operators import LEARNT, Operator, operators
from toolkit.passes.base import Pass, positive
from toolkit.passes.dynamic_int8 import prepared
from toolkit.passes.products import Gathered
from toolkit.passes.round_weights import gathered, of_floats, rounded
from toolkit.progress import tell
from toolkit.shapes import in_shape, shape_of
from toolkit.windows import matrices, restored, settings

_DENSE = ("Gemm", "MatMul")
_ENDS = (-8.0, 7.0)
_SHRUNK = (0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0)
"""Steps as shares of that which holds every weight: a smaller one cuts the largest off, and is
finer for all others."""


@dataclass(frozen=True, kw_only=True)
class WeightsInt4(Pass):
    """Store the weights of dense layers and embeddings as integers from -8 to 7 and steps.

    A step serves `block` inputs of one output (or as many as divide them evenly), or numbers of one
    word. Which of the two integers beside a weight is taken, calibration rows decide, as in
    `round_weights`; biases take up what the mean of an output still moves. Activations stay float:
    a runtime multiplies integers by steps once, when it loads the file, so that speed and kernels
    are those of float. `pack` after this gives two weights a byte.
    rows: calibration rows used. smallest: weights of a layer from which on it is changed. loss: the
    largest share of the variance of its outputs that a layer may lose; others stay as they are,
    and facts say so.
    """

    stage: ClassVar[Stage] = "onnx"
    block: int = 32
    rows: int = 200
    smallest: int = 512
    loss: float = 0.02

    def __post_init__(self) -> None:
        """Refuse settings that do not exist."""
        positive(self.name, rows=self.rows, loss=self.loss)
        if self.block < 2:
            raise RecipeError(f"{self.name} has block {self.block}", "2 or more", "correct it")

    def __call__(self, model: Any, fit: Fit, seed: int = 0) -> Step:  # noqa: ARG002
        """Give the model with integers; `lost` is the share of each layer's variance."""
        ready = prepared(model)
        work = Graph(ready)
        every = [o for o in operators(ready) if o.kind in LEARNT and o.weights is not None]
        layers, skipped = of_floats(work, [o for o in every if self._dense_and_large(o)])
        skipped |= {
            o.makes: f"fewer than {self.smallest} weights" if o.kind in _DENSE else "a convolution"
            for o in every
            if not self._dense_and_large(o)
        }
        x = in_shape(fit.ranging(self.rows).x[:], shape_of(ready))
        read = gathered(ready, work, layers, x)
        lost: dict[str, float] = {}
        told: set[str] = set()
        for done, layer in enumerate(layers):
            tell("weights of 4 bits", done, len(layers))
            if layer.makes in told:
                continue
            calls = [o.makes for o in layers if read[o.makes] is read[layer.makes]]
            share = self._dense(work, layer, read[layer.makes])
            node = work.maker(layer.makes)
            for name in calls:
                work.maker(name).input[1:] = node.input[1:]
                self._say(name, share, lost, skipped)
                told.add(name)
        for node in [n for n in work.nodes if n.op_type == "Gather"]:
            table = work.value(node.input[0])
            if table is not None and table.dtype == np.float32 and self._large(table):
                self._say(node.output[0], self._table(work, node, table), lost, skipped)
        tell("weights of 4 bits", len(layers), len(layers))
        if not lost:
            raise RecipeError(
                f"{self.name} finds no layer that 4 bits would do for",
                f"dense layers or embeddings of {self.smallest} weights and more that lose at most "
                f"{100 * self.loss:g} % of their variance",
                "take float16, or int4-qat, which trains",
            )
        return Step(work.finished(), {"changed": len(lost), "skipped": skipped, "lost": lost})

    def _dense_and_large(self, layer: Operator) -> bool:
        return layer.kind in _DENSE and self._large(layer.weights)

    def _large(self, weights: Any) -> bool:
        return bool(weights.ndim == 2 and weights.size >= self.smallest)

    def _say(
        self, name: str, share: float, lost: dict[str, float], skipped: dict[str, str]
    ) -> None:
        if share <= self.loss:
            lost[name] = round(share, 5)
        else:
            skipped[name] = f"with 4 bits {100 * share:.2g} % of its variance would be noise"

    def _dense(self, work: Graph, layer: Operator, read: Gathered) -> float:
        """Change a dense layer, unless too much is lost; the share of its variance that would be.

        read: what its inputs are.
        """
        products, means = read.products(), read.means()
        node = work.maker(layer.makes)
        old = np.asarray(layer.weights, np.float64)
        weights = matrices(node, old)
        width = evenly(weights.shape[1], self.block)
        step = steps(weights[0], width, products.diagonal()[0])[None]
        whole, _ = rounded(weights / step, products, step=step, ends=_ENDS)
        moved = whole * step - weights
        noise, power = (products.of(m) - float(((means @ m) ** 2).sum()) for m in (moved, weights))
        share = max(noise, 0.0) / power if power > 0 else 0.0
        if share > self.loss:
            return share
        numbers, their = (restored(node, values, old.shape) for values in (whole, step))
        axis = int(settings(node).get("transB", 0))
        node.input[1] = _product(work, numbers, their, axis, width)
        bias = work.value(node.input[2]) if len(node.input) > 2 and node.input[2] else None
        shift = means[0] @ moved[0]
        if bias is not None and bias.size == shift.size:
            fixed = (bias - shift.reshape(bias.shape)).astype(np.float32)
            node.input[2] = work.constant(fixed, "rounded_bias")
        return share

    def _table(self, work: Graph, node: Any, table: Floats) -> float:
        """Change a table that is read row by row, unless too much is lost; the share that is."""
        width = evenly(table.shape[1], self.block)
        turned = table.T.astype(np.float64)
        step = steps(turned, width, np.ones(len(turned)))
        whole = np.clip(np.rint(turned / step), *_ENDS)
        share = float(((whole * step - turned) ** 2).sum() / max(turned.var() * turned.size, 1e-30))
        if share <= self.loss:
            node.input[0] = _product(work, whole.T, step.T, 1, width)
        return share


def evenly(count: int, block: int) -> int:
    """How many inputs share a step: of the divisors of `count` the one nearest to `block`.

    >>> evenly(784, 32), evenly(64, 32), evenly(13, 32)
    (28, 32, 13)
    """
    divisors = [d for d in range(2, count + 1) if count % d == 0] or [1]
    return min(divisors, key=lambda d: abs(np.log(d / block)))


def steps(weights: Doubles, width: int, counts: Doubles) -> Doubles:
    """The step of each weight, f64 (k, n), one for each `width` inputs of an output.

    counts: f64 (k,), how much the error of an input's weights counts. Steps are of 16 bits; they
    may be negative, so that the largest weight is the integer that has no opposite.
    """
    k, n = weights.shape
    parts = weights.reshape(k // width, width, n)
    peaks = np.take_along_axis(parts, np.abs(parts).argmax(axis=1, keepdims=True), axis=1)
    best, least = np.ones_like(peaks), np.full_like(peaks, np.inf)
    for share, end in itertools.product(_SHRUNK, _ENDS):
        step = (share * peaks / end).astype(np.float16).astype(np.float64)
        step[step == 0] = 1.0
        off = np.clip(np.rint(parts / step), *_ENDS) * step - parts
        error = (counts.reshape(-1, width, 1) * off**2).sum(axis=1, keepdims=True)
        best, least = np.where(error < least, step, best), np.minimum(error, least)
    return np.repeat(best, width, axis=1).reshape(k, n)


def _product(work: Graph, whole: Doubles, step: Doubles, axis: int, width: int) -> str:
    """The name of integers times steps, of which `width` along `axis` are the same."""
    from onnx import TensorProto

    shape = list(whole.shape)
    apart = [*shape[:axis], shape[axis] // width, width, *shape[axis + 1 :]]
    alike = step.reshape(apart).take([0], axis=axis + 1).astype(np.float32)
    held = work.constant(whole.reshape(apart).astype(np.int8), "whole")
    wide = work.add("Cast", [held], work.free(f"{held}/wide"), to=TensorProto.FLOAT)
    made = work.add("Mul", [wide, work.constant(alike, "steps")], work.free(f"{held}/times"))
    ends = work.constant(np.array(shape, np.int64), "shape")
    return work.add("Reshape", [made, ends], work.free(f"{held}/weights"))
