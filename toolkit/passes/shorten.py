"""The same computation in fewer bytes: what only people read is dropped, and twins are shared."""

from __future__ import annotations

import itertools
import string
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from toolkit.constants import constants
from toolkit.glossary import Fit, Stage, Step
from toolkit.onnx_graph import inner_graphs
from toolkit.passes.base import Pass
from toolkit.passes.joining import CAST, compact, halved, join

_CONVOLUTIONS = ("Conv", "ConvInteger", "QLinearConv")
_ZEROS = {
    "ConvInteger": (1, 3),
    "DequantizeLinear": (0, 2),
    "DynamicQuantizeMatMul": (1, 3),
    "MatMulInteger": (1, 3),
    "MatMulIntegerToFloat": (1, 5),
    "QGemm": (3, 5),
    "QLinearConv": (3, 5),
    "QLinearMatMul": (3, 5),
}
"""Operator -> the places of its weight and of that weight's zero point."""
_LETTERS = string.ascii_letters + string.digits + "!#$%&()*+-./:;<=>?@[]^_{|}~"
"""What tensors are called; exporters use signs too, so that every tool reads them."""


@dataclass(frozen=True, kw_only=True)
class Shorten(Pass):
    """Drop names, documentation, inferred shapes and defaults, share equal weights, shorten names.

    Outputs stay bit-identical. Input, output and metadata keep their names. Where there are inner
    graphs (loops, branches) a name means the same in all of them, and no weights are joined.
    """

    stage: ClassVar[Stage] = "onnx"
    rank: ClassVar[int] = 3

    def __call__(self, model: Any, fit: Fit, seed: int = 0) -> Step:  # noqa: ARG002
        """Give the shorter model; facts hold the bytes before and after."""
        from onnx import ModelProto

        short = ModelProto()
        short.CopyFrom(model)
        graph = short.graph
        short.ClearField("doc_string")
        # what made the file stands in the manifest
        for made in ("producer_name", "producer_version", "model_version"):
            short.ClearField(made)
        said = [p for p in short.metadata_props if not _idle(p)]
        said = [type(p).FromString(p.SerializeToString()) for p in said]
        del short.metadata_props[:]
        short.metadata_props.extend(said)
        versions = {o.domain: o.version for o in short.opset_import}
        _only_used_opsets(short)
        # the innermost first: what is said of a node is copied with the graphs that it holds
        every = list(_graphs(graph))
        for one in reversed(every):
            del one.value_info[:]
            one.name = "g"
            for told in (one, *one.node, *one.initializer):
                told.ClearField("doc_string")
            for node in one.node:
                node.ClearField("name")
                if not node.domain:
                    node.ClearField("domain")
                _say_less(node, versions)
        _share(graph, _apart(short))
        _rename(graph, _short_names(graph))
        if len(every) == 1:
            join(graph, versions.get("", versions.get("ai.onnx", 0)), _more_names(graph))
            _narrow(graph)
            _compacted(graph)
            _rename(graph, _short_names(graph))
        return Step(short, {"bytes_before": model.ByteSize(), "bytes_after": short.ByteSize()})


def _idle(said: Any) -> bool:
    """Whether a note serves nobody who runs the file: what made it, and classes called by their
    places, as those without a name are anyway.
    """
    names = said.value.split("\n")
    numbers = said.key == "classes" and names == [str(i) for i in range(len(names))]
    return bool(numbers or said.key == "producer" or said.value == "onnxruntime.quant")


def _graphs(graph: Any) -> Iterator[Any]:
    """The graph and those that its nodes hold, each before its own."""
    yield graph
    for node in graph.node:
        for inner in inner_graphs(node):
            yield from _graphs(inner)


def _only_used_opsets(model: Any) -> None:
    """Drop the operator sets that no node is of; quantisers and exporters name many."""
    if any(map(inner_graphs, model.graph.node)):
        return
    used = {n.domain for n in model.graph.node} | {"", "ai.onnx"}
    used |= {n.domain for f in model.functions for n in f.node}
    kept = [type(o).FromString(o.SerializeToString()) for o in model.opset_import]
    del model.opset_import[:]
    model.opset_import.extend(o for o in kept if o.domain in used)


def _say_less(node: Any, versions: dict[str, int]) -> None:
    """Drop attributes that say what holds without them."""
    from onnx import defs, helper

    domain = node.domain
    if not defs.has(node.op_type, domain) or domain not in versions:
        return
    known = defs.get_schema(node.op_type, versions[domain], domain).attributes
    kept = []
    for given in node.attribute:
        usual = known[given.name].default_value if given.name in known else None
        value = helper.get_attribute_value(given)
        same = usual is not None and bool(usual.name)
        same = same and helper.get_attribute_value(usual) == value  # type: ignore[arg-type]
        if node.op_type in _CONVOLUTIONS:
            same |= given.name in ("dilations", "strides") and set(value) == {1}
            same |= given.name == "pads" and set(value) == {0}
            same |= given.name == "kernel_shape"  # the weights have it
        if not same:
            kept.append(type(given).FromString(given.SerializeToString()))
    del node.attribute[:]
    node.attribute.extend(kept)


def _compacted(graph: Any) -> None:
    """Small whole numbers, such as places and ends, in as many bytes as they have digits."""
    from onnx import TensorProto, numpy_helper

    for tensor in graph.initializer:
        if tensor.data_type in (TensorProto.INT32, TensorProto.INT64):
            tensor.CopyFrom(compact(numpy_helper.to_array(tensor), tensor.name))


def _narrow(graph: Any) -> None:
    """Biases and steps that 16 bits hold exactly take these; a runtime widens them as it loads."""
    from onnx import helper, numpy_helper

    casts = []
    for tensor in graph.initializer:
        half = halved(numpy_helper.to_array(tensor))
        if half is None or half.nbytes <= CAST:
            continue
        name, wide = tensor.name, tensor.data_type
        tensor.CopyFrom(numpy_helper.from_array(half, f"{name}/16"))
        casts.append(helper.make_node("Cast", [f"{name}/16"], [name], to=wide))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


def _apart(model: Any) -> set[str]:
    """The zero points of weights beyond 7 bits: where it is to sum exactly, onnxruntime turns each
    such weight to bytes without a sign, with its zero point, and loads no file that shares these.
    """
    found: set[str] = set()
    rounded = [node for node in model.graph.node if node.op_type in _ZEROS]
    known = constants(model) if rounded else {}
    for node in rounded:
        weight, zero = (
            node.input[place] if len(node.input) > place else "" for place in _ZEROS[node.op_type]
        )
        values = known.get(weight)
        if values is None or values.dtype != np.int8:
            continue
        if values.min(initial=0) < -64 or values.max(initial=0) > 63:
            found.add(zero)
    return found


def _share(graph: Any, apart: set[str]) -> None:
    """Drop weights that equal an earlier one and point their readers at that one; not `apart`."""
    first: dict[bytes, str] = {}
    twins: dict[str, str] = {}
    kept = []
    for tensor in graph.initializer:
        name, tensor.name = tensor.name, ""
        key = tensor.SerializeToString()
        tensor.name = name
        if key in first and name not in apart:
            twins[name] = first[key]
        else:
            if name not in apart:
                first[key] = name
            kept.append(type(tensor).FromString(tensor.SerializeToString()))
    del graph.initializer[:]
    graph.initializer.extend(kept)
    _rename(graph, twins)


def _short_names(graph: Any) -> dict[str, str]:
    """Of inner tensors, the more often one is named the shorter."""
    ends = {v.name for v in (*graph.input, *graph.output)}
    named: Counter[str] = Counter()
    for one in _graphs(graph):
        named.update(t.name for t in (*one.initializer, *one.input, *one.output))
        named.update(name for node in one.node for name in (*node.output, *node.input))
    long = [name for name, _ in named.most_common() if name and name not in ends]
    fresh = (name for name in map(_letters, itertools.count()) if name not in ends)
    return dict(zip(long, fresh, strict=False))


def _more_names(graph: Any) -> Iterator[str]:
    """Names that nothing bears yet."""
    taken = {v.name for v in (*graph.input, *graph.output)}
    taken |= {name for node in graph.node for name in (*node.output, *node.input)}
    return (name for name in map(_letters, itertools.count()) if name not in taken)


def _rename(graph: Any, names: dict[str, str]) -> None:
    """Also in inner graphs, which may read what the outer ones make; ends of the outer one stay."""
    for one in _graphs(graph):
        ends = () if one is graph else (*one.input, *one.output)
        for tensor in (*one.initializer, *ends):
            tensor.name = names.get(tensor.name, tensor.name)
        for node in one.node:
            for tensors in (node.input, node.output):
                for i, tensor in enumerate(tensors):
                    tensors[i] = names.get(tensor, tensor)


def _letters(number: int) -> str:
    """Short distinct names.

    >>> _letters(0), _letters(61), _letters(len(_LETTERS))
    ('a', '9', 'aa')
    """
    number, rest = divmod(number, len(_LETTERS))
    return (_letters(number - 1) if number else "") + _LETTERS[rest]
