"""Keras model -> ONNX: the single door, and nothing passes it that computes differently."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from toolkit import lattice
from toolkit.errors import ExportError
from toolkit.glossary import Data, Step
from toolkit.models.heads import head_of
from toolkit.models.vocabulary import parted
from toolkit.onnx_graph import Graph
from toolkit.predict import KerasPredictor, OnnxPredictor
from toolkit.shapes import in_shape

TOLERANCE = 1e-5
"""The largest difference of a probability on real rows between Keras and ONNX."""

LEAST_SAME = 0.99
"""The least share of rows that integers and fake quantisation must answer alike."""

OPSET = 17

_VALUES = 2**25
"""Values of the rows that are compared, at most."""


def export(model: Any, rows: Data, *, name: str = "classifier") -> Step:
    """Convert a Keras classifier to an onnx.ModelProto and prove that both compute the same.

    rows: real rows that both are asked; their classes go into the metadata. A model that takes
    text is converted from its word indices on. The result takes
    "input" f32 (n, ...) and gives "probabilities" f32 (n, k), any n, rows summing to 1.
    Raises ExportError when the conversion fails or probabilities differ by more than `TOLERANCE`.
    """
    import keras
    import onnx
    import tensorflow as tf
    import tf2onnx

    model, _ = parted(model)
    head = head_of(model)

    def classify(x: Any) -> Any:
        out = model(x, training=False)
        if head == "logits":
            return tf.nn.softmax(out)
        return tf.concat([1 - out, out], axis=1) if head == "sigmoid" else out

    shape = tuple(model.inputs[0].shape[1:])
    spec = tf.TensorSpec((None, *shape), tf.float32, name="input")
    traced = tf.function(classify, input_signature=[spec])
    try:
        with _plain_convolutions(model):
            proto, _ = tf2onnx.convert.from_function(traced, input_signature=[spec], opset=OPSET)
    except Exception as error:  # whatever tf2onnx meets: the user needs one line
        raise _failed(name, str(error)) from error
    captures = traced.get_concrete_function(spec).graph.captures
    constants = {inner.name: outer for outer, inner in captures if outer.dtype != tf.resource}
    proto = _finished(onnx, proto, constants, shape, len(rows.classes))
    rounded = lattice.is_rounded(proto)
    left: dict[str, str] = {}
    if rounded:
        proto, left = lattice.compiled(onnx.shape_inference.infer_shapes(proto))
    facts: dict[str, str] = {
        "classes": "\n".join(rows.classes),
        "producer": f"keras {keras.__version__}, tensorflow {tf.__version__}, "
        f"tf2onnx {tf2onnx.__version__}",
    }
    onnx.helper.set_model_props(proto, facts)
    proto.producer_name, proto.producer_version = "keras-edge-toolkit", ""
    try:
        onnx.checker.check_model(proto, full_check=True)
        small = OnnxPredictor(proto.SerializeToString(), name, exact=rounded)
    except Exception as error:
        raise _failed(name, str(error)) from error
    most = max(_VALUES // max(math.prod(rows.x.shape[1:]), 1), 32)
    asked = in_shape(rows.x[:most], shape)
    wanted = KerasPredictor(model, name)(asked)
    given = np.concatenate([small(asked[:1]), small(asked[1:])])  # one row, and many
    difference = float(np.abs(wanted - given).max(initial=0.0))
    same = float((wanted.argmax(axis=1) == given.argmax(axis=1)).mean()) if len(asked) else 1.0
    if rounded:
        # a sum that lies between two steps may fall to either side; few answers hang on that
        if same < LEAST_SAME:
            raise ExportError(
                f"{name} as integers answers otherwise than Keras in {1 - same:.1%} of rows",
                f"at most {1 - LEAST_SAME:.1%}",
                "report the layers of this model",
            )
    elif not difference <= TOLERANCE:
        raise ExportError(
            f"{name} as ONNX differs from Keras by {difference:.2g} in a probability",
            f"at most {TOLERANCE:g}",
            "report the layers of this model",
        )
    return Step(
        proto,
        {
            "pass": "export",
            "largest_difference": difference,
            "same_answers": same,
            "rows_compared": len(asked),
            **({"float_layers": left} if rounded else {}),
            "opset": OPSET,
            "parameters": int(sum(math.prod(w.shape) for w in model.weights)),
        },
    )


@contextmanager
def _plain_convolutions(model: Any) -> Iterator[None]:
    """Trace grouped convolutions as such: Keras compiles them into a call that ONNX cannot hold."""
    import keras

    grouped = [
        layer
        for layer in model._flatten_layers()
        if isinstance(layer, keras.layers.Conv2D)
        and layer.groups > 1
        and layer.data_format == "channels_last"
    ]
    for layer in grouped:
        layer.convolution_op = _plain(layer)
    try:
        yield
    finally:
        for layer in grouped:
            del layer.convolution_op


def _plain(layer: Any) -> Any:
    import tensorflow as tf

    return lambda inputs, kernel: tf.nn.convolution(
        inputs,
        kernel,
        strides=list(layer.strides),
        padding=layer.padding.upper(),
        dilations=list(layer.dilation_rate),
    )


def _without_erfc(onnx: Any, graph: Any) -> None:
    """Write erfc(x), which exact GELU is made of, as 1 - erf(x), which ONNX has."""
    nodes = []
    for node in graph.node:
        if node.op_type != "Erfc":
            nodes.append(node)
            continue
        inner, one = f"{node.output[0]}/erf", "erfc/one"
        nodes.append(onnx.helper.make_node("Erf", node.input, [inner]))
        nodes.append(onnx.helper.make_node("Sub", [one, inner], node.output))
        if all(tensor.name != one for tensor in graph.initializer):
            value = np.ones((), np.float32)
            graph.initializer.append(onnx.numpy_helper.from_array(value, one))
    nodes = [type(node).FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(nodes)


def _with_fixed_shapes(onnx: Any, graph: Any) -> None:
    """Say what is known but for the rows instead of computing it each time: shapes, whole pools."""
    every = (*graph.input, *graph.value_info, *graph.output)
    makers = {name: node for node in graph.node for name in node.output}
    shapes = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in every}
    held = {tensor.name for tensor in graph.initializer}
    for number, node in enumerate(graph.node):
        if node.op_type == "AveragePool" and shapes.get(node.output[0], [])[2:] == [1, 1]:
            kernel = next(list(a.ints) for a in node.attribute if a.name == "kernel_shape")
            if kernel == shapes.get(node.input[0], [])[2:]:
                node.op_type = "GlobalAveragePool"
                del node.attribute[:]
        shape = shapes.get(node.output[0], []) if node.op_type == "Reshape" else []
        if len(shape) < 2 or not all(shape[1:]) or shape[0]:
            continue
        before = shapes.get(node.input[0], [])
        if (
            len(shape) == 2
            and len(before) > 1
            and not before[0]
            and math.prod(before[1:]) == shape[1]
        ):
            node.op_type = "Flatten"
            del node.input[1], node.attribute[:]
            inner = makers.get(node.input[0])
            if inner is not None and inner.op_type == "Reshape":
                node.input[0] = inner.input[0]
        elif node.input[1] not in held:
            name = f"shape/{number}"
            values = np.array([-1, *shape[1:]], np.int64)
            graph.initializer.append(onnx.numpy_helper.from_array(values, name))
            node.input[1] = name


def _finished(
    onnx: Any, proto: Any, constants: dict[str, Any], shape: tuple[int | None, ...], classes: int
) -> Any:
    """Give the graph's ends their names and shapes: input (n, ...), probabilities (n, k).

    constants: tensors that layers hold outside variables (Normalization's mean), which tf2onnx
    leaves as further inputs.
    """
    graph = proto.graph
    used = {tensor for node in graph.node for tensor in node.input}
    for extra in (tensor for tensor in graph.input[1:] if tensor.name in used):
        value = constants[extra.name].numpy()
        graph.initializer.append(onnx.numpy_helper.from_array(value, extra.name))
    source, result = graph.input[0].name, graph.output[0].name
    for node in graph.node:
        for names in (node.input, node.output):
            for i, tensor in enumerate(names):
                names[i] = {source: "input", result: "probabilities"}.get(tensor, tensor)
    _without_erfc(onnx, graph)
    kind = onnx.TensorProto.FLOAT
    del graph.input[:], graph.output[:]
    graph.input.append(
        onnx.helper.make_tensor_value_info("input", kind, ["n", *(d or "length" for d in shape)])
    )
    graph.output.append(onnx.helper.make_tensor_value_info("probabilities", kind, ["n", classes]))
    del graph.value_info[:]  # some of what tf2onnx notes there is wrong after its own changes
    proto = onnx.shape_inference.infer_shapes(proto, data_prop=True)
    _with_fixed_shapes(onnx, proto.graph)
    return Graph(proto).finished()


def _failed(name: str, why: str) -> ExportError:
    return ExportError(
        f"{name} cannot be turned into ONNX ({why[:200]})",
        "layers that tf2onnx converts",
        "replace the layer that is named",
    )
