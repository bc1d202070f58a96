"""The `.onnx` files that come out, and the manifest that says how each came about."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from toolkit.errors import DataError
from toolkit.files import sha256, write_bytes, write_text
from toolkit.glossary import Artifact, Facts

MANIFEST = "manifest.json"
FORMAT = 1


def save(
    model: Any, name: str, folder: Path, *, recipe: str = "", facts: tuple[Facts, ...] = ()
) -> Artifact:
    """Write an onnx.ModelProto as `folder`/`name`.onnx, whole or not at all."""
    path = write_bytes(folder / f"{name}.onnx", model.SerializeToString())
    return Artifact(name, path, recipe, facts, sha256(path), path.stat().st_size)


def write_manifest(artifacts: tuple[Artifact, ...], folder: Path) -> Path:
    """Write all that is known of `artifacts` beside them, paths relative to the folder."""
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
    text = json.dumps({"format": FORMAT, "artifacts": entries}, indent=1)
    return write_text(folder / MANIFEST, text + "\n")


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
