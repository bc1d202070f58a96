"""keras.ops inside a functional graph -> what tf_keras has for them: layers where it can."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from toolkit.errors import ModelError

_MERGING = {"Add": "Add", "Multiply": "Multiply", "Subtract": "Subtract", "Maximum": "Maximum"}
_MERGING |= {"Minimum": "Minimum"}
_ACTIVATIONS = {
    "Relu": "relu",
    "Relu6": "relu6",
    "Sigmoid": "sigmoid",
    "Tanh": "tanh",
    "Softmax": "softmax",
    "Elu": "elu",
    "Selu": "selu",
    "Gelu": "gelu",
    "Silu": "swish",
    "Softplus": "softplus",
    "Softsign": "softsign",
}


def call(operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any], name: str) -> Any:
    """Apply the twin of a keras.ops operation, a layer called `name`, to tensors of tf_keras.

    Raises ModelError that names an operation which is not in the table.
    """
    import tf_keras

    kind = type(operation).__name__
    both = (*args, *kwargs.values())
    tensors = [a for a in both if hasattr(a, "_keras_history")] if len(both) == 2 else []
    if kind in _MERGING and len(tensors) == 2:
        return getattr(tf_keras.layers, _MERGING[kind])(name=name)(tensors)
    if kind in _ACTIVATIONS and len(both) == 1:
        settings = vars(operation)
        if kind == "Gelu" and settings.get("approximate") is not None:
            import tensorflow as tf

            return tf.nn.gelu(both[0], approximate=bool(operation.approximate))
        if kind == "Softmax":
            return tf_keras.layers.Softmax(axis=operation.axis, name=name)(both[0])
        if kind == "Elu":
            return tf_keras.layers.ELU(operation.alpha, name=name)(both[0])
        return tf_keras.layers.Activation(_ACTIVATIONS[kind], name=name)(both[0])
    if kind == "Concatenate":
        return tf_keras.layers.Concatenate(axis=operation.axis, name=name)(list(args[0]))
    if kind in ("Mean", "Max") and _spatial(operation, args[0]):
        pooled = "GlobalAveragePooling2D" if kind == "Mean" else "GlobalMaxPooling2D"
        pool = getattr(tf_keras.layers, pooled)
        return pool(keepdims=operation.keepdims, name=name)(args[0])
    if kind == "Reshape":
        return tf_keras.layers.Reshape(tuple(operation.newshape)[1:], name=name)(both[0])
    if kind == "Transpose":
        return tf_keras.layers.Permute(tuple(operation.axes)[1:], name=name)(both[0])
    if kind in _FUNCTIONS:
        return _FUNCTIONS[kind](operation, *both)
    known = {*_MERGING, *_ACTIVATIONS, *_FUNCTIONS, "Concatenate", "Reshape", "Transpose"}
    raise ModelError(
        f"operation {operation.name} (keras.ops {kind}) has no twin in tf_keras",
        f"layers, and of keras.ops {', '.join(sorted(known))}",
        "leave out the training-time passes for this model, or write it as a layer",
    )


def _spatial(operation: Any, x: Any) -> bool:
    axis = operation.axis if isinstance(operation.axis, list | tuple) else (operation.axis,)
    return len(x.shape) == 4 and sorted(a % 4 for a in axis if a is not None) == [1, 2]


def _tf(name: str) -> Callable[..., Any]:
    """A function of tf.math or tf that takes the tensors alone."""

    def apply(operation: Any, *tensors: Any) -> Any:  # noqa: ARG001
        import tensorflow as tf

        return getattr(tf.math, name, None)(*tensors)  # type: ignore[misc]

    return apply


def _reduced(name: str) -> Callable[..., Any]:
    def apply(operation: Any, x: Any) -> Any:
        import tensorflow as tf

        return getattr(tf, f"reduce_{name}")(x, axis=operation.axis, keepdims=operation.keepdims)

    return apply


def _get_item(_: Any, x: Any, key: Any) -> Any:
    return x[key]


def _cast(operation: Any, x: Any, *_: Any) -> Any:
    import tensorflow as tf

    return tf.cast(x, operation.dtype)


def _one_hot(operation: Any, x: Any, *_: Any) -> Any:
    import tensorflow as tf

    return tf.one_hot(tf.cast(x, tf.int32), operation.num_classes, axis=operation.axis)


def _take(operation: Any, x: Any, indices: Any) -> Any:
    import tensorflow as tf

    return tf.gather(x, indices, axis=operation.axis)


def _where(_: Any, condition: Any, a: Any, b: Any) -> Any:
    import tensorflow as tf

    return tf.where(condition, a, b)


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "Abs": _tf("abs"),
    "Add": _tf("add"),
    "Cast": _cast,
    "Divide": _tf("divide"),
    "Exp": _tf("exp"),
    "GetItem": _get_item,
    "Isnan": _tf("is_nan"),
    "Log": _tf("log"),
    "Max": _reduced("max"),
    "Maximum": _tf("maximum"),
    "Mean": _reduced("mean"),
    "Minimum": _tf("minimum"),
    "Multiply": _tf("multiply"),
    "OneHot": _one_hot,
    "Sqrt": _tf("sqrt"),
    "Square": _tf("square"),
    "Subtract": _tf("subtract"),
    "Sum": _reduced("sum"),
    "Take": _take,
    "TrueDivide": _tf("divide"),
    "Where": _where,
}
