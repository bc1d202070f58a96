"""TensorFlow functions that Keras 2 wrote into functional models -> what Keras 3 has for them.

`x / 127.5 - 1` before a net, as every tutorial on transfer learning has it, is stored by Keras 2
as layers of class TFOpLambda, which name a function of TensorFlow. Known functions become layers,
or else operations of keras.ops; an unknown one is refused by its name, and none is called.
"""

from __future__ import annotations

from typing import Any

from toolkit.errors import ModelError

Call = list[Any]
"""What a layer is called with: [name, node, tensor, further arguments] a source."""

Made = tuple[str, dict[str, Any], list[Call]] | None
"""A layer's class, its config and what it is called with; a class with a dot is of keras.ops."""

_ACTIVATIONS = {
    "nn.relu": "relu",
    "nn.relu6": "relu6",
    "nn.elu": "elu",
    "nn.selu": "selu",
    "nn.swish": "swish",
    "nn.silu": "swish",
    "nn.sigmoid": "sigmoid",
    "nn.tanh": "tanh",
    "nn.softplus": "softplus",
    "math.sigmoid": "sigmoid",
    "math.tanh": "tanh",
    "math.exp": "exponential",
    "sigmoid": "sigmoid",
    "tanh": "tanh",
    "identity": "linear",
    "stop_gradient": "linear",
}
_ADD = ("math.add", "__operators__.add", "add")
_SUBTRACT = ("math.subtract", "__operators__.sub", "subtract")
_MULTIPLY = ("math.multiply", "__operators__.mul", "multiply")
_DIVIDE = ("math.truediv", "math.divide", "__operators__.truediv", "divide", "realdiv")
_CONSTANT = "_CONSTANT_VALUE"

_REDUCED = {"axis": "axis", "keepdims": "keepdims", "keep_dims": "keepdims"}
_OPERATIONS: dict[str, tuple[str, dict[str, str]]] = {
    "math.reduce_mean": ("numpy.Mean", _REDUCED),
    "math.reduce_sum": ("numpy.Sum", _REDUCED),
    "math.reduce_max": ("numpy.Max", _REDUCED),
    "math.reduce_min": ("numpy.Min", _REDUCED),
    "math.reduce_prod": ("numpy.Prod", _REDUCED),
    "expand_dims": ("numpy.ExpandDims", {"axis": "axis"}),
    "squeeze": ("numpy.Squeeze", {"axis": "axis"}),
    "transpose": ("numpy.Transpose", {"perm": "axes"}),
    "repeat": ("numpy.Repeat", {"repeats": "repeats", "axis": "axis"}),
    "tile": ("numpy.Tile", {"multiples": "repeats"}),
    "stack": ("numpy.Stack", {"axis": "axis"}),
    "clip_by_value": ("numpy.Clip", {"clip_value_min": "x_min", "clip_value_max": "x_max"}),
    "math.abs": ("numpy.Absolute", {}),
    "math.negative": ("numpy.Negative", {}),
    "math.square": ("numpy.Square", {}),
    "math.sqrt": ("numpy.Sqrt", {}),
    "math.log": ("numpy.Log", {}),
    "nn.gelu": ("nn.Gelu", {"approximate": "approximate"}),
}
"""Of keras.ops, with what each argument is called there."""

_PAIRS = {
    "math.pow": "numpy.Power",
    "math.maximum": "numpy.Maximum",
    "math.minimum": "numpy.Minimum",
    "linalg.matmul": "numpy.Matmul",
    **dict.fromkeys(_DIVIDE, "numpy.Divide"),
}
_SAYS_NOTHING = {"name", "conjugate", "y", "b"}


def replace_functions(layers: list[dict[str, Any]]) -> None:
    """Turn every function among the layers of a functional config into a layer, in place.

    Raises ModelError for a function that has no layer.
    """
    for layer in layers:
        if layer["class_name"] not in ("TFOpLambda", "SlicingOpLambda"):
            continue
        function, name = layer["config"]["function"], layer["config"]["name"]
        plain = function.removeprefix("compat.v1.")
        calls = [_made(plain, _sources(call)) for call in layer.get("inbound_nodes", [])]
        made = [one for one in calls if one is not None]
        if not made or len(made) < len(calls) or any(one[:2] != made[0][:2] for one in made):
            raise ModelError(
                f"the model calls TensorFlow's {function} (layer {name})",
                "functions that are layers as well: sums, products, means, slices, activations",
                "replace it by a layer and save the model again",
            )
        kind, config, _ = made[0]
        room, _, kind = kind.rpartition(".")
        if room:
            layer.update(class_name=kind, module=f"keras.src.ops.{room}", registered_name=kind)
            layer["config"] = {"name": name, **config}
        else:
            layer.update(class_name=kind, module="keras.layers", registered_name=None)
            layer["config"] = {"name": name, "trainable": True, "dtype": "float32", **config}
        layer["inbound_nodes"] = [one[2] for one in made]


def _sources(call: Call) -> list[Call]:
    return [call] if call and isinstance(call[0], str) else call


def _bare(source: Call, **given: Any) -> Call:
    """A source with the further arguments of the new call in place of the old ones."""
    return [*source[:3], given]


def _made(function: str, sources: list[Call]) -> Made:
    first = sources[0]
    given = first[3] if len(first) > 3 else {}
    bare = [_bare(source) for source in sources]
    return (
        _as_layer(function, given, bare)
        or _as_operation(function, given, bare)
        or _of_number(function, given, first)
    )


def _as_layer(function: str, given: dict[str, Any], bare: list[Call]) -> Made:
    if function in _ACTIVATIONS and not any(given[name] for name in given.keys() - {"name"}):
        return "Activation", {"activation": _ACTIVATIONS[function]}, bare
    if function == "nn.softmax":
        axis = given.get("axis")
        return "Softmax", {"axis": -1 if axis is None else axis}, bare
    if function == "nn.leaky_relu":
        return "LeakyReLU", {"negative_slope": given.get("alpha", 0.2)}, bare
    if function == "cast" and "float" in str(given.get("dtype")):
        return "Activation", {"activation": "linear"}, bare
    shape = given.get("shape", ())
    if function == "reshape" and len(shape) > 1 and shape[0] in (-1, None):
        return "Reshape", {"target_shape": shape[1:]}, bare
    if function == "concat":
        return "Concatenate", {"axis": given.get("axis", -1)}, bare
    if function == "image.grayscale_to_rgb":
        return "Concatenate", {"axis": -1}, 3 * bare
    return _resized(given, bare) if function == "image.resize" else None


def _as_operation(function: str, given: dict[str, Any], bare: list[Call]) -> Made:
    # those of fewer bits wrap around
    if function == "cast" and any(f"int{bits}" in str(given.get("dtype")) for bits in (32, 64)):
        return "numpy.Trunc", {}, bare
    if function == "__operators__.getitem":
        key = [_part(one) for one in given["slice_spec"]]
        return "numpy.GetItem", {}, [_bare(bare[0], key=key)]
    if function == "math.l2_normalize" and given.get("axis") is not None:
        # of the squares there, of the length here
        least = float(given.get("epsilon", 1e-12)) ** 0.5
        return "nn.Normalize", {"axis": given["axis"], "order": 2, "epsilon": least}, bare
    if function not in _OPERATIONS:
        return None
    kind, names = _OPERATIONS[function]
    if any(given[name] for name in given.keys() - names - _SAYS_NOTHING):
        return None
    return kind, {names[name]: given[name] for name in names if name in given}, bare


def _of_number(function: str, given: dict[str, Any], first: Call) -> Made:
    """A function of two values, of which one may be a number."""
    if function == "nn.bias_add":
        return _affine(1.0, given.get("bias"), first)
    other = given.get("y", given.get("b"))
    if isinstance(other, list) and _is_tensor(other):
        found = _of_two(function, first, other)
    elif function in _ADD:
        found = _affine(1.0, other, first)
    elif function in _SUBTRACT:
        found = _affine(1.0, _times(other, -1.0), first)
    elif function in _MULTIPLY:
        found = _affine(other, 0.0, first)
    else:
        found = _affine(_inverse(other), 0.0, first) if function in _DIVIDE else None
    turned = any(given[name] for name in given.keys() - _SAYS_NOTHING)
    if found or other is None or turned or first[0] == _CONSTANT or function not in _PAIRS:
        return found
    return _PAIRS[function], {}, [_bare(first, x2=other)]


def _part(key: Any) -> Any:
    """One place of a slice, as Keras 3 writes it."""
    if isinstance(key, dict) and "start" in key:
        return {"class_name": "__slice__", "config": key}
    if isinstance(key, dict):
        return {"class_name": "__ellipsis__", "config": {}}
    return key


def _resized(given: dict[str, Any], bare: list[Call]) -> Made:
    size, method = given.get("size"), given.get("method", "bilinear")
    if not isinstance(size, list):
        return None
    usual = method in ("bilinear", "nearest", "bicubic") and len(size) == 2
    if not usual or given.get("preserve_aspect_ratio") or given.get("antialias"):
        return None
    return "Resizing", {"height": size[0], "width": size[1], "interpolation": method}, bare


def _of_two(function: str, first: Call, other: Call) -> Made:
    if first[0] == _CONSTANT:
        value = first[2]
        if function in _ADD:
            return _affine(1.0, value, other)
        if function in _SUBTRACT:
            return _affine(-1.0, value, other)
        return _affine(value, 0.0, other) if function in _MULTIPLY else None
    for names, kind in ((_ADD, "Add"), (_SUBTRACT, "Subtract"), (_MULTIPLY, "Multiply")):
        if function in names:
            return kind, {}, [_bare(first), _bare(other)]
    return None


def _affine(scale: Any, offset: Any, source: Call) -> Made:
    if offset is None or not (_is_number(scale) and _is_number(offset)):
        return None
    return "Rescaling", {"scale": scale, "offset": offset}, [_bare(source)]


def _is_tensor(value: list[Any]) -> bool:
    return len(value) >= 3 and isinstance(value[0], str)


def _is_number(value: Any) -> bool:
    if isinstance(value, list):
        return all(_is_number(v) for v in value)
    return isinstance(value, int | float)


def _times(value: Any, factor: float) -> Any:
    if isinstance(value, list):
        return [_times(v, factor) for v in value]
    return value * factor if isinstance(value, int | float) else value


def _inverse(value: Any) -> Any:
    if isinstance(value, list):
        return [_inverse(v) for v in value]
    return 1 / value if isinstance(value, int | float) and value else None
