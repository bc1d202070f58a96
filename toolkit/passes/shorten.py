"""The same computation in fewer bytes: what only people read is dropped, and twins are shared."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any, ClassVar

from toolkit.glossary import Fit, Stage, Step
from toolkit.passes.base import Pass


@dataclass(frozen=True, kw_only=True)
class Shorten(Pass):
    """Drop node names, documentation, inferred shapes, unused opsets; share weights, shorten names.

    Outputs stay bit-identical. Input, output and metadata keep their names. Graphs with inner
    graphs (loops, branches) keep their tensor names, which the inner graphs may use.
    """

    stage: ClassVar[Stage] = "onnx"

    def __call__(self, model: Any, fit: Fit, seed: int = 0) -> Step:  # noqa: ARG002
        """Give the shorter model; facts hold the bytes before and after."""
        from onnx import ModelProto

        short = ModelProto()
        short.CopyFrom(model)
        graph = short.graph
        short.doc_string = graph.doc_string = ""
        del graph.value_info[:]
        _only_used_opsets(short)
        inner = any(a.HasField("g") or a.graphs for n in graph.node for a in n.attribute)
        for node in graph.node:
            node.name = node.doc_string = ""
        if not inner:
            _share(graph)
            _rename(graph, _short_names(graph))
        return Step(short, {"bytes_before": model.ByteSize(), "bytes_after": short.ByteSize()})


def _only_used_opsets(model: Any) -> None:
    """Drop the operator sets that no node is of; quantisers and exporters name many."""
    if any(a.HasField("g") or a.graphs for n in model.graph.node for a in n.attribute):
        return
    used = {n.domain for n in model.graph.node} | {"", "ai.onnx"}
    used |= {n.domain for f in model.functions for n in f.node}
    kept = [type(o).FromString(o.SerializeToString()) for o in model.opset_import]
    del model.opset_import[:]
    model.opset_import.extend(o for o in kept if o.domain in used)


def _share(graph: Any) -> None:
    """Drop weights that equal an earlier one and point their readers at that one."""
    first: dict[bytes, str] = {}
    twins: dict[str, str] = {}
    kept = []
    for tensor in graph.initializer:
        name, tensor.name, tensor.doc_string = tensor.name, "", ""
        key = tensor.SerializeToString()
        tensor.name = name
        if key in first:
            twins[name] = first[key]
        else:
            first[key] = name
            kept.append(type(tensor).FromString(tensor.SerializeToString()))
    del graph.initializer[:]
    graph.initializer.extend(kept)
    _rename(graph, twins)


def _short_names(graph: Any) -> dict[str, str]:
    ends = {v.name for v in (*graph.input, *graph.output)}
    inside = [t.name for t in graph.initializer] + [o for n in graph.node for o in n.output]
    long = [name for name in inside if name and name not in ends]
    fresh = (name for name in map(_letters, itertools.count()) if name not in ends)
    return dict(zip(long, fresh, strict=False))


def _rename(graph: Any, names: dict[str, str]) -> None:
    for tensor in graph.initializer:
        tensor.name = names.get(tensor.name, tensor.name)
    for node in graph.node:
        for tensors in (node.input, node.output):
            for i, tensor in enumerate(tensors):
                tensors[i] = names.get(tensor, tensor)


def _letters(number: int) -> str:
    """Short distinct names.

    >>> _letters(0), _letters(25), _letters(26)
    ('a', 'z', 'aa')
    """
    number, rest = divmod(number, 26)
    return (_letters(number - 1) if number else "") + "abcdefghijklmnopqrstuvwxyz"[rest]
