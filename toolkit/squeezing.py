"""Convolutions along one axis: what acts on each channel is moved to where kernels take it in.

Keras computes them as convolutions of pictures of one row, and drops the row behind them. What
stands behind that, a bias, the scale of a batch normalisation or a ReLU, no runtime folds into the
convolution; in front of it every runtime does.
"""

from __future__ import annotations

from typing import Any

from toolkit.glossary import Floats
from toolkit.onnx_graph import Graph


def moved_ahead(model: Any) -> Any:
    """A copy of an onnx.ModelProto in which what acts on channels stands before a Squeeze.

    What is added first becomes the bias of a convolution that has none.
    """
    work = Graph(model)
    for squeeze in [n for n in work.nodes if n.op_type == "Squeeze" and len(n.input) == 2]:
        conv, axes = work.maker(squeeze.input[0]), work.value(squeeze.input[1])
        if conv is None or conv.op_type != "Conv" or work.only_reader(conv.output[0]) is None:
            continue
        if axes is None or axes.tolist() not in ([2], [3]):
            continue
        while (node := work.only_reader(squeeze.output[0])) is not None:
            given, end = squeeze.output[0], node.output[0]
            others = [name for name in node.input if name and name != given]
            numbers = _of_channels(work, others) if node.op_type in ("Add", "Mul") else None
            if numbers is None and not (node.op_type in ("Relu", "Clip") and _held(work, others)):
                break
            if node.op_type == "Add" and _without_bias(work, conv, squeeze, numbers):
                conv.input.append(work.constant(numbers, f"{others[0]}/bias"))
                work.drop(node)
            else:
                if numbers is not None:
                    wide = work.constant(numbers[:, None, None], f"{others[0]}/wide")
                    node.input[list(node.input).index(others[0])] = wide
                node.input[list(node.input).index(given)] = squeeze.input[0]
                node.output[0] = squeeze.input[0] = work.free(f"{end}/wide")
            squeeze.output[0] = end
    return work.finished()


def _of_channels(work: Graph, others: list[str]) -> Floats | None:
    """The one constant beside what a node is given, f32 (channels,) or (1,), or None if it is more.

    Behind the Squeeze it is (channels, 1) of (n, channels, length).
    """
    values = work.value(others[0]) if len(others) == 1 else None
    if values is None or values.ndim > 3:
        return None
    one, channels, along = (1,) * (3 - values.ndim) + values.shape
    return values.reshape(channels) if one == along == 1 else None


def _held(work: Graph, names: list[str]) -> bool:
    return all(work.value(name) is not None for name in names)


def _without_bias(work: Graph, conv: Any, squeeze: Any, numbers: Any) -> bool:
    """Whether numbers can be the bias of a convolution right before the Squeeze."""
    kernel = work.value(conv.input[1])
    first = squeeze.input[0] == conv.output[0] and len(conv.input) == 2
    return first and kernel is not None and len(numbers) == len(kernel)
