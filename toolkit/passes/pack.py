"""Sparse and clustered weights stored in the bits they need, in plain ONNX."""

from __future__ import annotations

import zlib
from collections import Counter
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from toolkit.errors import ExportError
from toolkit.glossary import Fit, Floats, Stage, Step
from toolkit.passes.base import Pass
from toolkit.passes.forms import Form, forms, fresh_names
from toolkit.passes.opsets import raised
from toolkit.shapes import in_shape

TOLERANCE = 1e-6
"""The largest difference of a probability; only scales beside a codebook make any."""

_SMALLEST = 32
_ROWS = 64


@dataclass(frozen=True, kw_only=True)
class Pack(Pass):
    """Store weights as indices into a codebook, or without their zeros, where that is smaller.

    At most 16 distinct values take 4 bits each (fewer values 1 or 2), at most 256 take 8; zeros
    take one bit each. A runtime unpacks them once, when it loads the file, so kernels and speed
    stay what they were; loading takes a little longer. Four-bit tensors need opset 21; in a graph
    that cannot be raised to it they are taken apart by shifts. Raises ExportError when outputs
    differ.
    """

    stage: ClassVar[Stage] = "onnx"
    rank: ClassVar[int] = 2

    def __call__(self, model: Any, fit: Fit, seed: int = 0) -> Step:  # noqa: ARG002
        """Give the packed model; facts hold the form of each weight and bytes, raw and zipped."""
        lifted, why = raised(model)
        rows = fit.calibration.spread(_ROWS).x[:]
        # the last bit of a float can move a value to the next step of a quantiser
        exact = any("Quantize" in node.op_type for node in model.graph.node)
        for exactly in (exact, True):
            small, chosen = _packed(model, lifted, exact=exactly)
            difference = max(
                float(np.abs(_asked(model, x) - _asked(small, x)).max()) for x in (rows, rows[:1])
            )
            if difference <= TOLERANCE:
                break
        else:
            raise ExportError(
                f"packed weights change a probability by {difference:.2g}",
                f"at most {TOLERANCE:g}",
                "leave out pack, and report the operators of this model",
            )
        sizes = {}
        for name, proto in (("before", model), ("after", small)):
            content = proto.SerializeToString()
            sizes[f"bytes_{name}"] = len(content)
            sizes[f"zipped_{name}"] = len(zlib.compress(content, 9))
        return Step(
            small,
            {
                "changed": len(chosen),
                "forms": dict(Counter(form.kind for form in chosen.values())),
                "skipped": {"four bits": why} if why else {},
                "largest_difference": difference,
                **sizes,
            },
        )


def _packed(model: Any, lifted: Any, *, exact: bool) -> tuple[Any, dict[str, Form]]:
    """A copy with each weight in its smallest form, and the forms of those that changed.

    lifted: the same at opset 21, if there is such a thing; it is given only if a weight needs it.
    """
    from onnx import ModelProto, TensorProto, numpy_helper

    small = ModelProto()
    small.CopyFrom(model if lifted is None else lifted)
    graph = small.graph
    kinds = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.INT8, TensorProto.UINT8)
    ends = {v.name for v in (*graph.input, *graph.output)}
    taken = {n for node in graph.node for n in (*node.input, *node.output)} | ends
    names = fresh_names(taken | {t.name for t in graph.initializer})
    kept, nodes, chosen = [], [], {}
    for tensor in graph.initializer:
        best: Any = None
        fits = tensor.data_type in kinds and len(tensor.dims) > 1 and tensor.name not in ends
        values = numpy_helper.to_array(tensor) if fits else np.zeros(0)
        if values.size >= _SMALLEST and (values.dtype.kind != "f" or np.isfinite(values).all()):
            found = [
                f.ending(tensor.name)
                for f in forms(values, names, opset21=lifted is not None, exact=exact)
            ]
            best = min(found, key=lambda form: form.nbytes, default=None)
        if best is not None and best.nbytes < tensor.ByteSize() + 3:
            chosen[tensor.name] = best
            kept += best.tensors
            nodes += best.nodes
        else:
            kept.append(type(tensor).FromString(tensor.SerializeToString()))
    nodes += [type(node).FromString(node.SerializeToString()) for node in graph.node]
    del graph.initializer[:], graph.node[:]
    graph.initializer.extend(kept)
    graph.node.extend(nodes)
    if lifted is not None and not any(form.four for form in chosen.values()):
        return _packed(model, None, exact=exact)
    return small, chosen


def _asked(model: Any, x: Floats) -> Floats:
    from toolkit.predict import OnnxPredictor

    asked = OnnxPredictor(model.SerializeToString(), "packed", threads=1)
    return asked(in_shape(x, asked.shape))
