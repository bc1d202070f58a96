"""A Run, the file it chose and some test rows -> one zip that a device can use by itself."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import math
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.bundle.archive import zipped
from toolkit.bundle.card import card
from toolkit.bundle.device import FORMAT
from toolkit.bundle.tolerance import tolerance
from toolkit.errors import ModelError, OutputError, RecipeError, near
from toolkit.files import writable_folder, write_bytes
from toolkit.glossary import Artifact, Data, Facts, Floats
from toolkit.predict import OnnxPredictor
from toolkit.progress import tell
from toolkit.run import Run
from toolkit.shapes import in_shape
from toolkit.targets import answering

SAMPLES, _VALUES = 32, 2**18
"""Rows that travel, and their values at most: 1 MiB."""


def place(path: str | Path) -> Path:
    """The path of a bundle, proven to be writable before long work starts.

    Raises OutputError when it is no .zip or cannot be written.
    """
    path = Path(path)
    if path.suffix != ".zip" or path.is_dir():
        raise OutputError(f"cannot write {path}", "a name that ends in .zip", "rename it")
    writable_folder(path.parent)
    return path


def write(run: Run, data: Data, path: str | Path, *, name: str = "", seed: int = 0) -> Path:
    """Write the bundle of a compressed model, whole or not at all.

    run: what compress found. data: the test part as the run saw it; up to `SAMPLES` rows of it
    travel with the model. name: the artifact to take, else the chosen one.
    The same run and rows give the same bytes. Raises RecipeError when there is no such artifact,
    ModelError when its file is not the one that was measured.
    """
    return write_bytes(place(path), zipped(contents(run, data, name=name, seed=seed)))


def contents(run: Run, data: Data, *, name: str = "", seed: int = 0) -> dict[str, bytes]:
    """The files of the bundle by their names, the manifest first."""
    small = _artifact(run, name or run.chosen or "")
    model = small.path.read_bytes()
    if hashlib.sha256(model).hexdigest() != small.sha256:
        raise ModelError(f"{small.path} is not the file that was measured", "", "compress again")
    ask = OnnxPredictor(model, small.name, threads=1)
    rows = samples(data, ask, seed)
    x = in_shape(np.asarray(data.x[rows], np.float32), ask.shape)
    tell("bundle", 0, 2)
    there = answering(model, small.name, str(run.budget.get("target", "")))
    p = np.concatenate([there(x[i : i + 1]) for i in range(len(x))])
    allowed = tolerance(model, x, seed=seed)
    tell("bundle", 1, 2)
    files = {
        "model.onnx": model,
        "labels.json": _json(list(data.classes)),
        "preprocessing.json": _json(_preprocessing(run, data, ask)),
        "samples.npz": zipped(
            {
                "x.npy": _npy(x),
                "probabilities.npy": _npy(p),
                "label.npy": _npy(data.y[rows].astype(np.int64)),
                "row.npy": _npy(rows),
            }
        ),
        "run.py": script(),
    }
    if data.words is not None:
        files["vocabulary.json"] = _json({"format": 1, **dataclasses.asdict(data.words)})
    sampled = {"rows": len(rows), **dataclasses.asdict(allowed)}
    files["MODEL_CARD.md"] = card(run, small, data, sampled).encode("utf-8")
    told = _manifest(run, small, files, sampled)
    tell("bundle", 2, 2)
    return {"manifest.json": _json(told), **files}


def script() -> bytes:
    """The script that travels as `run.py`."""
    return (resources.files("toolkit.bundle") / "device.py").read_bytes()


def samples(data: Data, ask: OnnxPredictor, seed: int) -> Any:
    """Rows of the test part that travel, i64 in order: each class in turn, at random within it."""
    most = max(min(SAMPLES, _VALUES // max(math.prod(data.x.shape[1:]), 1)), 1)
    shuffled = np.random.default_rng(seed).permutation(len(data))
    turn = np.zeros(len(data), np.int64)
    for k in range(ask.classes):
        mine = shuffled[data.y[shuffled] == k]
        turn[mine] = np.arange(len(mine))
    order = shuffled[np.argsort(turn[shuffled], kind="stable")]
    return np.sort(order[:most]).astype(np.int64)


def _artifact(run: Run, name: str) -> Artifact:
    known = {a.name: a for a in run.artifacts}
    if name not in known:
        said = f"no artifact '{name}' to bundle" if name else "nothing was chosen to bundle"
        raise RecipeError(said, near(name, known) if known else "compress first")
    return known[name]


def _preprocessing(run: Run, data: Data, ask: OnnxPredictor) -> Facts:
    """How a row as the device has it becomes what the model takes, and what its output means."""
    told: Facts = {
        "kind": data.kind,
        "shape": list(ask.shape),
        "scale": float(run.data.get("scale", 1.0)),
        "offset": float(run.data.get("offset", 0.0)),
        "head": ask.head,
        # ranges that are found on the fly are those of a call
        **({"rows_at_once": ask.at_once or ask.step} if ask.step else {}),
    }
    if data.features and data.kind == "tabular":
        told["columns"] = [
            {
                "name": column,
                **({"categories": list(data.categories[i])} if i in data.categories else {}),
                **({"missing": data.fill[i]} if i in data.fill else {}),
            }
            for i, column in enumerate(data.features)
        ]
    if data.words is not None:
        told["words"] = "vocabulary.json"
    return told


def _manifest(run: Run, small: Artifact, files: dict[str, bytes], sampled: Facts) -> Facts:
    wanted = (small.name, run.base)
    return {
        "format": FORMAT,
        "name": small.name,
        "base": run.base,
        "created": run.created,
        "files": {
            name: {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
            for name, content in files.items()
        },
        "samples": sampled,
        "recipe": small.recipe,
        "facts": [{k: v for k, v in f.items() if k != "history"} for f in small.facts],
        "measurements": [dataclasses.asdict(m) for m in run.measurements if m.subject in wanted],
        "findings": [dataclasses.asdict(f) for f in run.findings if small.name in f.subject],
        "budget": run.budget,
        "data": run.data,
        "seeds": run.seeds,
        "hashes": run.hashes,
        "versions": run.versions,
        "machine": run.machine,
    }


def _npy(values: Floats | Any) -> bytes:
    out = io.BytesIO()
    np.lib.format.write_array(out, np.ascontiguousarray(values), allow_pickle=False)
    return out.getvalue()


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode("utf-8")
