"""Files of any Keras -> a config and a copy that Keras 3 reads; the file itself stays as it is."""

from __future__ import annotations

import functools
import json
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from toolkit.errors import ModelError
from toolkit.models.connections import Node
from toolkit.models.mends import HARD_SIGMOID, MERGES, for_inference, mended, plain

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

    if keras.saving.get_registered_object(f"toolkit>{HARD_SIGMOID}") is not None:
        return
    keras.saving.register_keras_serializable("toolkit", HARD_SIGMOID)(hard_sigmoid)

    for name in MERGES:
        kind = getattr(keras.layers, name)
        own = type(name, (kind,), {"compute_mask": _every_mask, "__module__": __name__})
        keras.saving.register_keras_serializable("toolkit")(own)

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


def _every_mask(layer: Any, inputs: Any, mask: Any = None) -> Any:
    """Where all masks that there are let a step count; in Keras 3 one that does is enough, and
    where one input has none there is none.
    """
    import keras

    along = getattr(layer, "axis", -1) % len(inputs[0].shape)
    if along != len(inputs[0].shape) - 1:
        # steps one after the other keep their own
        return super(type(layer), layer).compute_mask(inputs, mask)
    found = [m for m in mask or () if m is not None]
    return functools.reduce(keras.ops.logical_and, found) if found else None


def _text(value: Any) -> str:
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)
