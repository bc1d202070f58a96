"""What an ONNX graph computes from its weights alone: dequantised, gathered, reshaped, scaled."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray


def constants(model: Any) -> dict[str, NDArray[Any]]:
    """Every tensor of an onnx.ModelProto that no input reaches, by its name, as the runtime has it.

    Nodes with graphs of their own are left out.
    """
    import onnxruntime
    from onnx import ModelProto, ValueInfoProto, numpy_helper

    graph = model.graph
    found = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    known = set(found)
    inner = ModelProto()
    inner.CopyFrom(model)
    del inner.graph.node[:], inner.graph.input[:], inner.graph.output[:], inner.graph.value_info[:]
    for node in graph.node:
        whole = any(a.HasField("g") or a.graphs for a in node.attribute)
        fixed = bool(node.input) or node.op_type == "Constant"
        if fixed and not whole and set(node.input) - {""} <= known:
            inner.graph.node.append(node)
            known |= set(node.output)
    made = [name for node in inner.graph.node for name in node.output if name]
    if not made:
        return found
    inner.graph.output.extend(ValueInfoProto(name=name) for name in made)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    level = onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = level.ORT_DISABLE_ALL
    content, providers = inner.SerializeToString(), ["CPUExecutionProvider"]
    values = onnxruntime.InferenceSession(content, options, providers=providers).run(made, {})
    return found | dict(zip(made, values, strict=True))
