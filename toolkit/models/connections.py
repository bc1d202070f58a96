"""How the layers of an older functional model are joined, and called, in the words of Keras 3."""

from __future__ import annotations

from typing import Any

from toolkit.models.legacy_ops import replace_functions

Node = dict[str, Any]
"""A serialised object: {"class_name": ..., "config": ...}."""

FUNCTIONAL = ("Functional", "Model")


def nested_nodes(node: Node) -> None:
    """Calls of an inner model are counted from its first call; Keras 2 counted its making too."""
    if node["class_name"] not in FUNCTIONAL or not isinstance(node["config"], dict):
        return
    config = node["config"]
    layers = config.get("layers", [])
    replace_functions(layers)
    _without_slashes(config)
    inner = {
        layer.get("name", layer["config"]["name"]): layer["class_name"]
        for layer in layers
        if layer["class_name"] in (*FUNCTIONAL, "Sequential") and isinstance(layer["config"], dict)
    }
    for layer in layers:
        for call in layer.get("inbound_nodes", []):
            for source in call if isinstance(call, list) else []:
                for one in _references(source):
                    if one[0] in inner:
                        one[1] = max(one[1] - 1, 0)
    for layer in layers:
        layer["inbound_nodes"] = [_with_tensors(call) for call in layer.get("inbound_nodes", [])]
    ends = config.get("output_layers", [])
    for end in [ends] if ends and isinstance(ends[0], str) else ends:
        # Keras 3 counts a Functional's making itself, where it stands at the end
        if inner.get(end[0]) == "Sequential":
            end[1] = max(end[1] - 1, 0)


def _with_tensors(call: Any) -> Any:
    """A call with tensors among its keyword arguments, in the form that Keras 3 writes."""
    sources = [call] if isinstance(call, list) and call and isinstance(call[0], str) else call
    if not isinstance(sources, list) or len(sources) != 1 or len(sources[0]) < 4:
        return call
    given = sources[0][3]
    tensors = {k: v for k, v in given.items() if _is_reference(v)}
    if not tensors and "key" not in given:  # the key of a slice has a form of its own there
        return call
    kwargs = {k: _reference(v) if k in tensors else v for k, v in given.items()}
    return {"args": [_reference(sources[0])], "kwargs": kwargs}


def _references(source: Any) -> list[list[Any]]:
    """A source of a call, and the tensors among its keyword arguments."""
    if not isinstance(source, list) or not source or not isinstance(source[0], str):
        return []
    given = source[3].values() if len(source) > 3 else ()
    return [source, *(value for value in given if _is_reference(value))]


def _is_reference(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 3 and isinstance(value[0], str)


def _reference(source: list[Any]) -> Node:
    # the shape is not looked at: the tensor is found by its history
    config = {"shape": [None], "dtype": "float32", "keras_history": source[:3]}
    return {"class_name": "__keras_tensor__", "config": config}


def _without_slashes(config: dict[str, Any]) -> None:
    """Keras 3 has no slash in the name of a layer; DenseNet and MobileNetV3 had."""
    names = {layer.get("name", layer["config"]["name"]) for layer in config.get("layers", [])}
    fresh: dict[str, str] = {}
    for name in sorted(name for name in names if "/" in name):
        plain = name.replace("/", "_")
        while plain in names or plain in fresh.values():
            plain += "_"
        fresh[name] = plain

    def renamed(value: Any) -> Any:
        if isinstance(value, list):
            return [renamed(item) for item in value]
        if isinstance(value, dict):
            return {name: renamed(item) for name, item in value.items()}
        return fresh.get(value, value) if isinstance(value, str) else value

    for layer in config.get("layers", []):
        for place in (layer, layer["config"]):
            if isinstance(place, dict) and "name" in place:
                place["name"] = renamed(place["name"])
        if "inbound_nodes" in layer:
            layer["inbound_nodes"] = renamed(layer["inbound_nodes"])
    for ends in {"input_layers", "output_layers"} & config.keys():
        config[ends] = renamed(config[ends])
    if isinstance(config.get("name"), str):
        config["name"] = config["name"].replace("/", "_")


def plain_names(node: Node) -> None:
    """The same in a Sequential, whose layers may be lists of layers."""
    config = node["config"]
    layers = config.get("layers", []) if isinstance(config, dict) else []
    named = all(isinstance(one["config"], dict) and "name" in one["config"] for one in layers)
    if node["class_name"] == "Sequential" and named:
        _without_slashes(config)
