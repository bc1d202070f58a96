"""The channels of a Keras model: which go together, what they cost, and the model without some."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.glossary import Doubles, Ints
from toolkit.models.channel_rules import followed
from toolkit.models.graph import Rebuilding, graph_of, keywords, nodes_of
from toolkit.models.macs import KERNELS, positions
from toolkit.models.ties import NoRule, Ties, Traced, size

Kept = NDArray[np.bool_]
"""bool (channels,): which channels stay; those that go together agree."""


@dataclass(frozen=True, eq=False)
class ChannelMap:
    """Every channel of a flat model has a number; those that go together have the same group.

    group: i64 (channels,), the number that stands for all that go together. layers: id of a
    layer -> how it meets channels. makers: name of a layer -> the groups it makes, i64.
    staying: group -> why it stays. skipped: layer -> why its channels stay.
    """

    group: Ints
    layers: dict[int, Traced]
    makers: dict[str, Ints]
    staying: dict[int, str]
    skipped: dict[str, str]
    costs: list[tuple[int, Any, dict[int, Ints]]] = field(default_factory=list)

    def all(self) -> Kept:
        """Every channel stays."""
        return np.ones(len(self.group), bool)

    def without(self, groups: Ints) -> Kept:
        """All but the channels of these groups."""
        return ~np.isin(self.group, groups)

    def total(self, values: Doubles, numbers: Ints) -> Doubles:
        """Values f64 of channels summed over those that go together, f64 (channels,) by group."""
        found = np.zeros(len(self.group))
        np.add.at(found, self.group[numbers], values)
        return found

    def macs(self, kept: Kept) -> int:
        """Multiplications for one row that are left when the channels in `kept` stay."""
        return sum(places * size(weight, axes, kept) for places, weight, axes in self.costs)

    def blocks(self) -> dict[tuple[str, ...], Ints]:
        """The groups that may go, by the layers that make them together."""
        makers: dict[int, list[str]] = {}
        for name, groups in self.makers.items():
            for group in dict.fromkeys(groups.tolist()):
                makers.setdefault(group, []).append(name)
        found: dict[tuple[str, ...], list[int]] = {}
        for group, names in makers.items():
            if group not in self.staying:
                found.setdefault(tuple(names), []).append(group)
        return {names: np.asarray(groups) for names, groups in found.items()}


def traced(model: Any) -> ChannelMap:
    """Follow the channels through a flat model; those of its input and its classes stay.

    What has no rule is listed in `skipped`, and the channels that touch it stay.
    """
    import keras

    graph, ties = graph_of(model), Ties()
    there: dict[int, Ints] = {}
    for tensor in graph._inputs:
        there[id(tensor)] = ties.new(tensor.shape[-1])
        ties.keep(there[id(tensor)], "they are the inputs")
    layers: dict[int, Traced] = {}
    skipped: dict[str, str] = {}
    names, costs = {}, []
    for node in nodes_of(graph):
        layer = node.operation
        every = keras.tree.flatten([node.arguments.args, keywords(node)])
        given = [there[id(t)] for t in every if isinstance(t, keras.KerasTensor)]
        try:
            found = followed(node, ties, given)
        except NoRule as reason:
            skipped[layer.name] = str(reason)
            outputs = [ties.new(t.shape[-1] if t.shape else None) for t in node.outputs]
            for numbers in (*given, *outputs):
                ties.keep(numbers, f"they reach {layer.name}: {reason}")
            there.update(zip(map(id, node.outputs), outputs, strict=True))
            found = Traced(outputs[0])
        else:
            there[id(node.outputs[0])] = found.out
            if isinstance(layer, keras.layers.Layer):
                _again(ties, layers.setdefault(id(layer), found), found)
        names[layer.name] = layer
        for kernel in KERNELS.get(type(layer).__name__, ()):
            axes = found.weights.get(kernel, {})
            costs.append((positions(node), getattr(layer, kernel), axes))
    for tensor in keras.tree.flatten(graph._outputs_struct):
        ties.keep(there[id(tensor)], "they are the classes")
    group = np.asarray([ties.root(i) for i in range(len(ties.parents))], np.int64)
    staying = {ties.root(number): why for number, why in ties.staying.items()}
    makers = {
        name: group[layers[id(layer)].out]
        for name, layer in names.items()
        if id(layer) in layers and layers[id(layer)].width not in ("", "target_shape")
    }
    for name, groups in makers.items():
        reasons = dict.fromkeys(staying[g] for g in groups.tolist() if g in staying)
        if reasons:
            skipped[name] = "channels stay: " + "; ".join(reasons)
    return ChannelMap(group, layers, makers, staying, skipped, costs)


def cut(model: Any, channels: ChannelMap, kept: Kept) -> Any:
    """The model with only the channels in `kept`; all other weights keep their values.

    Where what follows a removed channel made nothing of it, the answers stay the same.
    """
    building = Rebuilding()

    def call(node: Any, args: Any, kwargs: Any) -> Any:
        layer = node.operation
        if id(layer) not in channels.layers:
            return building.again(node, args, kwargs)
        met = channels.layers[id(layer)]
        axes_of = {id(getattr(layer, name)): axes for name, axes in met.weights.items()}
        values = []
        for weight in layer.weights:
            value = weight.numpy()
            for axis, numbers in axes_of.get(id(weight), {}).items():
                value = np.compress(kept[numbers], value, axis)
            values.append(value)
        width: Any = int(kept[met.out].sum())
        if met.width == "target_shape":
            width = (*layer.target_shape[:-1], width)
        changes = {met.width: width} if met.width else {}
        return building.layer(layer, values, **changes)(*args, **kwargs)

    return building.model(model, call)


def _again(ties: Ties, first: Traced, now: Traced) -> None:
    """A layer that is called more than once has one set of weights for all calls."""
    for name, axes in first.weights.items():
        for axis, numbers in axes.items():
            ties.tie(numbers, now.weights[name][axis])
    if first.width:
        ties.tie(first.out, now.out)
