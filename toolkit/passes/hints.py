"""What a student can learn from inside its teacher: one layer of each, and what joins them.

FitNets, Romero et al. 2015, with the hint learnt beside the answers and not before them. Not
`keras.distillation`: its FeatureDistillation asks for equal shapes, has no adapter, and both nets
see the same rows with labels.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from toolkit.errors import ModelError
from toolkit.glossary import Facts, Floats
from toolkit.models.graph import copied, graph_of, nodes_of
from toolkit.models.heads import head_of, probabilities
from toolkit.shapes import in_shape

MOST_VALUES = 4096
"""Values a row that are compared; larger maps are taken by their mean."""

ROWS = 500


@dataclass(frozen=True, eq=False)
class Hint:
    """A student with a second output, and a teacher that answers for both.

    joined: f32 (n, ...) -> (n, units + size), the student's answers and its adapted features.
    ask: f32 (n, ...) -> the teacher's probabilities (n, k) and features (n, size), each channel at
    mean 0 and deviation 1. weight: of the features in the loss.
    """

    joined: Any
    ask: Callable[[Floats], tuple[Floats, Floats]]
    weight: float
    facts: Facts

    def loss(self, known: int, units: int, answers: Any) -> Any:
        """The loss `answers` of the first targets and outputs, and that of the features."""
        apart = self.features(known, units)

        def loss(targets: Any, outputs: Any) -> Any:
            first = answers(targets[:, :known], outputs[:, :units])
            return first + self.weight * apart(targets, outputs)

        return loss

    def features(self, known: int, units: int) -> Any:
        """The metric "features": mean squared difference, 1 for a student that knows nothing."""
        from keras import ops

        def features(targets: Any, outputs: Any) -> Any:
            return ops.mean(ops.square(targets[:, known:] - outputs[:, units:]), axis=-1)

        return features

    def narrowed(self, known: int, units: int, metric: Any) -> Any:
        """A metric of answers alone, under the same name."""

        def accuracy(targets: Any, outputs: Any) -> Any:
            return metric(targets[:, :known], outputs[:, :units])

        return accuracy

    def alone(self, student: Any, trained: Any) -> Any:
        """The student as it was, with what the joined net learnt; the adapter stays behind."""
        made = copied(student)
        for layer in made.layers:
            layer.set_weights(trained.get_layer(layer.name).get_weights())
        return made


def hint_of(teacher: Any, student: Any, x: Floats, weight: float, seed: int = 0) -> Hint:
    """Join the last feature maps of two Keras classifiers, or what their last layers are given.

    x: rows to measure the teacher's features on. Where maps differ in size both are pooled to the
    smaller one, or to their mean where that leaves a rest.
    Raises ModelError for a net without an inner layer.
    """
    import keras

    theirs, ours = _map_of(teacher), _map_of(student)
    kind = "map"
    if theirs is None or ours is None or len(theirs[1].shape) != len(ours[1].shape):
        theirs, ours, kind = _before_last(teacher), _before_last(student), "vector"
    width = int(theirs[1].shape[-1])
    sizes = tuple(
        min(pair) for pair in zip(theirs[1].shape[1:-1], ours[1].shape[1:-1], strict=True)
    )
    fits = all(
        n % m == 0 for t in (theirs, ours) for n, m in zip(t[1].shape[1:-1], sizes, strict=True)
    )
    if not fits or math.prod(sizes) * width > MOST_VALUES:
        sizes = (1,) * len(sizes)
    size = math.prod(sizes) * width
    look = keras.Model(
        _inputs(teacher), [teacher.outputs[0], _flat(_pooled(theirs[1], sizes), size)]
    )
    told = _asking(look, head_of(teacher))
    some = told(x)[1].reshape(-1, width)
    mean, deviation = some.mean(axis=0), some.std(axis=0)
    # a channel that is always the same teaches nothing
    by = np.where(deviation > 1e-6, 1 / np.maximum(deviation, 1e-6), 0)
    places = math.prod(sizes)
    mean, by = (np.tile(v, places).astype(np.float32) for v in (mean, by))

    def ask(rows: Floats) -> tuple[Floats, Floats]:
        p, features = told(rows)
        return p, (features - mean) * by

    start = keras.initializers.GlorotUniform(seed=seed)
    adapter = keras.layers.Dense(width, kernel_initializer=start, name="hint_adapter")
    adapted = _flat(adapter(_pooled(ours[1], sizes)), size)
    outputs = keras.layers.Concatenate(name="hint_outputs")([student.outputs[0], adapted])
    joined = keras.Model(_inputs(student), outputs, name=student.name)
    facts = {
        "features": kind,
        "teacher_layer": theirs[0],
        "student_layer": ours[0],
        "teacher_shape": list(theirs[1].shape[1:]),
        "student_shape": list(ours[1].shape[1:]),
        "compared_shape": [*sizes, width],
        "adapter_parameters": int(adapter.count_params()),
    }
    return Hint(joined, ask, weight, facts)


def _map_of(model: Any) -> tuple[str, Any] | None:
    """The last feature map: the name of its layer, and the tensor with places and channels."""
    inside = nodes_of(graph_of(model))[:-1]
    for node in reversed(inside):
        shape = node.outputs[0].shape
        if len(shape) > 2 and None not in shape[1:] and _learnt(node, inside):
            return node.operation.name, node.outputs[0]
    return None


def _before_last(model: Any) -> tuple[str, Any]:
    """What the last layer with weights is given, as vectors."""
    nodes = nodes_of(graph_of(model))
    makers = {id(t): node for node in nodes for t in node.outputs}
    for node in reversed(nodes):
        if getattr(node.operation, "weights", None):
            given = node.input_tensors[0]
            before = makers.get(id(given))
            if before is None or None in given.shape[1:] or not _learnt(before, nodes):
                break
            return before.operation.name, _flat(given, math.prod(given.shape[1:]))
    raise ModelError(
        f"{model.name} has no layer inside to learn features from or with",
        "a net with a hidden layer",
        "take distil, which learns from answers alone",
    )


def _learnt(node: Any, nodes: list[Any]) -> bool:
    """Whether a node or one before it has kernels: what only scales the input is no feature."""
    makers = {id(t): each for each in nodes for t in each.outputs}
    waiting, seen = [node], set()
    while waiting:
        here = waiting.pop()
        if here is None or id(here) in seen:
            continue
        seen.add(id(here))
        if any(len(w.shape) > 1 for w in getattr(here.operation, "weights", ())):
            return True
        waiting += [makers.get(id(t)) for t in here.input_tensors]
    return False


def _pooled(tensor: Any, sizes: tuple[int, ...]) -> Any:
    """A map at the given size by averages of equal parts."""
    import keras

    parts = tuple(n // m for n, m in zip(tensor.shape[1:-1], sizes, strict=True))
    if all(n == 1 for n in parts):
        return tensor
    layers = keras.layers
    kinds = {1: layers.AveragePooling1D, 2: layers.AveragePooling2D, 3: layers.AveragePooling3D}
    return kinds[len(sizes)](parts)(tensor)


def _flat(tensor: Any, size: int) -> Any:
    import keras

    return tensor if len(tensor.shape) == 2 else keras.layers.Reshape((size,))(tensor)


def _asking(look: Any, head: Any) -> Callable[[Floats], tuple[Floats, Floats]]:
    """The two outputs of a teacher, in batches."""
    import tensorflow as tf

    shape = tuple(look.inputs[0].shape[1:])
    spec = tf.TensorSpec((None, *shape), tf.float32)
    traced = tf.function(lambda x: look(x, training=False)).get_concrete_function(spec)

    def ask(x: Floats) -> tuple[Floats, Floats]:
        parts = []
        for start in range(0, len(x), 256):
            answer, features = traced(tf.constant(in_shape(x[start : start + 256], shape)))
            parts.append((probabilities(answer.numpy(), head), features.numpy()))
        first, second = zip(*parts, strict=True)
        return np.concatenate(first), np.concatenate(second)

    return ask


def _inputs(model: Any) -> Any:
    """The one input; a Sequential that was never called has no `input`."""
    return model.inputs[0]
