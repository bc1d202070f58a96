"""Files that people take for a Keras model, told by their content: what each is, and what to do."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

from toolkit.errors import ModelError

_ALLOWED = "a .keras, .h5 or .onnx file or a SavedModel folder"
_MOST_JSON = 64 * 2**20


def refused(path: Path) -> ModelError:
    """What a file or folder that is no model is instead, with the next step; nothing is unpickled.

    path: exists and is none of the kinds that open.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as place:
    ...     _ = (Path(place) / "m.tflite").write_bytes(bytes(4) + b"TFL3")
    ...     print(refused(Path(place) / "m.tflite").problem.split()[-3:])
    ['a', 'TensorFlow-Lite', 'file']
    """
    what, step = _folder(path) if path.is_dir() else _file(path)
    return ModelError(f"{path} is {what}", _ALLOWED, step)


def _folder(path: Path) -> tuple[str, str]:
    if (path / "model.json").is_file():
        return _json(path / "model.json")
    if (path / "config.json").is_file() and (path / "model.weights.h5").is_file():
        return "an unpacked .keras archive", "zip what is in it: cd there && zip -r ../m.keras ."
    inside = sorted(one.name for one in path.iterdir())
    models = [n for n in inside if n.endswith((".keras", ".h5", ".hdf5", ".onnx"))]
    if models:
        return f"a folder with {', '.join(models[:4])}", f"give the file: {path / models[0]}"
    below = [n for n in inside if (path / n / "saved_model.pb").is_file()]
    if below:
        return "a folder of SavedModels", f"give one: {path / below[-1]}"
    if "checkpoint" in inside or any(n.endswith(".index") for n in inside):
        return "a checkpoint, which is weights without a model", "save it with model.save(...)"
    return "a folder without a model", "check the path"


def _file(path: Path) -> tuple[str, str]:
    with path.open("rb") as stream:
        start = stream.read(512)
    text = start.lstrip().lower()
    if start[4:8] == b"TFL3":
        return "a TensorFlow-Lite file", "give the Keras model that it was converted from"
    if path.name == "saved_model.pb":
        return "the graph of a SavedModel", f"give its folder: {path.parent}"
    if zipfile.is_zipfile(path):
        return _archive(path)
    if start[:2] in (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"):
        return (
            "a pickle, which can run any code and is not opened",
            "load it where you trust it and save the model with model.save('model.keras')",
        )
    if text.startswith((b"<!doctype", b"<html")):
        return "a web page and not the file that it shows", "download the file itself"
    if text.startswith(b"{"):
        return _json(path)
    if start.startswith((b"\x1f\x8b", b"Rar!", b"7z\xbc\xaf")) or start[257:262] == b"ustar":
        return "a packed archive", "unpack it and give the model in it"
    if path.suffix == ".pb":
        return (
            "a frozen graph without the Keras model it came from",
            "give the .keras, .h5 or SavedModel that it was made of",
        )
    if not start:
        return "empty", "fetch or save it again"
    if start.startswith(b"PK"):
        return "an archive whose end is missing", "fetch or save it again"
    return "not a model", "save it with model.save('model.keras')"


def names_in(path: Path) -> list[str]:
    """The files in an archive; none where it cannot be read."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    except (zipfile.BadZipFile, NotImplementedError):
        return []


def _archive(path: Path) -> tuple[str, str]:
    names = names_in(path)
    if not names:
        return "an archive that cannot be read", "fetch or save it again"
    if any(name.endswith("data.pkl") for name in names):
        return "a PyTorch file", "give a Keras model, or its .onnx to explain and measure"
    inside = [n for n in names if n.endswith((".keras", ".h5", ".hdf5", ".onnx", "saved_model.pb"))]
    if inside:
        return f"an archive that holds {inside[0]}", "unpack it and give that"
    if names and all(name.endswith(".npy") for name in names):
        return "arrays of numpy and no model", "give data with --data"
    return "an archive without a model", "give the model itself"


def _json(path: Path) -> tuple[str, str]:
    """An architecture alone, or what TensorFlow.js reads."""
    try:
        told = json.loads(path.read_text("utf-8")) if path.stat().st_size < _MOST_JSON else {}
    except (ValueError, RecursionError):
        told = {}
    if isinstance(told, dict) and "modelTopology" in told:
        return (
            "a model of TensorFlow.js",
            "bring it back: tensorflowjs_converter --input_format=tfjs_layers_model "
            "--output_format=keras model.json model.h5",
        )
    if isinstance(told, dict) and "class_name" in told and "config" in told:
        return (
            "an architecture without weights",
            f"give the file of weights, with --architecture {path}",
        )
    return "JSON and no model", "give the model itself"
