"""What the last layer of a classifier gives: softmax or sigmoid probabilities, or logits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np

from toolkit.errors import ModelError
from toolkit.glossary import Doubles, Floats

Head = Literal["softmax", "sigmoid", "logits"]


def head_of(model: Any) -> Head:
    """The head of a Keras classifier.

    Raises ModelError when it has several inputs or outputs, or is no classifier.
    """
    if len(model.inputs or ()) != 1 or len(model.outputs or ()) != 1:
        raise ModelError(
            f"a model with {len(model.inputs or ())} inputs and {len(model.outputs or ())} outputs",
            "one input, one output",
            "give the part that classifies",
        )
    shape = model.outputs[0].shape
    name = _last_activation(model)
    alike = tuple(shape[1:]) == tuple(model.inputs[0].shape[1:])
    if alike and (len(shape) > 2 or (name == "sigmoid" and shape[-1] > 1)):
        raise _no_classifier("its output has the shape of its input, as an autoencoder's")
    if len(shape) != 2 or shape[-1] is None:
        raise _no_classifier(f"its output has the shape {tuple(shape)}")
    if shape[-1] == 1:
        if name == "sigmoid":
            return "sigmoid"
        said = "one linear unit, as a regressor does" if one_logit(model) else f"one {name} unit"
        raise _no_classifier(f"it ends in {said}")
    if name == "softmax":
        return "softmax"
    if name in ("linear", "none"):
        return "logits"
    if name == "sigmoid":
        raise _no_classifier(f"it ends in {shape[-1]} sigmoid units, which is multi-label")
    raise _no_classifier(f"it ends in {shape[-1]} units with activation {name}")


def one_logit(model: Any) -> bool:
    """Whether a model ends in one linear unit: a regressor, or two classes told by their logit."""
    return linear(model) and model.outputs[0].shape[-1] == 1


def linear(model: Any) -> bool:
    """Whether a model ends in linear units: logits, or what a regressor gives."""
    shapes = [tuple(t.shape) for t in model.outputs or ()]
    ends = len(shapes) == 1 and len(shapes[0]) == 2
    return ends and _last_activation(model) in ("linear", "none")


def head_of_graph(graph: Any, output: str) -> tuple[Head, str | None]:
    """What makes the output, looked up through what only changes its form, and its logits' name.

    A concatenation of p and 1 - p, as our export of a sigmoid makes it, counts as softmax.
    """
    makers = {name: node for node in graph.node for name in node.output}

    def maker(name: str) -> Any:
        node = makers.get(name)
        while node is not None and node.op_type in _SEEN_THROUGH:
            node = makers.get(node.input[0])
        return node

    node = maker(output)
    kind = "" if node is None else node.op_type
    if kind == "Softmax":
        return "softmax", node.input[0]
    if kind == "Concat":
        parts = [maker(i) for i in node.input]
        kinds = ["" if part is None else part.op_type for part in parts]
        if kinds == ["Sub", "Sigmoid"]:
            return "softmax", parts[-1].input[0]
        # of what else is joined the answers are asked whether they are probabilities
        return "sigmoid" if set(kinds) == {"Sigmoid"} else "logits", output
    if kind == "Sigmoid":
        return "sigmoid", node.input[0]
    return ("sigmoid", None) if kind == "QLinearSigmoid" else ("logits", output)


def probabilities(outputs: Floats, head: Head) -> Floats:
    """Raw outputs (n, k), or (n, 1) for a sigmoid -> f32 (n, k) rows that sum to 1.

    >>> probabilities(np.float32([[0.25]]), "sigmoid")
    array([[0.75, 0.25]], dtype=float32)
    """
    outputs = np.asarray(outputs, np.float32)
    if head == "sigmoid":
        return np.concatenate([1 - outputs, outputs], axis=1)
    return softmax(outputs).astype(np.float32) if head == "logits" else outputs


def softmax(logits: Floats | Doubles) -> Doubles:
    """The softmax of each row, f64, without overflow.

    >>> softmax(np.float32([[1000.0, 1000.0]]))
    array([[0.5, 0.5]])
    """
    shifted = np.asarray(logits, np.float64)
    shifted = np.exp(shifted - shifted.max(axis=1, keepdims=True, initial=-np.inf))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True), np.float64)


def trials(row: Sequence[int | None]) -> Iterator[Floats]:
    """Rows by which `summing` can tell what a model gives, valid as indices too: f32 (3, *row).

    Where the number of columns is free one is tried after another, as a file may know but one all
    the same.
    """
    for length in (_LENGTH, *range(1, _LONGEST)) if tuple(row) == (None,) else (_LENGTH,):
        shape = tuple(d or length for d in row)
        mixed = np.arange(np.prod(shape, dtype=int)).reshape(shape) % 2
        yield np.stack([np.zeros(shape), np.ones(shape), mixed]).astype(np.float32)


def summing(outputs: Floats) -> bool:
    """Whether outputs (n, k) are probabilities: none below 0, and each row sums to 1.

    Rows without an answer, as one scaled by its own spread may be, say nothing.

    >>> summing(np.float32([[0.25, 0.75], [1, 0]])), summing(np.float32([[2, -1], [1, 0]]))
    (True, False)
    """
    outputs = np.asarray(outputs, np.float64)
    outputs = outputs[np.isfinite(outputs).all(axis=-1)]
    near = np.abs(outputs.sum(axis=-1) - 1) < _NEAR
    return len(outputs) > 0 and bool((outputs >= 0).all() and near.all())


def _last_activation(model: Any) -> str:
    """The activation that produced the output.

    Looked up through nested models, what only changes the form, and means of several. What else
    makes the output is asked a few rows: "softmax" where it gives probabilities.
    """
    name = _activation_of(model.outputs[0])
    if name in _KNOWN:
        return name
    if "string" in str(model.inputs[0].dtype) or (model.outputs[0].shape[-1] or 1) == 1:
        return name or "none"
    try:
        outputs = np.asarray(model(next(trials(model.inputs[0].shape[1:]))))
    except Exception:  # rows of another size, or channels first: nothing can be told by asking
        return name or "none"
    return "softmax" if outputs.ndim > 1 and summing(outputs) else name or "none"


def _activation_of(tensor: Any) -> str:
    """The activation that a symbolic tensor comes out of, or nothing where it cannot be told."""
    operation, call, place = tensor._keras_history  # what made this tensor
    while getattr(operation, "layers", None):
        operation, call, place = operation.outputs[place]._keras_history
    node = operation._inbound_nodes[call]
    given = list(getattr(node, "keras_inputs", None) or node.input_tensors)
    layer = getattr(operation, "layer", operation)  # what a wrapper wraps says how it ends
    kind = type(layer).__name__
    if kind in ("Softmax", "Sigmoid"):
        return kind.lower()
    activation = getattr(layer, "activation", None)
    name = "" if activation is None else str(getattr(activation, "__name__", activation))
    if type(activation).__name__ in ("Softmax", "Sigmoid"):
        return type(activation).__name__.lower()  # a layer as an activation
    same = kind in _SAME or (kind == "Activation" and name == "linear")
    if same and given[0].shape[-1] == tensor.shape[-1]:
        return _activation_of(given[0])
    if kind in _MEANS:
        every = {_activation_of(t) for t in given}
        return every.pop() if len(every) == 1 and every <= {"softmax", "sigmoid"} else "none"
    return name


_SEEN_THROUGH = ("QuantizeLinear", "DequantizeLinear", "Identity", "Reshape", "Cast", "Squeeze")
_KNOWN = ("linear", "sigmoid", "softmax")
_SAME = ("Dropout", "Flatten", "Identity", "Reshape")
_MEANS = ("Average", "GlobalAveragePooling1D", "GlobalAveragePooling2D")
_LENGTH, _LONGEST, _NEAR = 32, 512, 0.01


def _no_classifier(why: str) -> ModelError:
    return ModelError(
        f"not a classifier: {why}",
        "softmax or linear units, one a class, or one sigmoid unit",
        "give a model that ends so",
    )
