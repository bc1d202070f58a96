"""A SavedModel folder that Keras 2 wrote -> its config and weights; its graph is never run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from toolkit.errors import ModelError
from toolkit.models.graph import settle
from toolkit.models.legacy import bounded, built
from toolkit.models.mends import mended, plain

METADATA = "keras_metadata.pb"


def open_saved(folder: Path, objects: dict[str, Any], *, safe: bool) -> Any:
    """Build the Keras model that the folder describes and give it the weights of its checkpoint.

    Raises ModelError when the folder holds a graph without a Keras config, or other weights.
    """
    import tensorflow as tf

    if not (folder / METADATA).is_file():
        raise ModelError(
            f"{folder} holds a graph without the Keras model it came from",
            f"a SavedModel of Keras 2 with {METADATA}, a .keras, a .h5 or an .onnx",
            f"save it with model.save('model.keras'), or if you trust it: python -m "
            f"tf2onnx.convert --saved-model {folder} --output model.onnx",
        )
    config = _config(folder)
    if config is None:
        raise ModelError(
            f"{folder} describes a subclassed model, which is code and no config",
            "a Sequential or functional model",
            "export it as .onnx",
        )
    bounded(config, folder)
    model = built(mended(config), objects, safe=safe)
    reader = tf.train.load_checkpoint(str(folder / "variables" / "variables"))
    values = [reader.get_tensor(key) for key in _keys(reader)]
    weights = _as_written(model)
    wanted = [tuple(w.shape) for w in weights]
    if [v.shape for v in values] != wanted:
        raise ModelError(
            f"{folder} holds {len(values)} weights that are not those of its config",
            f"{len(wanted)} of the same shapes",
            "save it again with model.save('model.keras')",
        )
    for weight, value in zip(weights, values, strict=True):
        weight.assign(value)
    settle(model)
    return model


def _as_written(model: Any) -> list[Any]:
    """The weights in the order of the file: of a model over time, those that are trained first."""
    found: list[Any] = []
    for layer in model.layers:
        if hasattr(layer, "layers"):
            found += _as_written(layer)
        elif hasattr(getattr(layer, "layer", None), "layers"):
            found += sorted(layer.weights, key=lambda weight: not weight.trainable)
        else:
            found += layer.weights
    return found


def training_of(folder: Path) -> dict[str, Any] | None:
    """What the folder says of the training of its model: loss, metrics, optimiser."""
    found: dict[str, Any] | None = _root(folder).get("training_config")
    return found


def _config(folder: Path) -> dict[str, Any] | None:
    """The model's class and config, or None when it has none."""
    found = _root(folder)
    if "class_name" in found and "layers" in found.get("config", {}):
        return {"class_name": found["class_name"], "config": plain(found["config"])}
    return None


def _root(folder: Path) -> dict[str, Any]:
    """What is written of the root object.

    The file is a message of repeated field 1; in each, field 3 is the path and 5 the JSON.
    """
    for field, node in _fields((folder / METADATA).read_bytes()):
        parts = dict(_fields(node)) if field == 1 else {}
        if parts.get(3) == b"root":
            return json.loads(parts[5])  # type: ignore[no-any-return]
    return {}


def _fields(message: bytes) -> list[tuple[int, bytes]]:
    """The length-delimited fields of a protobuf message, by number; numbers are passed over."""
    found, at = [], 0
    while at < len(message):
        tag, at = _varint(message, at)
        if tag & 7 == 0:
            _, at = _varint(message, at)
        elif tag & 7 == 2:
            size, at = _varint(message, at)
            found.append((tag >> 3, message[at : at + size]))
            at += size
        else:
            at += {1: 8, 5: 4}[tag & 7]
    return found


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 127) << shift
        shift, at = shift + 7, at + 1
        if byte < 128:
            return value, at


def _keys(reader: Any) -> list[str]:
    """The checkpoint's keys of the model's weights, in the order of Keras' own list of them."""
    from tensorflow.core.protobuf.trackable_object_graph_pb2 import TrackableObjectGraph

    graph = TrackableObjectGraph()
    graph.ParseFromString(reader.get_tensor("_CHECKPOINTABLE_OBJECT_GRAPH"))

    def children(node: Any) -> dict[str, int]:
        return {child.local_name: child.node_id for child in node.children}

    listed = children(graph.nodes[children(graph.nodes[0])["variables"]])
    places = sorted((int(name), node) for name, node in listed.items() if name.isdigit())
    return [graph.nodes[node].attributes[0].checkpoint_key for _, node in places]
