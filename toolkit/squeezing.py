"""Convolutions along one axis: what acts on each channel is moved to where kernels take it in.

Keras computes them as convolutions of pictures of one row, and drops the row behind them. What
stands behind that, a bias, the scale of a batch normalisation or a ReLU, no runtime folds into the
convolution; in front of it every runtime does.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from toolkit.onnx_graph import Graph

_JOINED = ("Add", "Mul")
_ALONE = ("Relu", "Clip")


def moved_ahead(model: Any) -> Any:
    """A copy of an onnx.ModelProto in which what acts on channels stands before a Squeeze."""
    work = Graph(model)
    makers = {o: n for n in work.nodes for o in n.output}
    for squeeze in [n for n in work.nodes if n.op_type == "Squeeze" and len(n.input) == 2]:
        conv, axes = makers.get(squeeze.input[0]), work.value(squeeze.input[1])
        if (
            conv is None
            or conv.op_type != "Conv"
            or axes is None
            or axes.tolist() not in ([2], [3])
        ):
            continue
        if work.only_reader(squeeze.input[0]) is None:
            continue
        while (node := work.only_reader(squeeze.output[0])) is not None:
            if not _taken(work, node, squeeze.output[0], int(axes[0])):
                break
            inner, end = squeeze.output[0], node.output[0]
            node.input[list(node.input).index(inner)] = squeeze.input[0]
            node.output[0] = squeeze.input[0] = work.free(f"{end}/wide")
            squeeze.output[0] = end
    return work.finished()


def _taken(work: Graph, node: Any, given: str, axis: int) -> bool:
    """Whether a node acts on each channel alone; its constant is made to fit one axis more."""
    others = [name for name in node.input if name and name != given]
    values = [work.value(name) for name in others]
    if node.op_type in _ALONE:
        return node.input[0] == given and all(v is not None for v in values)
    if node.op_type not in _JOINED or len(others) != 1 or values[0] is None:
        return False
    # (channels, 1) of (n, channels, length)
    shape = (1,) * (3 - values[0].ndim) + values[0].shape
    if len(shape) != 3 or shape[0] != 1 or shape[2] != 1:
        return False
    wide = np.expand_dims(values[0].reshape(shape), axis)
    node.input[list(node.input).index(others[0])] = work.constant(wide, f"{others[0]}/wide")
    return True
