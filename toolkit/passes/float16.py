"""Weights stored as float16 and computed as float32: half the file, the same kernels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from toolkit.glossary import Fit, Floats, Stage, Step
from toolkit.passes.base import Pass

LARGEST = float(np.finfo(np.float16).max)

_LAYERS = ("Conv", "ConvTranspose", "Gemm", "MatMul", "LSTM", "GRU", "RNN", "Einsum")
"""What mixes values, after which no constant has the units of the raw input."""
_SHAPES = ("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Cast", "Identity")
_NOTICED, _ROWS, _FEW = 2.0**-9, 200, 0.1


@dataclass(frozen=True, kw_only=True)
class Float16(Pass):
    """Store float weights of at least `smallest` values in two bytes each.

    The runtime widens them once, when it loads the file, so speed is that of float32. A tensor
    stays float32, and facts list it, where float16 cannot hold a value (beyond 65,504), where it
    scales the raw input (a year less its mean is nothing but digits that float16 has not), and
    where weights too small for float16 meet raw values so large that they matter.
    """

    stage: ClassVar[Stage] = "onnx"
    smallest: int = 16

    def __call__(self, model: Any, fit: Fit, seed: int = 0) -> Step:  # noqa: ARG002
        """Give the model with narrow weights; largest_error is the worst rounding of a weight."""
        from onnx import ModelProto, TensorProto, helper, numpy_helper

        narrow = ModelProto()
        narrow.CopyFrom(model)
        graph = narrow.graph
        changed: list[str] = []
        skipped: dict[str, str] = {}
        worst = 0.0
        casts = []
        scaling, first = _beginning(graph)
        some = fit.calibration.spread(_ROWS if first else 1)
        most = np.abs(np.asarray(some.x[:], np.float32)).max(axis=0).reshape(-1)
        for tensor in graph.initializer:
            if tensor.data_type != TensorProto.FLOAT:
                continue
            values = numpy_helper.to_array(tensor)
            if values.size < self.smallest:
                continue
            if np.abs(values).max() > LARGEST:
                skipped[tensor.name] = f"holds {np.abs(values).max():.3g}, beyond {LARGEST:.0f}"
                continue
            name, half = tensor.name, values.astype(np.float16)
            if name in scaling:
                skipped[name] = "scales the raw input"
                continue
            if name in first and _lost(values, half, first[name], most):
                skipped[name] = "holds weights too small for float16 of large values"
                continue
            if values.size == max(values.shape) and _faint(values, half):
                skipped[name] = "holds factors too small for float16"
                continue
            worst = max(worst, float(np.abs(half.astype(np.float32) - values).max()))
            tensor.CopyFrom(numpy_helper.from_array(half, f"{name}/float16"))
            casts.append(
                helper.make_node("Cast", [f"{name}/float16"], [name], to=TensorProto.FLOAT)
            )
            changed.append(name)
        nodes = [*casts, *graph.node]
        del graph.node[:]
        graph.node.extend(nodes)
        return Step(narrow, {"changed": len(changed), "skipped": skipped, "largest_error": worst})


def _beginning(graph: Any) -> tuple[set[str], dict[str, bool]]:
    """Constants read before the first layer, and the kernels of dense layers of the raw input.

    Of each kernel, whether its inputs lie along the second axis.
    """
    known = {t.name for t in graph.initializer}
    # what is made of the input alone, and what still has its values
    early = {i.name for i in graph.input}
    raw, scaling, kernels = set(early), set[str](), dict[str, bool]()
    for node in graph.node:
        if not early & set(node.input):
            continue
        if node.op_type in ("Gemm", "MatMul") and node.input[0] in raw:
            kernels[node.input[1]] = any(a.name == "transB" and a.i for a in node.attribute)
        # a table of words is looked up by the input: it is a layer too
        if node.op_type in _LAYERS or (node.op_type == "Gather" and node.input[0] in known):
            continue
        early |= set(node.output)
        scaling |= known & set(node.input)
        if node.op_type in _SHAPES:
            raw |= set(node.output)
    return scaling, kernels


def _faint(values: Floats, half: Any) -> bool:
    """Whether a tenth of the factors of single channels lose digits: what they multiply is large.

    Those of a BatchNormalization after a layer of raw values may be a millionth each.
    """
    there = values != 0
    apart = np.abs(half.astype(np.float32) - values)[there]
    return bool(there.any() and (apart > _NOTICED * np.abs(values[there])).mean() > _FEW)


def _lost(kernel: Floats, half: Any, turned: bool, most: Floats) -> bool:
    """Whether rounding shows beside what the layer adds up; most: f32 (d,), the largest inputs."""
    if kernel.ndim != 2 or kernel.shape[turned] != len(most):
        return False
    largest = most[None] if turned else most[:, None]
    apart = np.abs(half.astype(np.float32) - kernel) * largest
    return bool(apart.max() > _NOTICED * (np.abs(kernel) * largest).max())
