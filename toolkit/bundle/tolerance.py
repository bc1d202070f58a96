"""How far right answers of another machine may lie from those kept in a bundle.

The same kernels give the same bits. Others add up in another order: for a sum of n products that
is the sum of exact products with weights off by at most about u sqrt(n), u = 2^-24 (Higham and Mary
2019, doi 10.1137/18M1226312). So weights are moved by that much at random, and what this does to a
probability is what rounding can do here. A single product is the same everywhere (IEEE 754), and
what is multiplied alone, such as a scale, stays where it is.

Integers add up exactly everywhere, but a sum that lies between two steps may fall to either side,
which moves a probability by far more. So in a file with integers a few rows may differ by as much
as such a fall does: it is seen by moving all scales further and further until half of the rows
have one. One row in eight may differ so even where no probe made any fall: kernels may multiply the
same scales in another order.
"""

from __future__ import annotations

import math
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.glossary import Doubles, Floats
from toolkit.predict import OnnxPredictor

PROBES = 8
SAFETY = 4.0
"""The worst of a few random probes is not the worst there is."""

LEAST = 1e-6
"""Sixteen roundings of a probability near 1: what exp and the division of a softmax may add."""

_UNIT = 2.0**-24
_FURTHER = tuple(2.0**-power for power in range(21, 7, -1))
_SHAPING = ("Resize", "Upsample", "Range")
"""What floats they read says how large a tensor becomes: moved, it would be another net."""
_INTEGER = ("QLinear", "Integer", "Quantize")


@dataclass(frozen=True)
class Tolerance:
    """What may differ: `falls` rows by up to `step`, all others by up to `rounding`."""

    rounding: float
    step: float
    falls: int


def tolerance(model: bytes, x: Floats, *, seed: int = 0) -> Tolerance:
    """How far the probabilities of the rows `x` may differ on another machine.

    model: the `.onnx`. x: f32 (n, ...), in its shape.
    """
    plain = _folded(model)
    rng = np.random.default_rng(seed)
    right = _answers(plain, x)

    def apart(most: float, *, alone: bool = False) -> Doubles:
        moved = _answers(_moved(plain, rng, most, alone=alone), x)
        return np.asarray(np.abs(moved - right).max(axis=1), np.float64)

    seen = np.array([apart(4 * _UNIT) for _ in range(PROBES)])
    if not any(part in node.op_type for node in plain.graph.node for part in _INTEGER):
        rounding = max(SAFETY * float(seen.max()), LEAST)
        return Tolerance(rounding, rounding, 0)
    # falls are few at this distance: half of the rows tell what rounding alone does
    rounding = max(SAFETY * float(np.median(seen)), LEAST)
    falls = math.ceil(SAFETY * float((seen > rounding).mean()) * len(x))
    for most in _FURTHER:
        fallen = apart(most, alone=True)
        if (fallen > rounding).mean() >= 0.5:
            break
    step = max(SAFETY * float(fallen.max()), rounding)
    return Tolerance(rounding, step, min(max(falls, math.ceil(len(x) / 8)), len(x)))


def _answers(model: Any, x: Floats) -> Floats:
    ask = OnnxPredictor(model.SerializeToString(), "probe", threads=1)
    return np.concatenate([ask(x[i : i + 1]) for i in range(len(x))])


def _folded(model: bytes) -> Any:
    """The model as onnxruntime has it once constants are computed: weights that are float32."""
    import onnx
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "folded.onnx"
        options.optimized_model_filepath = str(path)
        onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        return onnx.load(path)


def _moved(model: Any, rng: np.random.Generator, most: float, *, alone: bool) -> Any:
    """The model with its float32 constants moved by up to `most` sqrt(n) of themselves.

    n: how many products are added up, as far as the constant is the weight of such a sum. alone:
    whether constants of n = 1 are moved as well.
    """
    from onnx import TensorProto, numpy_helper

    other = type(model)()
    other.CopyFrom(model)
    shaping = {i for n in other.graph.node if n.op_type in _SHAPING for i in n.input}
    for held in other.graph.initializer:
        if held.data_type != TensorProto.FLOAT or held.name in shaping:
            continue
        values = numpy_helper.to_array(held)
        summed = values.size / min((d for d in values.shape if d > 1), default=1)
        if summed <= 1 and not alone:
            continue
        far = most * math.sqrt(max(summed, 1.0))
        moved = values * (1 + rng.uniform(-far, far, values.shape))
        held.CopyFrom(numpy_helper.from_array(moved.astype(np.float32), held.name))
    return other
