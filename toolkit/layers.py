"""What the layers of an `.onnx` learnt: weights of the first and the last, activations."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.constants import constants
from toolkit.errors import ModelError
from toolkit.glossary import Floats, Layer
from toolkit.in_floats import in_floats
from toolkit.shapes import in_shape

_LEARNT = ("Conv", "MatMul", "Gemm")
_SHOWN = ("Relu", "Softmax", "Sigmoid", "Tanh", "Elu", "LeakyRelu", "Clip", "MaxPool")


def weights(path: Path, subject: str, image: tuple[int, ...] | None = None) -> tuple[Layer, ...]:
    """The weights of the first and the last layer, f32 (inputs, units) or (kh, kw, inputs, units).

    image: the shape (h, w, c) of a row, when rows are pictures; a first dense layer over all of
    its values is then shown as pictures. Raises ModelError for a file that is no ONNX.
    """
    found = _learnt(_model(path))
    layers = []
    for place, (name, values) in enumerate(found):
        if place not in (0, len(found) - 1):
            continue
        whole = image is not None and place == 0 and values.ndim == 2
        shape = image if whole and image and len(values) == math.prod(image) else None
        layers.append(Layer(subject, name, "weights", values, None, shape))
    return tuple(layers)


def activations(path: Path, subject: str, x: Floats, row: int) -> tuple[Layer, ...]:
    """What every layer answers to one row x: f32 (...), in the order of the graph.

    Feature maps are (channels, h, w), as ONNX keeps them. Raises ModelError for a file that is no
    ONNX.
    """
    import onnx

    from toolkit.runtime import session

    model = in_floats(_model(path))
    names = [n.output[0] for n in model.graph.node if n.op_type in _SHOWN]
    ends = {o.name for o in model.graph.output}
    for name in names:
        if name not in ends:
            model.graph.output.append(onnx.ValueInfoProto(name=name))
    if not names:
        return ()
    opened = session(model.SerializeToString())
    source = opened.get_inputs()[0]
    rows, *shape = (d if isinstance(d, int) else None for d in source.shape)
    given = np.repeat(in_shape(x[None], tuple(shape)), rows or 1, axis=0)
    values = opened.run(names, {source.name: given})
    return tuple(
        Layer(subject, _short(name), "activation", np.asarray(value[0], np.float32), row)
        for name, value in zip(names, values, strict=True)
    )


def _model(path: Path) -> Any:
    import onnx

    try:
        return onnx.load(path)
    except Exception as error:  # protobuf's own errors
        raise ModelError(f"cannot read {path} as ONNX", "a .onnx file", "check the path") from error


def _learnt(model: Any) -> list[tuple[str, Floats]]:
    stored = constants(model)
    found = []
    for node in model.graph.node:
        if node.op_type not in _LEARNT or node.input[1] not in stored:
            continue
        values = np.asarray(stored[node.input[1]], np.float32)
        if node.op_type == "Conv" and values.ndim == 4:
            values = values.transpose(2, 3, 1, 0)
        elif node.op_type == "Gemm" and any(a.name == "transB" and a.i for a in node.attribute):
            values = values.T
        found.append((_short(node.input[1]), values))
    return found


def _short(name: str) -> str:
    """The layer's own name out of a path of scopes, which Keras 3 numbers and tf_keras does not.

    >>> _short("classifier_1/dense_2_1/Cast/ReadVariableOp:0"), _short("net/dense_1/MatMul:0")
    ('dense_2', 'dense_1')
    """
    parts = name.split("/")
    if len(parts) <= 2:
        return parts[0]
    numbered = parts[0].endswith("_1") and parts[1].endswith("_1")
    return parts[1].removesuffix("_1") if numbered else parts[1]
