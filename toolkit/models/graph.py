"""Walking the graph of a Keras model, node by node, and building it anew with changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from toolkit.errors import ModelError
from toolkit.undisturbed import undisturbed

KNOWN = ("keras.", "toolkit.models.legacy")
"""Where layers come from whose names say what they do."""

Call = Callable[[Any, Any, Any], Any]
"""(node, arguments, keyword arguments) -> the tensors that stand for the node's outputs."""


def graph_of(model: Any) -> Any:
    """The functional graph of a Sequential or functional model.

    Raises ModelError for a model that is code and no graph.
    """
    import keras

    if isinstance(model, keras.Sequential):
        if model._functional is None:
            raise _no_graph(model, "it has no input shape yet")
        return model._functional
    if not hasattr(model, "_nodes_by_depth"):
        raise _no_graph(model, "it is a subclassed model, which is code and no graph")
    return model


def walk(model: Any, inputs: list[Any], call: Call) -> Any:
    """Send `inputs` through the graph; `call` answers for each node, nested models are entered.

    Nodes that only make masks are passed over: the layers find masks by themselves.
    """
    import keras

    graph = graph_of(model)
    there = {id(t): tensor for t, tensor in zip(graph._inputs, inputs, strict=True)}

    def mapped(value: Any) -> Any:
        return there[id(value)] if isinstance(value, keras.KerasTensor) else value

    for node in nodes_of(graph):
        args = keras.tree.map_structure(mapped, node.arguments.args)
        kwargs = keras.tree.map_structure(mapped, keywords(node))
        if isinstance(node.operation, keras.Sequential | keras.Model):
            given = walk(node.operation, keras.tree.flatten(args), call)
        else:
            given = call(node, args, kwargs)
        for old, new in zip(node.outputs, keras.tree.flatten(given), strict=True):
            there[id(old)] = new
    return keras.tree.map_structure(lambda t: there[id(t)], graph._outputs_struct)


def nodes_of(graph: Any) -> list[Any]:
    """The nodes from which the outputs come, inputs first, without those that only make masks."""
    needed = _needed(graph)
    depths = sorted(graph._nodes_by_depth, reverse=True)
    every = [node for depth in depths for node in graph._nodes_by_depth[depth]]
    return [node for node in every if not node.is_input and id(node) in needed]


def keywords(node: Any) -> dict[str, Any]:
    """The keyword arguments of a call but for the mode and for masks that layers find again."""
    import keras

    found = [getattr(t, "_keras_mask", None) for t in node.arguments.keras_tensors]
    kwargs = {k: v for k, v in node.arguments.kwargs.items() if k != "training"}
    masks = keras.tree.flatten(kwargs.get("mask"))
    if all(mask is None or any(_same(mask, one) for one in found) for mask in masks):
        kwargs.pop("mask", None)
    return kwargs


def _same(one: Any, other: Any) -> bool:
    """Whether two values of a graph are one, or made alike: a file read again makes masks twice."""
    import keras

    if not all(isinstance(value, keras.KerasTensor) for value in (one, other)):
        plain = not any(isinstance(value, keras.KerasTensor) for value in (one, other))
        return one is other or (plain and bool(np.array_equal(one, other)))
    if one is other:
        return True
    (maker, i, place), (its, j, there) = one._keras_history, other._keras_history
    layers = isinstance(maker, keras.layers.Layer) or isinstance(its, keras.layers.Layer)
    if type(maker) is not type(its) or layers or place != there:
        return False
    nodes = maker._inbound_nodes[i], its._inbound_nodes[j]
    given, their = (
        keras.tree.flatten([node.arguments.args, node.arguments.kwargs]) for node in nodes
    )
    return len(given) == len(their) and all(map(_same, given, their))


class Names:
    """Names that no other layer has, since nested models may repeat them."""

    def __init__(self) -> None:
        """Start with no name taken."""
        self.taken: set[str] = set()

    def free(self, name: str) -> str:
        """`name`, or the name with a number."""
        found, number = name, 1
        while found in self.taken:
            number += 1
            found = f"{name}_{number}"
        self.taken.add(found)
        return found


class Rebuilding:
    """A Keras model built anew: layers are made from their configs, then get their weights."""

    def __init__(self) -> None:
        """Start with nothing made."""
        self.names = Names()
        self.made: dict[Any, Any] = {}
        self.weights: list[tuple[Any, list[Any]]] = []

    def layer(
        self, old: Any, values: list[Any] | None = None, *, per: Any = None, **changes: Any
    ) -> Any:
        """The new layer that stands for `old`, with changed settings; one for each `old`.

        values: its weights; those of `old` when not given. per: what else calls of `old` must have
        in common to get one layer.
        """
        values = [w.numpy() for w in old.weights] if values is None else values
        config = {**old.get_config(), **changes}
        return self.fresh(
            id(old) if per is None else (id(old), per),
            old.name,
            lambda name: type(old).from_config({**config, "name": name}),
            values,
        )

    def fresh(self, key: Any, name: str, make: Callable[[str], Any], values: list[Any]) -> Any:
        """A new layer, made once for `key` with a free name, and the weights it will get."""
        if key not in self.made:
            self.made[key] = make(self.names.free(name))
            self.weights.append((self.made[key], values))
        return self.made[key]

    def again(self, node: Any, args: Any, kwargs: Any) -> Any:
        """The same operation on new tensors."""
        import keras

        same = node.operation
        if isinstance(same, keras.layers.Layer):
            same = self.layer(same)
        return same(*args, **kwargs)

    @undisturbed()
    def model(self, old: Any, call: Call, enter: Callable[[Any, Any], Any] | None = None) -> Any:
        """The model that comes of walking `old` with `call`.

        enter: (old input, new input) -> the tensor that the graph begins with.
        """
        import keras

        graph = graph_of(old)
        inputs = [
            keras.Input(batch_shape=t.shape, dtype=t.dtype, name=self.names.free(t.name))
            for t in graph._inputs
        ]
        started = inputs if enter is None else list(map(enter, graph._inputs, inputs))
        outputs = walk(graph, started, call)
        new = keras.Model(inputs[0] if len(inputs) == 1 else inputs, outputs, name=old.name)
        for layer, values in self.weights:
            for weight, value in zip(layer.weights, values, strict=True):
                weight.assign(np.reshape(value, weight.shape))
        settle(new)
        return new


@undisturbed()
def copied(model: Any) -> Any:
    """A new keras.Model with the same architecture and the same weights."""
    import keras

    compiled, model.compiled = model.compiled, False  # a loss of ours has no name to find it by
    try:
        twin = keras.models.clone_model(model)
    finally:
        model.compiled = compiled
    twin.set_weights(model.get_weights())
    settle(twin)
    return twin


def single(model: Any) -> Any:
    """The model; one that gives its only output by a name, in a dict, with that output alone."""
    import keras

    if isinstance(getattr(model, "_outputs_struct", None), dict) and len(model.outputs) == 1:
        inputs = model.inputs[0] if len(model.inputs) == 1 else model.inputs
        return keras.Model(inputs, model.outputs[0], name=model.name)
    return model


def settle(layer: Any) -> None:
    """Let every Normalization in a layer or model compute with the weights it has now.

    It goes on with those it had when it was built, mean 0 and variance 1, until it is told. Others
    that can be told so, as a Discretization, have what they learnt in their config, and would lose
    it.
    """
    for inner in layer._flatten_layers():
        if hasattr(inner, "adapt_mean"):
            inner.finalize_state()


def flat(model: Any) -> Any:
    """A copy of the model with nested models as part of the one graph.

    A dense layer that is spread over time is the dense layer alone, which computes the same.
    """
    import keras

    building = Rebuilding()

    def call(node: Any, args: Any, kwargs: Any) -> Any:
        inner = getattr(node.operation, "layer", None)
        spread = isinstance(node.operation, keras.layers.TimeDistributed) and not kwargs
        if spread and type(inner) is keras.layers.Dense:
            return building.layer(inner)(*args)
        return building.again(node, args, kwargs)

    return building.model(model, call)


def _needed(graph: Any) -> set[int]:
    import keras

    makers = {
        id(t): node
        for nodes in graph._nodes_by_depth.values()
        for node in nodes
        for t in node.outputs
    }
    found: set[int] = set()
    waiting = keras.tree.flatten(graph._outputs_struct)
    while waiting:
        node = makers.get(id(waiting.pop()))
        if node is None or id(node) in found:
            continue
        found.add(id(node))
        if not node.is_input:
            every = keras.tree.flatten([node.arguments.args, keywords(node)])
            waiting += [t for t in every if isinstance(t, keras.KerasTensor)]
    return found


def _no_graph(model: Any, why: str) -> ModelError:
    return ModelError(
        f"{model.name} ({type(model).__name__}) cannot be rebuilt: {why}",
        "a Sequential or functional model",
        "write it as one, or leave out the training-time passes",
    )
