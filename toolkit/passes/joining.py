"""Steps and biases of all layers held as one tensor, which a runtime takes apart when it loads.

Each tensor in a file has a head of a dozen bytes, and a Cast where 16 bits hold its values; what is
joined has one head and one Cast, and a Split that says where each part ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

CAST = 28
"""Bytes that a Cast takes in a file, about."""
_OPSET = 13
"""The first whose Split takes lengths as an input."""
_READERS = ("Add", "Conv", "ConvTranspose", "DequantizeLinear", "Gemm", "MatMulIntegerToFloat")
"""Beside those whose names begin with Q: of others a runtime may want a constant from the first."""


def halved(values: Array) -> Array | None:
    """Values of FLOAT or INT32 in 16 bits, or None where these do not hold them exactly.

    >>> halved(np.float32([0.5, 3])).dtype.name, halved(np.float32([0.1])), halved(np.int32([1e6]))
    ('float16', None, None)
    """
    narrow = {"float32": np.float16, "int32": np.int16}.get(values.dtype.name)
    if narrow is None:
        return None
    with np.errstate(over="ignore"):
        half: Array = values.astype(narrow)
    return half if np.array_equal(half.astype(values.dtype), values) else None


def compact(values: Array, name: str) -> Any:
    """A TensorProto in the shorter of its two forms: bytes as they are, or numbers of few digits.

    >>> compact(np.array([3, 64]), "n").ByteSize() < compact(np.array([3, 2**60]), "n").ByteSize()
    True
    """
    from onnx import helper, numpy_helper

    plain = numpy_helper.from_array(values, name)
    if values.dtype.name not in ("int32", "int64"):
        return plain
    short = helper.make_tensor(name, plain.data_type, values.shape, values.reshape(-1).tolist())
    return min(plain, short, key=lambda t: t.ByteSize())


def join(graph: Any, opset: int, names: Iterator[str]) -> None:
    """Join constants of an onnx.GraphProto that are alike, where that takes fewer bytes.

    names: for new tensors; none that the graph has.
    """
    from onnx import numpy_helper

    if opset < _OPSET:
        return
    groups: dict[tuple[int, bool], list[Any]] = {}
    for tensor in _joinable(graph):
        half = halved(numpy_helper.to_array(tensor)) is not None
        groups.setdefault((tensor.data_type, half), []).append(tensor)
    lengths: dict[tuple[int, ...], str] = {}
    gone: set[str] = set()
    more: list[Any] = []
    first: list[Any] = []
    for (_, half), members in groups.items():
        before = sum(t.ByteSize() + 2 for t in members)
        before -= sum(max(2 * t.dims[0] - CAST, 0) for t in members if half)
        known = dict(lengths)
        tensors, nodes = _taken_apart(members, opset, names, known)
        # more names are longer names: a byte for each that is new
        after = sum(m.ByteSize() + 2 for m in (*tensors, *nodes)) + len(members)
        if after < before:
            gone |= {t.name for t in members}
            more, first, lengths = more + tensors, first + nodes, known
    kept = [t for t in graph.initializer if t.name not in gone]
    kept = [type(t).FromString(t.SerializeToString()) for t in (*kept, *more)]
    first += [type(n).FromString(n.SerializeToString()) for n in graph.node]
    del graph.initializer[:], graph.node[:]
    graph.initializer.extend(kept)
    graph.node.extend(first)


def _joinable(graph: Any) -> Iterator[Any]:
    """Vectors that only layers and roundings read."""
    from onnx import TensorProto

    kept = (TensorProto.FLOAT, TensorProto.INT32)
    ends = {v.name for v in (*graph.input, *graph.output)}
    readers: dict[str, list[str]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node.op_type)
    for tensor in graph.initializer:
        kinds = readers.get(tensor.name, [])
        vector = len(tensor.dims) == 1 and tensor.data_type in kept
        if vector and tensor.name not in ends and all(map(_may_be_computed, kinds)):
            yield tensor


def _may_be_computed(kind: str) -> bool:
    return kind.startswith("Q") or kind in _READERS


def _taken_apart(
    members: list[Any], opset: int, names: Iterator[str], lengths: dict[tuple[int, ...], str]
) -> tuple[list[Any], list[Any]]:
    """The tensors and nodes that make `members` again."""
    from onnx import helper, numpy_helper

    tensors: list[Any] = []
    nodes: list[Any] = []

    def held(values: Array, wide: int) -> str:
        """The name of values, which are stored in fewer bits where a Cast is worth it."""
        small = halved(values)
        name = next(names)
        saved = 0 if small is None else values.nbytes - small.nbytes
        if small is None or saved <= CAST:
            tensors.append(compact(values, name))
            return name
        tensors.append(numpy_helper.from_array(small, name))
        nodes.append(helper.make_node("Cast", [name], [next(names)], to=wide))
        return str(nodes[-1].output[0])

    whole = np.concatenate([numpy_helper.to_array(t) for t in members])
    inputs = [held(whole, members[0].data_type)]
    settings: dict[str, Any] = {}
    sizes = tuple(t.dims[0] for t in members)
    if len(set(sizes)) > 1:
        if sizes not in lengths:
            lengths[sizes] = next(names)
            tensors.append(compact(np.array(sizes), lengths[sizes]))
        inputs.append(lengths[sizes])
    elif opset >= 18:
        settings["num_outputs"] = len(members)
    nodes.append(helper.make_node("Split", inputs, [t.name for t in members], **settings))
    return tensors, nodes
