"""TensorFlow functions that Keras 2 wrote into functional models -> layers that Keras 3 has.

`x / 127.5 - 1` before a net, as every tutorial on transfer learning has it, is stored by Keras 2
as layers of class TFOpLambda, which name a function of TensorFlow. Known functions become layers;
an unknown one is refused by its name, and none is called.
"""

from __future__ import annotations

from typing import Any

from toolkit.errors import ModelError

Call = list[Any]
"""What a layer is called with: [name, node, tensor, further arguments] a source."""

_ACTIVATIONS = {
    "nn.relu": "relu",
    "nn.relu6": "relu6",
    "nn.elu": "elu",
    "nn.selu": "selu",
    "nn.swish": "swish",
    "nn.silu": "swish",
    "nn.softmax": "softmax",
    "nn.sigmoid": "sigmoid",
    "nn.tanh": "tanh",
    "nn.softplus": "softplus",
    "math.sigmoid": "sigmoid",
    "math.tanh": "tanh",
    "math.exp": "exponential",
    "sigmoid": "sigmoid",
    "tanh": "tanh",
    "identity": "linear",
    "cast": "linear",
    "stop_gradient": "linear",
}
_ADD = ("math.add", "__operators__.add", "add")
_SUBTRACT = ("math.subtract", "__operators__.sub", "subtract")
_MULTIPLY = ("math.multiply", "__operators__.mul", "multiply")
_DIVIDE = ("math.truediv", "math.divide", "__operators__.truediv", "divide", "realdiv")
_CONSTANT = "_CONSTANT_VALUE"


def replace_functions(layers: list[dict[str, Any]]) -> None:
    """Turn every TFOpLambda among the layers of a functional config into a layer, in place.

    Raises ModelError for a function that has no layer.
    """
    for layer in layers:
        if layer["class_name"] != "TFOpLambda":
            continue
        function, name = layer["config"]["function"], layer["config"]["name"]
        calls = [_made(function, _sources(call)) for call in layer.get("inbound_nodes", [])]
        made = [one for one in calls if one is not None]
        if not made or len(made) < len(calls) or any(one[:2] != made[0][:2] for one in made):
            raise ModelError(
                f"the model calls TensorFlow's {function} (layer {name})",
                "functions that are layers as well: sums, products, activations, reshape, concat",
                "replace it by a layer and save the model again",
            )
        kind, config, _ = made[0]
        layer.update(class_name=kind, module="keras.layers", registered_name=None)
        layer["config"] = {"name": name, "trainable": True, "dtype": "float32", **config}
        layer["inbound_nodes"] = [[[*s[:3], {}] for s in one[2]] for one in made]


def _sources(call: Call) -> list[Call]:
    return [call] if call and isinstance(call[0], str) else call


def _made(function: str, sources: list[Call]) -> tuple[str, dict[str, Any], list[Call]] | None:
    """The layer's class, its config and what it is called with, or None where there is none."""
    first = sources[0]
    given = first[3] if len(first) > 3 else {}
    if function in _ACTIVATIONS:
        return "Activation", {"activation": _ACTIVATIONS[function]}, [first]
    if function == "reshape" and len(given.get("shape", ())) > 1:
        shape = given["shape"]
        return ("Reshape", {"target_shape": shape[1:]}, [first]) if shape[0] in (-1, None) else None
    if function == "concat":
        return "Concatenate", {"axis": given.get("axis", -1)}, sources
    if function in ("nn.bias_add",):
        return _affine(1.0, given.get("bias"), first)
    other = given.get("y")
    if isinstance(other, list) and _is_tensor(other):
        return _of_two(function, first, other)
    if other is None:
        return None
    if function in _ADD:
        return _affine(1.0, other, first)
    if function in _SUBTRACT:
        return _affine(1.0, _times(other, -1.0), first)
    if function in _MULTIPLY:
        return _affine(other, 0.0, first)
    return _affine(_inverse(other), 0.0, first) if function in _DIVIDE else None


def _of_two(
    function: str, first: Call, other: Call
) -> tuple[str, dict[str, Any], list[Call]] | None:
    if first[0] == _CONSTANT:
        value = first[2]
        if function in _ADD:
            return _affine(1.0, value, other)
        if function in _SUBTRACT:
            return _affine(-1.0, value, other)
        return _affine(value, 0.0, other) if function in _MULTIPLY else None
    for names, kind in ((_ADD, "Add"), (_SUBTRACT, "Subtract"), (_MULTIPLY, "Multiply")):
        if function in names:
            return kind, {}, [first, other]
    return None


def _affine(scale: Any, offset: Any, source: Call) -> tuple[str, dict[str, Any], list[Call]] | None:
    if offset is None or not (_is_number(scale) and _is_number(offset)):
        return None
    return "Rescaling", {"scale": scale, "offset": offset}, [source]


def _is_tensor(value: list[Any]) -> bool:
    return len(value) >= 3 and isinstance(value[0], str)


def _is_number(value: Any) -> bool:
    if isinstance(value, list):
        return all(isinstance(v, int | float) for v in value)
    return isinstance(value, int | float)


def _times(value: Any, factor: float) -> Any:
    if isinstance(value, list):
        return [_times(v, factor) for v in value]
    return value * factor if isinstance(value, int | float) else value


def _inverse(value: Any) -> Any:
    if isinstance(value, list):
        return [_inverse(v) for v in value]
    return 1 / value if isinstance(value, int | float) and value else None
