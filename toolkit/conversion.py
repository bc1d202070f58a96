"""A model of either Keras -> an ONNX graph of its probabilities, by tf2onnx, not yet proven."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np

from toolkit.errors import ExportError, cause
from toolkit.models.heads import Head
from toolkit.onnx_graph import Graph, inner_graphs
from toolkit.shapes import Shape
from toolkit.squeezing import moved_ahead

OPSET = 17


def converted(net: Any, head: Head, shape: Shape, classes: int, *, name: str) -> Any:
    """An onnx.ModelProto from "input" f32 (n, *shape) to "probabilities" f32 (n, classes).

    net: a Keras 3 or a tf_keras model, whose raw outputs `head` says how to read. Raises
    ExportError that names the operation which ONNX has no form for.
    """
    import tensorflow as tf
    import tf2onnx

    def classify(x: Any) -> Any:
        out = net(x, training=False)
        if head == "logits":
            return tf.nn.softmax(out)
        return tf.concat([1 - out, out], axis=1) if head == "sigmoid" else out

    spec = tf.TensorSpec((None, *shape), tf.float32, name="input")
    traced = tf.function(classify, input_signature=[spec])
    said: list[str] = []
    try:
        with _plain_convolutions(net), _overheard(said):
            proto, _ = tf2onnx.convert.from_function(
                traced,
                input_signature=[spec],
                opset=OPSET,
                custom_op_handlers={
                    "Bucketize": (_bucketize, []),
                    "Erfc": (partial(_beside_one, "Erf", True), []),
                    "Expm1": (partial(_beside_one, "Exp", False), []),
                },
            )
        if any("supported" in one.lower() for one in said):
            raise ValueError(said[0])  # it goes on without the operation
        captures = traced.get_concrete_function(spec).graph.captures
        constants = {inner.name: outer for outer, inner in captures if outer.dtype != tf.resource}
        return _finished(proto, constants, shape, classes)
    except Exception as error:  # whatever tf2onnx meets: the user needs one line
        raise failed(name, _told(error)) from error


@contextmanager
def _overheard(said: list[str]) -> Iterator[None]:
    """Collect the errors that tf2onnx logs instead of raising them; they name the operation."""
    import logging

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.levelno >= logging.ERROR:
                said.append(record.getMessage())

    logger, listener = logging.getLogger("tf2onnx"), Listener()
    before = logger.propagate
    logger.addHandler(listener)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(listener)
        logger.propagate = before


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


def _beside_one(operator: str, taken: bool, ctx: Any, node: Any, name: str, _: list[Any]) -> None:
    """Write what ONNX lacks as the difference of 1 and an operator that it has.

    taken: whether the operator is taken from 1: erfc(x), which exact GELU is made of, is 1 -
    erf(x); expm1(x), which CELU is made of, is exp(x) - 1, near 0 right to the last bit of 1.
    """
    kind, shape = ctx.get_dtype(node.output[0]), ctx.get_shape(node.output[0])
    given, result = node.input[0], node.output[0]
    ctx.remove_node(node.name)
    one = ctx.make_const(f"{name}/one", np.ones((), np.float32)).name
    had = ctx.make_node(operator, [given], dtypes=[kind], shapes=[shape]).output[0]
    both = [one, had] if taken else [had, one]
    ctx.make_node("Sub", both, outputs=[result], dtypes=[kind], shapes=[shape])


def _bucketize(ctx: Any, node: Any, name: str, _: list[Any]) -> None:
    """Write the bin of x, as Discretization asks for it, as the number of bounds that x reaches."""
    import onnx

    bounds = np.array(node.get_attr("boundaries").floats, np.float32)
    shape = ctx.get_shape(node.output[0])
    given, result = node.input[0], node.output[0]
    ctx.remove_node(node.name)
    last = ctx.make_const(f"{name}/last", np.array([-1], np.int64)).name
    wide = ctx.make_node("Unsqueeze", [given, last]).output[0]
    reached = ctx.make_node(
        "GreaterOrEqual", [wide, ctx.make_const(f"{name}/bounds", bounds).name]
    ).output[0]
    counted = ctx.make_node("Cast", [reached], attr={"to": onnx.TensorProto.INT32}).output[0]
    ctx.make_node(
        "ReduceSum",
        [counted, last],
        attr={"keepdims": 0},
        outputs=[result],
        dtypes=[onnx.TensorProto.INT32],
        shapes=[shape],
    )


def _finished(
    proto: Any, constants: dict[str, Any], shape: tuple[int | None, ...], classes: int
) -> Any:
    """Give the graph's ends their names and shapes: input (n, ...), probabilities (n, k).

    constants: tensors that layers hold outside variables (Normalization's mean), which tf2onnx
    leaves as further inputs.
    """
    import onnx

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
    kind = onnx.TensorProto.FLOAT
    del graph.input[:], graph.output[:]
    graph.input.append(
        onnx.helper.make_tensor_value_info("input", kind, ["n", *(d or "length" for d in shape)])
    )
    graph.output.append(onnx.helper.make_tensor_value_info("probabilities", kind, ["n", classes]))
    graph.ClearField("doc_string")  # a number that counts the traces of the process
    del graph.value_info[:]  # some of what tf2onnx notes there is wrong after its own changes
    proto = onnx.shape_inference.infer_shapes(proto, data_prop=True)
    _with_fixed_shapes(proto.graph)
    made = moved_ahead(Graph(proto).finished())
    _counted_anew(made.graph, {})
    _named_by_readers(made.graph)
    return made


def _counted_anew(graph: Any, numbers: dict[str, str]) -> None:
    """Number what tf2onnx made, as Conv__37:0, in the order of the nodes; layers keep their names.

    It counts on from model to model, and visits some nodes in the order of their addresses.
    """

    def anew(name: str) -> str:
        return re.sub(
            r"(?<=__)\d+(?=(__\d+)*(:\d+)?$)",
            lambda found: numbers.setdefault(found[0], str(len(numbers) + 1)),
            name,
        )

    for node in graph.node:
        node.name = anew(node.name)
        for names in (node.input, node.output):
            names[:] = [anew(name) for name in names]
        for inner in inner_graphs(node):
            _counted_anew(inner, numbers)
    for tensor in (*graph.initializer, *graph.input, *graph.output, *graph.value_info):
        tensor.name = anew(tensor.name)


def _named_by_readers(graph: Any) -> None:
    """Call each constant after the node that reads it first, and keep them in that order.

    Of equal constants tf2onnx keeps one by the order of a set, and some names hold an address in
    memory: both are others in each run, and so were the bytes of the file.
    """
    held = {tensor.name: tensor for tensor in graph.initializer}
    names: dict[str, str] = {}

    def visit(nodes: Any) -> None:
        for node in nodes:
            for i, tensor in enumerate(node.input):
                if tensor in held:
                    node.input[i] = names.setdefault(tensor, f"{node.output[0]}#{i}")
            for inner in inner_graphs(node):
                visit(inner.node)

    visit(graph.node)
    kept = []
    for name, own in names.items():
        kept.append(type(held[name])())
        kept[-1].CopyFrom(held[name])
        kept[-1].name = own
    del graph.initializer[:]
    graph.initializer.extend(kept)


def _with_fixed_shapes(graph: Any) -> None:
    """Say what is known but for the rows instead of computing it each time: shapes, whole pools."""
    import onnx

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


def _told(error: Exception) -> str:
    """What went wrong, without the frames that TensorFlow writes around it."""
    text = str(error)
    if isinstance(error, KeyError) and "table_handle" in text:
        layer = text.strip("'").split("/None_Lookup")[0].rpartition("/")[2]
        return f"the layer {layer} looks values up in a table, which ONNX' numbers cannot"
    return cause(error)


def failed(name: str, why: str) -> ExportError:
    """The error of a model that has no form in ONNX."""
    return ExportError(
        f"{name} cannot be turned into ONNX ({why[:200]})",
        "layers that tf2onnx converts",
        "replace the layer that is named",
    )
