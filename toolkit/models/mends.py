"""Configs that Keras 2 wrote -> configs that Keras 3 reads the same way.

Each mend is a function on one layer's or model's dict, and a line in `_MENDS`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from toolkit.errors import ModelError
from toolkit.models.connections import FUNCTIONAL, Node, nested_nodes, plain_names
from toolkit.models.keras1 import renamed

HARD_SIGMOID = "hard_sigmoid_keras2"
"""What the formula of Keras 2 is registered as; see `legacy.register`."""

MERGES = ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate")
"""Layers whose masks Keras 3 joins otherwise; see `legacy.register`."""

_RENAMED = {
    "BatchNormalizationV1": "BatchNormalization",
    "BatchNormalizationV2": "BatchNormalization",
    "SyncBatchNormalization": "BatchNormalization",
}
_PRECISIONS = {
    *("float16", "bfloat16", "float32", "float64", "mixed_float16", "mixed_bfloat16"),
}


def mended(config: Node) -> Node:
    """A model's config as Keras 3 reads it, with what Keras 2 meant.

    >>> old = {"class_name": "Sequential", "config": [{"class_name": "Dense", "config": {
    ...     "units": 2, "batch_input_shape": [None, 4]}}]}
    >>> [layer["class_name"] for layer in mended(old)["config"]["layers"]]
    ['InputLayer', 'Dense']
    """
    found = _walk(for_inference(config))
    if _masking(found):
        _old_merges(found)
    return found  # type: ignore[no-any-return]


def plain(value: Any) -> Any:
    """Tuples and shapes, which older files write as objects, as lists."""
    if isinstance(value, list):
        return [plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    if value.get("class_name") in ("__tuple__", "TensorShape"):
        return [plain(item) for item in value["items"]]
    return {name: plain(item) for name, item in value.items()}


def for_inference(config: Any) -> Any:
    """A copy without what only training needs: half and double precision, states kept from batch
    to batch, a fixed number of rows in one. What comes out is float32 and takes any rows.

    >>> for_inference({"dtype": {"class_name": "Policy", "config": {"name": "mixed_float16"}}})
    {'dtype': 'float32'}
    """
    if isinstance(config, list):
        return [for_inference(item) for item in config]
    if not isinstance(config, dict):
        return config
    fresh = {name: for_inference(item) for name, item in config.items()}
    policy = fresh.get("dtype")
    if isinstance(policy, dict) and policy.get("class_name") in ("Policy", "DTypePolicy"):
        policy = policy.get("config", {}).get("name")
    if isinstance(policy, str) and policy in _PRECISIONS:
        fresh["dtype"] = "float32"
    if fresh.get("stateful"):
        fresh["stateful"] = False
    if fresh.get("class_name") == "Discretization" and isinstance(fresh.get("config"), dict):
        # inside a traced function Keras 3 brings x to the dtype of the bins' numbers first
        fresh["config"]["dtype"] = "float32"
    for name in ("batch_shape", "batch_input_shape"):
        if isinstance(fresh.get(name), list) and fresh[name]:
            fresh[name] = [None, *fresh[name][1:]]
    return fresh


def _walk(value: Any) -> Any:
    if isinstance(value, list):
        return [_walk(item) for item in value]
    if not isinstance(value, dict):
        return value
    if isinstance(value.get("class_name"), str) and "config" in value:
        for mend in _MENDS:
            mend(value)
    return {name: _walk(item) for name, item in value.items()}


def _masking(value: Any) -> bool:
    """Whether some layer tells others which steps to pass over."""
    if isinstance(value, list):
        return any(map(_masking, value))
    if not isinstance(value, dict):
        return False
    own = value.get("class_name") == "Masking" or value.get("mask_zero") is True
    return own or any(map(_masking, value.values()))


def _old_merges(value: Any) -> None:
    """Merged tensors pass over what any of them does, as Keras 2 meant it."""
    for item in value if isinstance(value, list) else list(value.values()):
        if isinstance(item, dict | list):
            _old_merges(item)
    if isinstance(value, dict) and value.get("class_name") in MERGES:
        value.update(module="toolkit", registered_name=f"toolkit>{value['class_name']}")


def _for_cudnn(node: Node) -> None:
    """Layers for cuDNN alone are the usual ones; their weights are turned when they are read."""
    if node["class_name"] == "CuDNNGRU":
        node["config"]["reset_after"] = True
    if node["class_name"] in ("CuDNNLSTM", "CuDNNGRU"):
        node["class_name"] = node["class_name"].removeprefix("CuDNN")
        node["config"] |= {"activation": "tanh", "recurrent_activation": "sigmoid"}


def _bare_list(node: Node) -> None:
    """Keras 2.0 to 2.2 wrote a Sequential's layers without a dict around them."""
    if node["class_name"] == "Sequential" and isinstance(node["config"], list):
        node["config"] = {"name": "sequential", "layers": node["config"]}


def _input_layer(node: Node) -> None:
    """A first layer that carries its own input shape gets an InputLayer before it."""
    config = node["config"]
    if node["class_name"] == "InputLayer":
        if "batch_input_shape" in config:
            config["batch_shape"] = config.pop("batch_input_shape")
        for name in ("sparse", "ragged"):
            if not config.get(name):
                config.pop(name, None)
    if node["class_name"] != "Sequential":
        return
    layers = config.get("layers", [])
    if not layers or layers[0]["class_name"] == "InputLayer":
        return
    first = layers[0]
    while isinstance(first["config"], dict) and "batch_input_shape" not in first["config"]:
        inner = first["config"].get("layer")
        if not isinstance(inner, dict):
            return
        first = inner  # Bidirectional and TimeDistributed keep the shape inside
    if not isinstance(first["config"], dict):
        return
    shape = first["config"].pop("batch_input_shape")
    for layer in layers[1:]:
        if isinstance(layer["config"], dict):
            layer["config"].pop("batch_input_shape", None)
    layers[0]["config"].pop("batch_input_shape", None)
    config["layers"] = [
        {"class_name": "InputLayer", "config": {"batch_shape": shape, "name": "input_of_model"}},
        *layers,
    ]


def _single_ends(node: Node) -> None:
    """A functional model's single output is a tensor and no list of one."""
    if node["class_name"] not in FUNCTIONAL or not isinstance(node["config"], dict):
        return
    node.update(class_name="Functional", module="keras.src.models.functional", registered_name=None)
    for ends in ("input_layers", "output_layers"):
        found = node["config"].get(ends)
        if isinstance(found, list) and len(found) == 1 and isinstance(found[0], list):
            node["config"][ends] = found[0]


_LOOKUP = {"vocabulary_size", "has_input_vocabulary"}
"""Settings that a TextVectorization of either Keras passes on without naming them."""


def _unknown_keys(node: Node) -> None:
    """Keys that Keras 3 does not take; refused where they would change what is computed."""
    import keras

    node["class_name"] = _RENAMED.get(node["class_name"], node["class_name"])
    config, kind = node["config"], node["class_name"]
    if not isinstance(config, dict):
        return
    if kind == "LeakyReLU" and "alpha" in config:
        config["negative_slope"] = config.pop("alpha")
    if kind == "BatchNormalization" and isinstance(config.get("axis"), list):
        (config["axis"],) = config["axis"]
    for name in ("data_format", "dilation_rate"):
        if config.get(name, "") is None:
            config.pop(name)
    layer = getattr(keras.layers, kind, None)
    if not isinstance(layer, type) or kind in ("InputLayer", "Sequential", *FUNCTIONAL):
        return
    for name in sorted(set(config) - _accepted(layer) - _LOOKUP):
        only_training = kind.startswith(("Random", "Gaussian")) or "Dropout" in kind
        only_training |= name.endswith(("_initializer", "_regularizer", "_constraint"))
        if not (only_training or name in _HARMLESS or not config[name]):
            raise ModelError(
                f"layer {config.get('name')} ({kind}) has {name} = {config[name]}",
                "settings that Keras 3 has",
                "save it again without this setting",
            )
        config.pop(name)


_HARMLESS = {
    *("groups", "implementation", "input_length", "batch_input_shape", "input_dtype"),
    *("query_shape", "key_shape", "value_shape", "trainable"),
}
"""Keys that say what Keras 3 does anyway, or finds out by itself."""


def _accepted(layer: type) -> set[str]:
    """Every keyword that a Keras 3 layer's constructor takes, or passes on to one above it."""
    names: set[str] = set()
    for place in layer.__mro__:
        if "__init__" not in vars(place):
            continue
        if place.__name__ == "Layer":
            return names | {"name", "trainable", "dtype", "autocast", "activity_regularizer"}
        parameters = inspect.signature(vars(place)["__init__"]).parameters.values()
        names |= {p.name for p in parameters}
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            return names
    return names


def _modules(node: Node) -> None:
    """An inner object without its module gets it, or Keras 3 looks for it nowhere.

    What a layer was built for is dropped: it is built again when the graph is.
    """
    node.pop("build_config", None)
    if node.get("module") is None and "registered_name" not in node:
        import keras

        for place in ("layers", "models", "initializers", "regularizers", "constraints"):
            if hasattr(getattr(keras, place), node["class_name"]):
                node["module"] = f"keras.{place}"
                node["registered_name"] = None
    if node.get("module") == "keras.initializers" and isinstance(node["config"], dict):
        node["config"].pop("dtype", None)


def _old_meanings(node: Node) -> None:
    """Names, defaults and formulas that Keras 3 changed or dropped."""
    config = node["config"]
    if not isinstance(config, dict):
        return
    if node["class_name"] == "ThresholdedReLU":
        config["theta"] = float(config.get("theta", 1.0))
        node.update(module="toolkit", registered_name="toolkit>ThresholdedReLU")
    if node["class_name"] in ("GRU", "GRUCell"):
        config.setdefault("reset_after", False)
    for name in ("activation", "recurrent_activation"):
        if config.get(name) == "hard_sigmoid":
            config[name] = {
                "module": "toolkit.models.legacy",
                "class_name": "function",
                "config": f"toolkit>{HARD_SIGMOID}",
                "registered_name": f"toolkit>{HARD_SIGMOID}",
            }


_MENDS: tuple[Callable[[Node], None], ...] = (
    _bare_list,
    renamed,
    _for_cudnn,
    _input_layer,
    plain_names,
    nested_nodes,
    _single_ends,
    _unknown_keys,
    _modules,
    _old_meanings,
)
