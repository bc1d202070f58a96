"""Weights stored as float16 and computed as float32: half the file, the same kernels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from toolkit.glossary import Fit, Stage, Step
from toolkit.passes.base import Pass

LARGEST = float(np.finfo(np.float16).max)


@dataclass(frozen=True, kw_only=True)
class Float16(Pass):
    """Store float weights of at least `smallest` values in two bytes each.

    The runtime widens them once, when it loads the file, so speed is that of float32. Values that
    float16 cannot hold (beyond 65,504) keep their whole tensor at float32; facts list these.
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
