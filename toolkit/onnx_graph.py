"""An ONNX graph that can be read by tensor and changed node by node."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_HOLDING = ("If", "Loop", "Scan", "SequenceMap")
"""Operators of ONNX that hold graphs."""


class Graph:
    """A copy of a model: who makes and who reads each tensor, its constants, and new nodes.

    Nodes may be added in any order: `finished` sorts them and drops what nobody reads.
    """

    def __init__(self, model: Any) -> None:
        """Copy the onnx.ModelProto; it stays as it is."""
        self.model = type(model)()
        self.model.CopyFrom(model)
        graph = self.model.graph
        self.nodes: list[Any] = list(graph.node)
        self.constants: dict[str, Any] = {t.name: t for t in graph.initializer}
        self.ends = [o.name for o in graph.output]
        self.taken = {*self.constants, *(i.name for i in graph.input)}
        self.taken |= {name for node in self.nodes for name in (*node.output, *_made_inside(node))}

    def maker(self, tensor: str) -> Any:
        """The node that makes a tensor, or None for inputs and constants."""
        return next((n for n in self.nodes if tensor in n.output), None)

    def readers(self, tensor: str) -> list[Any]:
        """The nodes that read a tensor, also from graphs inside them, as bodies of loops do."""
        return [
            n
            for n in self.nodes
            if tensor in n.input or (n.op_type in _HOLDING and tensor in _reads_inside(n))
        ]

    def only_reader(self, tensor: str) -> Any:
        """The single node that reads a tensor which is no output of the graph, or None."""
        found = self.readers(tensor)
        return found[0] if len(found) == 1 and tensor not in self.ends else None

    def value(self, tensor: str) -> NDArray[Any] | None:
        """The values of a constant, or None."""
        from onnx import numpy_helper

        held = self.constants.get(tensor)
        return None if held is None else np.asarray(numpy_helper.to_array(held))

    def constant(self, values: Any, name: str) -> str:
        """Hold an array under a free name like `name`, and say which."""
        from onnx import numpy_helper

        name = self.free(name)
        self.constants[name] = numpy_helper.from_array(np.asarray(values), name)
        return name

    def free(self, name: str) -> str:
        """A tensor name that is not taken yet."""
        found, number = name, 1
        while found in self.taken:
            number += 1
            found = f"{name}/{number}"
        self.taken.add(found)
        return found

    def add(
        self, kind: str, inputs: list[str], output: str, domain: str = "", **settings: Any
    ) -> str:
        """A new node that makes one tensor, whose name comes back."""
        from onnx import helper

        self.nodes.append(helper.make_node(kind, inputs, [output], domain=domain, **settings))
        return output

    def drop(self, node: Any) -> None:
        """Take a node out."""
        self.nodes = [n for n in self.nodes if n is not node]

    def swap(self, old: str, new: str) -> None:
        """Let whoever reads `old` read `new`."""
        for node in self.readers(old):
            _swapped(node, old, new)

    def finished(self) -> Any:
        """The changed model: nodes in order, nothing that is not read."""
        kept = self._sorted()
        read = {i for node in kept for i in reads(node)} | set(self.ends)
        graph = self.model.graph
        nodes = [type(n).FromString(n.SerializeToString()) for n in kept]
        held = [
            type(t).FromString(t.SerializeToString())
            for name, t in self.constants.items()
            if name in read
        ]
        del graph.node[:], graph.initializer[:], graph.value_info[:]
        graph.node.extend(nodes)
        graph.initializer.extend(held)
        return self.model

    def _sorted(self) -> list[Any]:
        """Each node after those it reads from, and only those from which the outputs come."""
        makers = {o: n for n in self.nodes for o in n.output}
        done: set[int] = set()
        order: list[Any] = []
        waiting = [(makers[e], False) for e in reversed(self.ends) if e in makers]
        while waiting:
            node, ready = waiting.pop()
            if id(node) in done:
                continue
            if ready:
                done.add(id(node))
                order.append(node)
                continue
            waiting.append((node, True))
            waiting += [(makers[i], False) for i in reversed(reads(node)) if i in makers]
        return order


def inner_graphs(node: Any) -> list[Any]:
    """The graphs that a node holds: bodies of loops and branches."""
    return [
        graph for a in node.attribute for graph in (*([a.g] if a.HasField("g") else []), *a.graphs)
    ]


def nodes_inside(node: Any) -> Iterator[Any]:
    """The nodes of all graphs that a node holds, however deep."""
    for inner in inner_graphs(node):
        for one in inner.node:
            yield one
            yield from nodes_inside(one)


def reads(node: Any) -> list[str]:
    """The tensors that a node reads, those of graphs inside it among them."""
    return [i for i in node.input if i] + _reads_inside(node)


def _reads_inside(node: Any) -> list[str]:
    found = []
    for inner in inner_graphs(node):
        found += [i for n in inner.node for i in reads(n)] + [o.name for o in inner.output]
    return found


def _made_inside(node: Any) -> list[str]:
    """The names that graphs inside a node give; no tensor outside may have one of them."""
    found = []
    for inner in inner_graphs(node):
        found += [i.name for i in (*inner.input, *inner.initializer)]
        found += [name for n in inner.node for name in (*n.output, *_made_inside(n))]
    return found


def _swapped(node: Any, old: str, new: str) -> None:
    for i, tensor in enumerate(node.input):
        if tensor == old:
            node.input[i] = new
    for inner in inner_graphs(node):
        for one in inner.node:
            _swapped(one, old, new)


def plain(model: Any) -> Any:
    """The model with each Gemm as quantisers take it: no alpha and beta, a bias for each output."""
    work, changed = Graph(model), False
    for node in [n for n in work.nodes if n.op_type == "Gemm"]:
        for attribute in list(node.attribute):
            place = {"alpha": 1, "beta": 2}.get(attribute.name, len(node.input))
            values = work.value(node.input[place]) if place < len(node.input) else None
            if values is not None and attribute.f != 1:
                scaled = (values * np.float32(attribute.f)).astype(np.float32)
                node.input[place] = work.constant(scaled, f"{node.output[0]}/{attribute.name}")
                node.attribute.remove(attribute)
                changed = True
        bias = work.value(node.input[2]) if len(node.input) > 2 and node.input[2] else None
        weights = work.value(node.input[1])
        if bias is None or weights is None:
            continue
        turned = any(a.name == "transB" and a.i for a in node.attribute)
        units = weights.shape[0 if turned else 1]
        if bias.shape != (units,) and bias.size in (1, units):
            each = np.ascontiguousarray(np.broadcast_to(bias.reshape(-1), units))
            node.input[2] = work.constant(each, f"{node.output[0]}/bias")
            changed = True
    return work.finished() if changed else model


def beside(path: Path) -> tuple[str, ...]:
    """The files in which an `.onnx` keeps weights that are not in it, sorted."""
    import onnx
    from onnx.external_data_helper import uses_external_data

    held = onnx.load(path, load_external_data=False).graph.initializer
    return tuple(sorted({place for t in held if uses_external_data(t) for place in places(t)}))


def places(held: Any) -> list[str]:
    """The files in which a TensorProto keeps its values."""
    return [str(e.value) for e in held.external_data if e.key == "location"]
