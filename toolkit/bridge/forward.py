"""Keras 3 model -> its twin in tf_keras: the same graph, layer by layer, and the same weights."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from toolkit.bridge import operations
from toolkit.bridge.configs import built
from toolkit.errors import ModelError


@dataclass(frozen=True, eq=False)
class Twin:
    """A tf_keras model and, by the names of its layers, the Keras 3 layers they stand for."""

    model: Any
    layers: dict[str, Any] = field(default_factory=dict)


def to_tf_keras(model: Any, *, split: bool = False) -> Twin:
    """Rebuild a Keras 3 model in tf_keras; nested models become part of the one graph.

    split: write a separable convolution as a depthwise and a 1x1 one, for tools that know no
    separable ones. Raises ModelError that names the layer which tf_keras cannot hold.
    """
    import tf_keras

    graph = _graph(model)
    inputs = [
        tf_keras.Input(batch_shape=tuple(t.shape), dtype=t.dtype, name=f"input_{i}")
        for i, t in enumerate(graph._inputs)
    ]
    walk = _Walk(split)
    outputs = walk.run(graph, inputs)
    twin = tf_keras.Model(inputs[0] if len(inputs) == 1 else inputs, outputs, name=model.name)
    for name, (layer, pick) in walk.sources.items():
        own = twin.get_layer(name)
        values = [w.numpy() for w in _weights(layer)]
        if pick is not None:
            values = pick(values)
        if len(own.weights) != len(values):
            # what a layer's config carries needs no copying (Normalization's mean)
            if values and own.weights:
                raise _cannot(layer, "it has other weights there")
            continue
        for weight, value in zip(own.weights, values, strict=True):
            weight.assign(value.reshape(weight.shape))
    return Twin(twin, {name: layer for name, (layer, _) in walk.sources.items()})


class _Walk:
    """One pass over a graph and the graphs inside it."""

    def __init__(self, split: bool) -> None:
        self.split = split
        self.made: dict[int, Any] = {}
        self.sources: dict[str, tuple[Any, Any]] = {}

    def run(self, graph: Any, inputs: list[Any]) -> Any:
        """Call the twin of every operation on the tensors of the twin; gives the outputs."""
        import keras

        there = {id(t): tensor for t, tensor in zip(graph._inputs, inputs, strict=True)}

        def mapped(value: Any) -> Any:
            return there[id(value)] if isinstance(value, keras.KerasTensor) else value

        needed = _needed(graph)
        for depth in sorted(graph._nodes_by_depth, reverse=True):
            for node in graph._nodes_by_depth[depth]:
                if node.is_input or id(node) not in needed:
                    continue
                args = keras.tree.map_structure(mapped, node.arguments.args)
                kwargs = keras.tree.map_structure(mapped, _kwargs(node))
                given = self.call(node.operation, args, kwargs)
                for old, new in zip(node.outputs, keras.tree.flatten(given), strict=True):
                    there[id(old)] = new
        return keras.tree.map_structure(lambda t: there[id(t)], graph._outputs_struct)

    def call(self, operation: Any, args: Any, kwargs: Any) -> Any:
        """The twin of one operation, called."""
        import keras

        if isinstance(operation, keras.Sequential | keras.Model):
            return self.run(_graph(operation), keras.tree.flatten(args))
        if not isinstance(operation, keras.layers.Layer):
            return operations.call(operation, args, kwargs)
        if self.split and isinstance(operation, keras.layers.SeparableConv2D):
            return self._separable(operation, *args)
        if id(operation) not in self.made:
            layer = built(operation, self._free(operation.name))
            self.made[id(operation)] = layer
            self.sources[layer.name] = (operation, None)
        return self.made[id(operation)](*args, **kwargs)

    def _separable(self, layer: Any, x: Any) -> Any:
        """A depthwise convolution, then a 1x1 one with the bias and the activation."""
        import tf_keras

        if id(layer) not in self.made:
            depthwise = tf_keras.layers.DepthwiseConv2D(
                layer.kernel_size,
                layer.strides,
                layer.padding,
                layer.depth_multiplier,
                data_format=layer.data_format,
                dilation_rate=layer.dilation_rate,
                use_bias=False,
                name=self._free(f"{layer.name}_depthwise"),
            )
            self.sources[depthwise.name] = (layer, lambda values: values[:1])
            pointwise = tf_keras.layers.Conv2D(
                layer.filters,
                1,
                data_format=layer.data_format,
                use_bias=layer.use_bias,
                activation=layer.activation.__name__,
                name=self._free(f"{layer.name}_pointwise"),
            )
            self.sources[pointwise.name] = (layer, lambda values: values[1:])
            self.made[id(layer)] = (depthwise, pointwise)
        depthwise, pointwise = self.made[id(layer)]
        return pointwise(depthwise(x))

    def _free(self, name: str) -> str:
        """A name that no layer of the twin has, since nested models may repeat names."""
        found, number = name, 1
        while found in self.sources:
            number += 1
            found = f"{name}_{number}"
        return found


def _kwargs(node: Any) -> dict[str, Any]:
    """The keyword arguments of a call; tf_keras finds masks by itself."""
    return {k: v for k, v in node.arguments.kwargs.items() if k not in ("mask", "training")}


def _needed(graph: Any) -> set[int]:
    """The nodes from which the outputs come, without those that only make masks."""
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
            every = keras.tree.flatten([node.arguments.args, _kwargs(node)])
            waiting += [t for t in every if isinstance(t, keras.KerasTensor)]
    return found


def _graph(model: Any) -> Any:
    """The functional graph of a Sequential or functional model."""
    import keras

    if isinstance(model, keras.Sequential):
        if model._functional is None:
            raise _cannot(model, "it has no input shape yet")
        return model._functional
    if not hasattr(model, "_nodes_by_depth"):
        raise _cannot(model, "it is a subclassed model, which is code and no graph")
    return model


def _weights(layer: Any) -> list[Any]:
    """The weights of a layer without the states of random generators."""
    return [w for w in layer.weights if "seed_generator" not in w.path]


def _cannot(layer: Any, why: str) -> ModelError:
    return ModelError(
        f"layer {layer.name} ({type(layer).__name__}) has no twin in tf_keras: {why}",
        "layers that both Kerases have",
        "leave out the training-time passes for this model, or replace the layer",
    )
