"""open_model(path): a Keras file, told by its content and never by its name -> keras.Model.

Nothing in the file runs: Lambda layers and functions stored as code are refused.
"""

from __future__ import annotations

import json
import re
import shutil
import zipfile
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from toolkit.errors import ModelError
from toolkit.models import saved, scripts
from toolkit.models.foreign import names_in, refused
from toolkit.models.graph import single
from toolkit.models.heads import head_of, linear, one_logit
from toolkit.models.order import channels_last
from toolkit.undisturbed import undisturbed

_HDF5 = b"\x89HDF\r\n\x1a\n"
_LFS = b"version https://git-lfs"


def kind_of(path: Path) -> str:
    """Tell what a file is by its first bytes: "keras", "hdf5", "onnx", or "saved" for a folder.

    Raises ModelError when it is missing, empty, or none of these, and says what it is instead.
    """
    if (path / "saved_model.pb").is_file():
        return "saved"
    if path.is_dir():
        raise refused(path)
    if not path.is_file():
        raise ModelError(
            f"{path} does not exist",
            "a .keras, .h5 or .onnx file or a SavedModel folder",
            "check the path",
        )
    with path.open("rb") as stream:
        start = stream.read(64)
    if start.startswith(_HDF5):
        return "hdf5"
    if start.startswith(_LFS):
        raise ModelError(
            f"{path} is a git-LFS pointer, not the model", "the file itself", "run: git lfs pull"
        )
    if start.startswith(b"PK") and "config.json" in names_in(path):
        return "keras"
    # an ONNX file is a protobuf message whose first field is ir_version (3..13) as a varint;
    # a SavedModel's begins alike, with a version of 1
    if len(start) > 2 and start[0] == 0x08 and 3 <= start[1] <= 32:
        return "onnx"
    raise refused(path)


@undisturbed()
def open_model(
    path: Path, *, custom: Sequence[str] = (), trust: bool = False, architecture: str = ""
) -> Any:
    """Open a Keras classifier of Keras 2.0 to 3, uncompiled; the file stays as it is.

    custom: `FILE.py:Name` of the classes and functions that the file names. trust: let code in
    the file run (Lambda layers); without it none does. architecture: `FILE.py:function` that
    gives the model, called without arguments, or what `model.to_json()` gave, for a file that
    holds weights only.
    Raises ModelError in one line when it is missing, no Keras model, weights only, needs code
    from the file or a custom class, or is no classifier.
    """
    path = Path(path)
    kind = kind_of(path)
    if kind == "onnx":
        raise ModelError(
            f"{path} is an ONNX file",
            "a .keras or .h5 file here",
            "compress, explain and measure take .onnx as it is",
        )
    import keras

    if keras.backend.backend() != "tensorflow":
        raise ModelError(
            f"the Keras backend is {keras.backend.backend()}",
            "tensorflow",
            "set KERAS_BACKEND=tensorflow",
        )
    from toolkit.models import legacy

    given = {spec.rpartition(":")[2]: scripts.named(spec) for spec in custom}
    objects = {**legacy.scales(), **given}
    try:
        if architecture:
            if architecture.endswith(".json"):
                bare = legacy.from_json(Path(architecture), objects, safe=not trust)
            else:
                bare = scripts.model_of(architecture)
            model = _weighted(path, bare)
        elif kind == "saved":
            model = saved.open_saved(path, objects, safe=not trust)
        elif kind == "hdf5":
            model = _from_hdf5(path, objects, safe=not trust)
        else:
            model = _from_archive(path, objects, safe=not trust)
        model = _with_head(single(model), _loss(path, kind))
    except ModelError:
        raise
    except Exception as error:  # whatever Keras meets: the user needs one line
        raise _unopened(path, error) from error
    model = channels_last(model)
    head_of(model)
    return model


def _from_hdf5(path: Path, objects: dict[str, Any], *, safe: bool) -> Any:
    import h5py

    from toolkit.models import layouts, legacy

    model = legacy.built(legacy.config_of_hdf5(path), objects, safe=safe)
    with h5py.File(path, "r") as stored:
        layouts.load(layouts.held(stored, "model_weights"), model)
    return model


def _from_archive(path: Path, objects: dict[str, Any], *, safe: bool) -> Any:
    from keras.src.saving import saving_lib

    from toolkit.models import legacy

    legacy.register()
    with legacy.mended_archive(path) as readable, readable.open("rb") as stream:
        # by content: the public loader looks at the suffix
        return saving_lib._load_model_from_fileobj(
            stream, custom_objects=objects, compile=False, safe_mode=safe
        )


def _weighted(path: Path, model: Any) -> Any:
    """The model with the weights of the file, in either of Keras' two layouts."""
    import h5py

    from toolkit.models import layouts

    with h5py.File(path, "r") as stored:
        whole = layouts.held(stored, "model_weights") if "model_weights" in stored else stored
        # the attribute is parted where the names of many layers do not fit into one
        if "layer_names" in whole.attrs or "layer_names0" in whole.attrs:
            layouts.load(whole, model)
            return model
    with TemporaryDirectory() as folder:
        # the loader chooses its layout by the name
        model.load_weights(shutil.copyfile(path, Path(folder) / "all.weights.h5"))
    return model


def _loss(path: Path, kind: str) -> tuple[str, bool]:
    """The loss that the file says the model was trained with, or nothing; and if over logits."""
    import h5py

    told: Any = None
    if kind == "hdf5":
        with h5py.File(path, "r") as stored:
            told = json.loads(stored.attrs.get("training_config") or "null")
    elif kind == "keras":
        with zipfile.ZipFile(path) as stored:
            told = json.loads(stored.read("config.json")).get("compile_config")
    elif kind == "saved":
        told = saved.training_of(path)
    loss = told.get("loss") if isinstance(told, dict) else None
    # one output may have its loss in a list, or by its name
    while isinstance(loss, list) and len(loss) == 1:
        loss = loss[0]
    if isinstance(loss, dict) and len(loss) == 1 and "config" not in loss:
        loss = next(iter(loss.values()))
    if isinstance(loss, str):
        return loss, False
    if not isinstance(loss, dict) or not isinstance(loss.get("config"), dict):
        return "", False
    config = loss["config"]
    return str(config.get("name", loss.get("class_name"))), bool(config.get("from_logits"))


def _with_head(model: Any, loss: tuple[str, bool]) -> Any:
    """The model, with the sigmoid that its one logit was trained for.

    Raises ModelError for linear units that were trained for something else.
    """
    import keras

    name, logits = loss
    if name.removesuffix("_error") in _REGRESSION and linear(model):
        raise _regressor(f"linear units and was trained with {name}")
    if not one_logit(model) or not name:
        return model
    if not (logits and "binary" in name):
        raise _regressor(f"one linear unit and was trained with {name}")
    answer = keras.layers.Activation("sigmoid", name="sigmoid_of_logit")(model.outputs[0])
    return keras.Model(model.inputs, answer, name=model.name)


_REGRESSION = {
    *("mse", "mae", "mape", "msle", "mean_squared", "mean_absolute", "mean_absolute_percentage"),
    *("mean_squared_logarithmic", "huber", "huber_loss", "log_cosh", "logcosh"),
    *("MSE", "MAE", "MeanSquaredError", "MeanAbsoluteError", "Huber"),
}
"""Losses of regressors, without the "_error" that some end in."""


def _regressor(how: str) -> ModelError:
    return ModelError(
        f"not a classifier: it ends in {how}",
        "softmax or linear units, one a class, or one sigmoid unit",
        "a regressor cannot be compressed here; for two classes add a sigmoid",
    )


_UNKNOWN = re.compile(
    r"Unknown (?:layer|object|function|activation function):? '?(\w+)"
    r"|locate (?:class|function|object) '(?:[^']*[>.])?(\w+)'"
    r"|deserialize '(?:\w+\.)*(\w+)' because"
)


def _unopened(path: Path, error: Exception) -> ModelError:
    """What Keras said, in one line with a next step."""
    text = " ".join(str(error).split())
    code = "lambda" in text.lower() or "unsafe" in text.lower()
    unknown = _UNKNOWN.search(text)
    if unknown and not code:
        name = next(group for group in unknown.groups() if group)
        return ModelError(
            f"{path} names {name}, which Keras 3 does not have",
            "classes and functions of Keras, or your own",
            f"name its code: --custom FILE.py:{name}",
        )
    if code:
        step = (
            "a Lambda or stored function would run code from the file: replace it, or say --trust"
        )
    elif "Could not interpret" in text and "'value'" in text:
        step = "it holds an activation as code: name one of Keras' own instead"
    elif "No model config found" in text or "weights" in text:
        step = "this file holds weights only: give --architecture FILE.py:function or its .json"
    else:
        step = "save it again with model.save('model.keras') of the Keras that made it"
    return ModelError(
        f"Keras cannot open {path} ({text[:160]}{'...' if len(text) > 160 else ''})",
        "a classifier of built-in Keras layers",
        step,
    )
