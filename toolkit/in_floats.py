"""An `.onnx` that is asked and answers in float32, whatever its own input and outputs hold."""

from __future__ import annotations

from typing import Any

_FLOATS = ("FLOAT16", "DOUBLE")
_NUMBERS = (*_FLOATS, "BOOL", *(f"{sign}INT{n}" for sign in ("", "U") for n in (8, 16, 32, 64)))


def in_floats(model: Any) -> Any:
    """The onnx.ModelProto with a cast behind each input of other numbers and each output of floats.

    Itself where nothing is cast. Integers up to 2^24, as tokens and pixels are, pass unchanged.

    >>> from onnx import parser
    >>> net = "net (int64[n] x) => (int64[n] y) { y = Abs (x) }"
    >>> made = in_floats(parser.parse_model('<ir_version: 8, opset_import: ["" : 17]>' + net))
    >>> [node.op_type for node in made.graph.node], made.graph.input[0].name
    (['Cast', 'Abs'], 'x/float32')
    """
    from onnx import TensorProto, helper

    other = type(model)()
    other.CopyFrom(model)
    graph = other.graph
    taken = {name for node in graph.node for name in (*node.input, *node.output)}
    held = {t.name for t in graph.initializer}
    before, after = [], []
    for values, kinds in ((graph.input, _NUMBERS), (graph.output, _FLOATS)):
        for value in values:
            kind = value.type.tensor_type.elem_type
            if value.name in held or TensorProto.DataType.Name(kind) not in kinds:
                continue
            own, new = value.name, f"{value.name}/float32"
            while new in taken:
                new += "_"
            value.name, value.type.tensor_type.elem_type = new, TensorProto.FLOAT
            if values is graph.input:
                before.append(helper.make_node("Cast", [new], [own], to=kind))
            else:
                after.append(helper.make_node("Cast", [own], [new], to=TensorProto.FLOAT))
    if not before and not after:
        return model
    nodes = [*before, *graph.node, *after]
    del graph.node[:]
    graph.node.extend(nodes)
    return other
