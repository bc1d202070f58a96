"""From an older ONNX opset to 21, where four-bit integers begin, without a change of meaning."""

from __future__ import annotations

from typing import Any

from toolkit.onnx_graph import inner_graphs

OPSET, IR = 21, 10

_WIDER = {
    "Cast", "CastLike", "Constant", "ConstantOfShape", "DequantizeLinear", "Equal", "Flatten",
    "Identity", "IsInf", "IsNaN", "Pad", "QLinearMatMul", "QuantizeLinear", "Reshape",
    "ScatterElements", "ScatterND", "Shape", "Size", "Squeeze", "Transpose", "Unsqueeze",
}  # fmt: skip
"""Changed between 17 and 21 only by more types, or by settings that default to what was before."""

_REDUCING = {
    "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean",
    "ReduceMin", "ReduceProd", "ReduceSumSquare",
}  # fmt: skip
"""Their axes were a setting before 18 and are an input since."""


def raised(model: Any) -> tuple[Any, str]:
    """A copy of an onnx.ModelProto at opset 21 or later; or None and what stands in the way.

    Every operator must mean at 21 what it meant, by the schema's history and the tables here.
    AveragePool would, but onnxruntime computes it with another kernel from 19 on, so that it is not
    among them.
    """
    from onnx import ModelProto, defs, helper

    copy = ModelProto()
    copy.CopyFrom(model)
    opset = next(o for o in copy.opset_import if o.domain in ("", "ai.onnx"))
    if opset.version < OPSET:
        if opset.version < 13 or copy.functions:
            return None, "functions" if copy.functions else f"opset {opset.version} is too old"
        for node in copy.graph.node:
            if inner_graphs(node):
                return None, f"{node.op_type} holds a graph of its own"
            if node.domain not in ("", "ai.onnx"):
                continue
            kind, settings = node.op_type, {a.name: a for a in node.attribute}
            if kind in _REDUCING and opset.version < 18:
                _with_axes(copy.graph, node, settings)
            elif kind == "Split" and opset.version < 18:
                if len(node.input) < 2:
                    node.attribute.append(helper.make_attribute("num_outputs", len(node.output)))
            elif kind not in _WIDER:
                then, now = (
                    defs.get_schema(kind, version, "").since_version
                    for version in (opset.version, OPSET)
                )
                if then != now:
                    return None, f"{kind} changed between opset {opset.version} and {OPSET}"
        opset.version = OPSET
    copy.ir_version = max(copy.ir_version, IR)
    return copy, ""


def _with_axes(graph: Any, node: Any, settings: dict[str, Any]) -> None:
    """Give a reduction its axes as an input."""
    import numpy as np
    from onnx import numpy_helper

    if "axes" not in settings:
        return
    name = f"{node.output[0]}/axes"
    graph.initializer.append(
        numpy_helper.from_array(np.array(settings["axes"].ints, np.int64), name)
    )
    node.input.append(name)
    kept = [a for a in node.attribute if a.name != "axes"]
    del node.attribute[:]
    node.attribute.extend(kept)
