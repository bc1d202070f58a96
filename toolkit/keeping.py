"""Float layers between roundings stay float when onnxruntime loads the file.

Its optimiser gives every Conv, ConvTranspose and Gemm whose input is dequantised weights of int8,
with one step a tensor and all 8 bits (WeightBiasQuantization, from 1.20 on): a layer that was put
back to float for its accuracy would be rounded worse than before, and its sums could saturate. It
leaves alone what is dequantised by channel; so the step is told once a channel, which is the same
number each time, and costs no time.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from toolkit.lattice import source
from toolkit.onnx_graph import Graph

_ROUNDED_AT_LOAD = ("Conv", "ConvTranspose", "Gemm")


def keeping_floats(model: Any) -> Any:
    """The onnx.ModelProto with layers of float weights out of the optimiser's reach; same answers.

    Of a layer whose input is a single number a row, or of unknown size, nothing is changed.
    """
    work = Graph(model)
    found = [n for n in work.nodes if n.op_type in _ROUNDED_AT_LOAD and _is_float(work, n)]
    found = [n for n in found if source(work, n.input[0]) is not None]
    if not found:
        return model
    dims = _dims(model)
    for node in found:
        given, wide = node.input[0], dims.get(node.input[0], ())
        axis = next((i for i, d in enumerate(wide) if i and d > 1), None)
        if axis is not None:
            node.input[0] = _by_channel(work, given, axis, wide[axis])
    return work.finished()


def _is_float(work: Graph, node: Any) -> bool:
    weights = work.value(node.input[1])
    return weights is not None and weights.dtype == np.float32


def _by_channel(work: Graph, tensor: str, axis: int, count: int) -> str:
    """The tensor, dequantised with a step for each place along the axis."""
    maker, back = work.maker(tensor), source(work, tensor)
    whole = back.input[0]
    if maker is not back:
        # the optimiser moves a rounding behind what only moves values
        whole = work.add("QuantizeLinear", [tensor, *back.input[1:]], work.free(f"{tensor}/whole"))
    step, *zero = (
        work.constant(np.full(count, work.value(name)), f"{name}/each") for name in back.input[1:]
    )
    made = work.free(f"{tensor}/float")
    return work.add("DequantizeLinear", [whole, step, *zero], made, axis=axis)


def _dims(model: Any) -> dict[str, tuple[int, ...]]:
    """The size of each tensor, 0 where it is not known."""
    import onnx

    graph = onnx.shape_inference.infer_shapes(model).graph
    every = (*graph.input, *graph.value_info, *graph.output)
    return {v.name: tuple(d.dim_value for d in v.type.tensor_type.shape.dim) for v in every}
