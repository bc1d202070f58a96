"""What onnxruntime's static quantiser does worse than its kernels can."""

from __future__ import annotations

from typing import Any

import numpy as np

from toolkit.lattice import MOVING, scales_taken_in
from toolkit.onnx_graph import Graph

_FINE = 2**20
"""Steps in a bias of a channel without weights: finer than a float is there, and far from 2**31."""
_LEAST = 1e-12


def mended(rounded: Any, floats: Any, kept: tuple[str, ...]) -> Any:
    """A copy of the file in QDQ form, with fewer and finer roundings.

    floats: the onnx.ModelProto that it was made of. kept: operators that compute in float.
    """
    work = Graph(rounded)
    _end_in_float(work, kept)
    _keep_biases(work, Graph(floats))
    # a pass over the input less, which takes small nets as long as all their integers
    scales_taken_in(work)
    return work.finished()


def _end_in_float(work: Graph, kept: tuple[str, ...]) -> None:
    """Drop the rounding of a dense layer's output that only float operators read.

    Integer kernels of dense layers give floats as well, which are finer and need no step.
    """
    for node in [n for n in work.nodes if n.op_type in ("Gemm", "MatMul")]:
        there = work.only_reader(node.output[0])
        back = work.only_reader(there.output[0]) if there is not None else None
        if back is None or (there.op_type, back.op_type) != ("QuantizeLinear", "DequantizeLinear"):
            continue
        made = back.output[0]
        if not only_floats(work, made, kept) or not (work.readers(made) or made in work.ends):
            continue
        work.drop(there)
        work.drop(back)
        if made in work.ends:
            node.output[0] = made
        else:
            work.swap(made, node.output[0])


def only_floats(work: Graph, tensor: str, kept: tuple[str, ...]) -> bool:
    """Whether operators that compute in float alone read a tensor, in whatever form."""
    return all(
        node.op_type in kept or (node.op_type in MOVING and only_floats(work, node.output[0], kept))
        for node in work.readers(tensor)
    )


def _keep_biases(work: Graph, floats: Graph) -> None:
    """Give biases of channels without weights steps of their own.

    The step of a bias is that of the input times that of the weights. Where all weights of a
    channel are 0 the quantiser takes 1 for theirs, and the bias, which is all that the channel
    says, becomes a whole number of input steps.
    """
    for node in [n for n in work.nodes if n.op_type in ("Conv", "Gemm") and len(n.input) > 2]:
        given, kernel, bias = (work.maker(name) for name in node.input)
        if any(n is None or n.op_type != "DequantizeLinear" for n in (given, kernel, bias)):
            continue
        exact = floats.value(bias.input[0].removesuffix("_quantized"))
        step, whole, steps = (
            work.value(n.input[i]) for n, i in ((given, 1), (kernel, 0), (kernel, 1))
        )
        if exact is None or step is None or whole is None or steps is None:
            continue
        axis = next((a.i for a in kernel.attribute if a.name == "axis"), 1)
        others = tuple(i for i in range(whole.ndim) if i != axis % whole.ndim)
        bare = ~whole.any(axis=others) if steps.ndim else np.array(not whole.any())
        if not bare.any():
            continue
        peaks = np.abs(exact) if steps.ndim else np.abs(exact).max()
        own = np.maximum(peaks, _LEAST) / (_FINE * step.reshape(()))
        steps = np.where(bare, own, steps).astype(np.float32)
        fine = (steps * step.reshape(())).astype(np.float32)
        numbers = np.rint(exact.astype(np.float64) / fine).astype(np.int32)
        kernel.input[1] = work.constant(steps, "steps")
        bias.input[0] = work.constant(numbers, "bias")
        bias.input[1] = work.constant(fine, "bias_steps")
