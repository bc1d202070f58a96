"""Configs that Keras 2 wrote -> configs that Keras 3 reads the same way; the file stays as it is.

Each mend is a function on one layer's or model's dict, and a line in `_MENDS`.
"""

from __future__ import annotations

import inspect
import json
import shutil
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from toolkit.errors import ModelError
from toolkit.models.keras1 import renamed
from toolkit.models.legacy_ops import replace_functions

Node = dict[str, Any]
"""A serialised object: {"class_name": ..., "config": ...}."""

_FUNCTIONAL = ("Functional", "Model")
_RENAMED = {
    "BatchNormalizationV1": "BatchNormalization",
    "BatchNormalizationV2": "BatchNormalization",
    "SyncBatchNormalization": "BatchNormalization",
}
_PRECISIONS = {
    *("float16", "bfloat16", "float32", "float64", "mixed_float16", "mixed_bfloat16"),
}
_HARD = "hard_sigmoid_keras2"
_OLD_GROUP = "_layer_checkpoint_dependencies"

MOST_BYTES = 8 * 2**30
"""An archive that unpacks to more is refused before memory or disk is taken."""

MOST_CONFIG = 64 * 2**20

MOST_UNITS = 10_000_000
_SIZES = {"units", "filters", "input_dim", "output_dim", "num_heads", "key_dim", "depth_multiplier"}


def config_of_hdf5(path: Path) -> Node:
    """The config of a model in an HDF5 file, as Keras 3 reads it.

    Raises ModelError when the file holds no model config.
    """
    import h5py

    with h5py.File(path, "r") as stored:
        raw = stored.attrs.get("model_config")
        version = _text(stored.attrs.get("keras_version", "2"))
    if raw is None:
        raise ModelError(
            f"{path} holds weights only",
            "a whole model",
            "give --architecture FILE.py:function or its .json, or save the whole model",
        )
    bounded(json.loads(_text(raw)), path)
    if version.startswith("3"):
        return _operations(for_inference(plain(json.loads(_text(raw)))))  # type: ignore[no-any-return]
    return mended(json.loads(_text(raw)))


def built(config: Node, objects: dict[str, Any], *, safe: bool) -> Any:
    """The model that a config describes, its weights not yet those of the file.

    safe: refuse layers that hold code.
    """
    from keras.src.legacy.saving import saving_options, saving_utils
    from keras.src.saving import serialization_lib

    register()
    legacy_config = saving_options.keras_option_scope(use_legacy_config=True)
    with legacy_config, serialization_lib.SafeModeScope(safe_mode=safe):
        return saving_utils.model_from_config(config, custom_objects=objects)


def from_json(path: Path, objects: dict[str, Any], *, safe: bool) -> Any:
    """The model, its weights those of the start, that `model.to_json()` of any Keras wrote.

    safe: refuse layers that hold code. Raises ModelError when the file is no such thing.
    """
    import keras

    try:
        if path.stat().st_size > MOST_CONFIG:
            raise ValueError("it is too large")
        config = json.loads(path.read_text("utf-8"))
        if not isinstance(config, dict) or not {"class_name", "config"} <= config.keys():
            raise ValueError("it names no class")
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(
            f"cannot read the architecture {path} ({str(error)[:100]})",
            "FILE.py:function, or what model.to_json() gave",
            "check the file",
        ) from error
    bounded(config, path)
    config.pop("compile_config", None)
    if "module" not in config or "keras_version" in config:
        return built(mended(config), objects, safe=safe)
    register()
    return keras.saving.deserialize_keras_object(
        for_inference(config), custom_objects=objects, safe_mode=safe
    )


@contextmanager
def mended_archive(path: Path) -> Iterator[Path]:
    """Give the path of a copy of a `.keras` archive whose config Keras 3 reads.

    Raises ModelError when a part of the archive is larger than `MOST_BYTES`.
    """
    with zipfile.ZipFile(path) as stored:
        sizes = {member.filename: member.file_size for member in stored.infolist()}
        if sum(sizes.values()) > MOST_BYTES or sizes["config.json"] > MOST_CONFIG:
            raise ModelError(
                f"{path} unpacks to {sum(sizes.values()) / 2**30:.1f} GiB",
                f"at most {MOST_BYTES / 2**30:.0f} GiB",
                "this is no model for a small device",
            )
        about = json.loads(stored.read("metadata.json")) if "metadata.json" in sizes else {}
        config = json.loads(stored.read("config.json"))
        bounded(config, path)
        new = str(about.get("keras_version", "3")).startswith("3")
        fresh = for_inference(config) if new else mended(config)
        if new and fresh == config:
            yield path
            return
        with TemporaryDirectory() as folder:
            weights = Path(folder) / "model.weights.h5"
            with stored.open("model.weights.h5") as source, weights.open("wb") as target:
                shutil.copyfileobj(source, target)
            _renamed_groups(weights)
            twin = Path(folder) / "model.keras"
            with zipfile.ZipFile(twin, "w") as out:
                out.writestr("config.json", json.dumps(fresh))
                out.writestr("metadata.json", json.dumps(about))
                out.write(weights, "model.weights.h5")
                for name in sizes:
                    # vocabularies; Keras itself looks where each would be unpacked
                    if name.startswith("assets/") and not name.endswith("/"):
                        out.writestr(name, stored.read(name))
            yield twin


def bounded(config: Any, path: Path) -> None:
    """Raise ModelError for a config that asks for layers no device holds, before they are made."""
    waiting = [config]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting += value
        if not isinstance(value, dict):
            continue
        waiting += value.values()
        for name in _SIZES & value.keys():
            if isinstance(value[name], int) and value[name] > MOST_UNITS:
                raise ModelError(
                    f"{path} has a layer with {name} {value[name]:,}",
                    f"at most {MOST_UNITS:,}",
                    "this is no model for a small device",
                )


def _renamed_groups(weights: Path) -> None:
    """Keras 2.12 and 2.13 named the groups of weights otherwise."""
    import h5py

    with h5py.File(weights, "r+") as stored:
        names: list[str] = []
        stored.visit(names.append)
        for name in sorted((n for n in names if n.endswith(_OLD_GROUP)), key=len, reverse=True):
            stored.move(name, name.removesuffix(_OLD_GROUP) + "layers")


def mended(config: Node) -> Node:
    """A model's config as Keras 3 reads it, with what Keras 2 meant.

    >>> old = {"class_name": "Sequential", "config": [{"class_name": "Dense", "config": {
    ...     "units": 2, "batch_input_shape": [None, 4]}}]}
    >>> [layer["class_name"] for layer in mended(old)["config"]["layers"]]
    ['InputLayer', 'Dense']
    """
    return _walk(for_inference(config))  # type: ignore[no-any-return]


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


def _operations(node: Any) -> Any:
    """HDF5 files of Keras 3 leave out that a node is of keras.ops and no layer."""
    import importlib

    if isinstance(node, list):
        return [_operations(item) for item in node]
    if not isinstance(node, dict):
        return node
    fresh = {name: _operations(item) for name, item in node.items()}
    kind, config = fresh.get("class_name"), fresh.get("config")
    plain = isinstance(config, dict) and not {"dtype", "trainable", "layers"} & config.keys()
    if "inbound_nodes" in fresh and "module" not in fresh and plain:
        for room in ("numpy", "nn", "math", "core", "linalg", "image"):
            if hasattr(importlib.import_module(f"keras.src.ops.{room}"), str(kind)):
                fresh.update(module=f"keras.src.ops.{room}", registered_name=kind)
                break
    return fresh


def hard_sigmoid(x: Any) -> Any:
    """The hard sigmoid of Keras 2, clip(0.2 x + 0.5, 0, 1); Keras 3 means relu6(x + 3) / 6."""
    from keras import ops

    return ops.clip(0.2 * x + 0.5, 0.0, 1.0)


def scales() -> dict[str, Any]:
    """Layers of Keras' own nets (ConvNeXt, InceptionResNetV2) that are not in keras.layers."""
    from keras.src.applications import convnext, inception_resnet_v2

    own = (convnext.LayerScale, convnext.StochasticDepth, inception_resnet_v2.CustomScaleLayer)
    return {kind.__name__: kind for kind in own}


def register() -> None:
    """Let Keras know the function and the layer that mended configs name."""
    import keras

    if keras.saving.get_registered_object(f"toolkit>{_HARD}") is not None:
        return
    keras.saving.register_keras_serializable("toolkit", _HARD)(hard_sigmoid)

    @keras.saving.register_keras_serializable("toolkit")
    class ThresholdedReLU(keras.layers.Layer):  # type: ignore[misc]
        """x where it is above theta, else 0; Keras 3 has no such layer."""

        def __init__(self, theta: float = 1.0, **rest: Any) -> None:
            super().__init__(**rest)
            self.theta = float(theta)

        def call(self, x: Any) -> Any:
            return x * keras.ops.cast(x > self.theta, x.dtype)

        def get_config(self) -> dict[str, Any]:
            return {**super().get_config(), "theta": self.theta}


def _walk(value: Any) -> Any:
    if isinstance(value, list):
        return [_walk(item) for item in value]
    if not isinstance(value, dict):
        return value
    if isinstance(value.get("class_name"), str) and "config" in value:
        for mend in _MENDS:
            mend(value)
    return {name: _walk(item) for name, item in value.items()}


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
    if node["class_name"] not in _FUNCTIONAL or not isinstance(node["config"], dict):
        return
    node.update(class_name="Functional", module="keras.src.models.functional", registered_name=None)
    for ends in ("input_layers", "output_layers"):
        found = node["config"].get(ends)
        if isinstance(found, list) and len(found) == 1 and isinstance(found[0], list):
            node["config"][ends] = found[0]


def _nested_nodes(node: Node) -> None:
    """Calls of an inner model are counted from its first call; Keras 2 counted its making too."""
    if node["class_name"] not in _FUNCTIONAL or not isinstance(node["config"], dict):
        return
    config = node["config"]
    layers = config.get("layers", [])
    replace_functions(layers)
    _without_slashes(config)
    inner = {
        layer.get("name", layer["config"]["name"]): layer["class_name"]
        for layer in layers
        if layer["class_name"] in (*_FUNCTIONAL, "Sequential") and isinstance(layer["config"], dict)
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


def _plain_names(node: Node) -> None:
    """The same in a Sequential, whose layers may be lists of layers."""
    config = node["config"]
    layers = config.get("layers", []) if isinstance(config, dict) else []
    named = all(isinstance(one["config"], dict) and "name" in one["config"] for one in layers)
    if node["class_name"] == "Sequential" and named:
        _without_slashes(config)


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
    if not isinstance(layer, type) or kind in ("InputLayer", "Sequential", *_FUNCTIONAL):
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

        for place in ("layers", "initializers", "regularizers", "constraints"):
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
                "config": f"toolkit>{_HARD}",
                "registered_name": f"toolkit>{_HARD}",
            }


_MENDS: tuple[Callable[[Node], None], ...] = (
    _bare_list,
    renamed,
    _for_cudnn,
    _input_layer,
    _plain_names,
    _nested_nodes,
    _single_ends,
    _unknown_keys,
    _modules,
    _old_meanings,
)


def _text(value: Any) -> str:
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)
