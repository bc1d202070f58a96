"""The `.onnx` files that come out, and the manifest that says how each came about."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from toolkit.data import words
from toolkit.errors import DataError
from toolkit.files import sha256, write_bytes, write_text
from toolkit.glossary import Artifact, Data, Facts

MANIFEST, VOCABULARY = "manifest.json", "vocabulary.json"
FORMAT = 1


def save(
    model: Any, name: str, folder: Path, *, recipe: str = "", facts: tuple[Facts, ...] = ()
) -> Artifact:
    """Write an onnx.ModelProto, or its bytes, as `folder`/`name`.onnx, whole or not at all."""
    content = model if isinstance(model, bytes) else model.SerializeToString()
    path = write_bytes(folder / f"{name}.onnx", content)
    return Artifact(name, path, recipe, facts, sha256(path), path.stat().st_size)


def write_manifest(artifacts: tuple[Artifact, ...], folder: Path, data: Data | None = None) -> Path:
    """Write all that is known of `artifacts` beside them, paths relative to the folder.

    data: its classes, columns, categories and fillings are what a device must know to ask the
    models; the vocabulary of texts goes into a file of its own, `VOCABULARY`.
    """
    entries = [
        {
            "name": a.name,
            "file": a.path.name,
            "sha256": a.sha256,
            "bytes": a.nbytes,
            "recipe": a.recipe,
            "facts": [_brief(f) for f in a.facts],
        }
        for a in artifacts
    ]
    content = {"format": FORMAT, "input": _input(data) if data else {}, "artifacts": entries}
    if data is not None and data.words is not None:
        words.write(folder / VOCABULARY, data.words)
    text = json.dumps(content, indent=1)
    return write_text(folder / MANIFEST, text + "\n")


def _input(data: Data) -> Facts:
    """How a row must look: what stands in each place, and what each class is called."""
    said: Facts = {
        "kind": data.kind,
        "shape": list(data.x.shape[1:]),
        "classes": list(data.classes),
    }
    if data.features:
        said["columns"] = [
            {
                "name": name,
                **({"categories": data.categories[i]} if i in data.categories else {}),
                **({"missing": data.fill[i]} if i in data.fill else {}),
            }
            for i, name in enumerate(data.features)
        ]
    if data.words is not None:
        said["vocabulary"] = VOCABULARY
    return said


def read_manifest(folder: Path) -> tuple[Artifact, ...]:
    """Read the artifacts of a folder and prove that every file is the one that was written.

    Raises DataError for a missing or damaged manifest, and for a file that was changed.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise DataError(f"no {MANIFEST} in {folder}", "a folder that compress wrote", "check it")
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        found = [
            Artifact(
                e["name"],
                folder / Path(e["file"]).name,
                e["recipe"],
                tuple(e["facts"]),
                e["sha256"],
                e["bytes"],
            )
            for e in raw["artifacts"]
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is damaged ({error})", "", "run compress again") from error
    for artifact in found:
        if not artifact.path.is_file() or sha256(artifact.path) != artifact.sha256:
            raise DataError(
                f"{artifact.path} is not the file in its manifest",
                "the file that compress wrote",
                "run compress again",
            )
    return tuple(found)


def _brief(facts: Facts) -> Facts:
    """Histories are drawn from the Run; a manifest travels to devices and stays small."""
    return {name: value for name, value in facts.items() if name != "history"}
