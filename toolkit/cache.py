"""Results kept by content: what was made of the same model, rows and settings is found again.

A key is a digest of everything that decides a result, the code of the toolkit among it. An entry is
one file, written whole or not at all: its own SHA-256, a line of JSON, and bytes. What is damaged,
cut off or of another key counts as not there. Nothing is unpickled.

>>> import tempfile
>>> cache = Cache(Path(tempfile.mkdtemp()))
>>> cache.keep("k", b"the file", {"epochs": 3})
>>> cache.find("k"), cache.find("another")
(Entry(content=b'the file', about={'epochs': 3}), None)
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.checkpoints import digest, few, outline
from toolkit.devices import here, shared
from toolkit.files import sha256, write_bytes
from toolkit.glossary import Data, Facts, Fit
from toolkit.provenance import versions

FORMAT = 1
_SUFFIX = ".entry"
_TRUE = 64  # hex digits of a SHA-256
_STALE = 600
"""Seconds after which an unfinished file belongs to nobody: whoever wrote it was killed."""


@dataclass(frozen=True)
class Entry:
    """What was kept: bytes, such as of an `.onnx`, and JSON values about them."""

    content: bytes
    about: Facts


@dataclass(frozen=True)
class Cache:
    """A folder of entries; many processes may read and write it at once."""

    folder: Path

    def find(self, key: str) -> Entry | None:
        """The entry of `key`, or None. Where machines train together the chief's counts."""
        try:
            kept = self._path(key).read_bytes()
        except OSError:
            kept = b""
        kept = shared(kept)
        told, rest = kept[:_TRUE], kept[_TRUE + 1 :]
        if hashlib.sha256(rest).hexdigest().encode() != told:
            return None
        line, content = rest.split(b"\n", 1)
        head = json.loads(line)
        return Entry(content, head["about"]) if head["key"] == key else None

    def keep(self, key: str, content: bytes, about: Facts) -> None:
        """Write an entry. about: JSON values; numbers of numpy are taken as plain ones."""
        line = json.dumps({"key": key, "about": about}, default=_plain).encode()
        rest = line + b"\n" + content
        told = hashlib.sha256(rest).hexdigest().encode()
        if here().chief:
            write_bytes(self._path(key), told + b"\n" + rest)

    def recalled(self, key: str, work: Callable[[], Facts]) -> Facts:
        """What `work` gave for this key before, or what it gives now."""
        entry = self.find(key)
        if entry is not None:
            return entry.about
        found = plain(work())
        self.keep(key, b"", found)
        return found

    def _path(self, key: str) -> Path:
        return self.folder / (key[:32] + _SUFFIX)


def plain(about: Facts) -> Facts:
    """Facts as they come back from a cache, so that what was found looks like what was made.

    >>> plain({"shape": (2, np.int64(3))})
    {'shape': [2, 3]}
    """
    found: Facts = json.loads(json.dumps(about, default=_plain))
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} in facts, which are JSON values")


def sweep(folder: Path) -> None:
    """Remove what writers that were killed have left unfinished in a folder."""
    for left in folder.glob(".writing-*"):
        try:
            if time.time() - left.stat().st_mtime > _STALE:
                left.unlink()
        except FileNotFoundError:
            continue  # another process has finished or swept it


def key_of(*values: Any) -> str:
    """The key of what `values` decide, made with this code, these versions, on these devices."""
    place = here()
    onednn = os.environ.get("TF_ENABLE_ONEDNN_OPTS", "")
    return digest(FORMAT, _code(), versions(), place.name, place.mixed, onednn, values)


@functools.cache
def _code() -> str:
    """The digest of the toolkit's own code, but for what only shows, explains or chooses."""
    root = Path(__file__).parent
    files = sorted(p for p in root.rglob("*.py") if p.parts[len(root.parts)] not in _APART)
    return digest([(str(p.relative_to(root)), p.read_bytes()) for p in files])


_APART = (
    *("report", "cli", "bundle", "checks", "demonstration.py"),
    *("fidelity", "explanation.py", "faithfulness.py", "studying.py", "gate.py", "flips.py"),
    *("search.py", "choice.py", "exploring.py", "mixing.py", "space.py", "surrogate.py"),
    *("jobs.py", "pareto.py", "traits.py", "verification"),
)


def model_key(model: Any, answers: Any) -> str:
    """What a Keras model is: its layers and how they hang together, its weights, some answers.

    answers: its probabilities of a few rows; they tell apart what a config does not.
    """
    try:
        config = _numbered(model.get_config(), {})
    except NotImplementedError:
        config = None  # a model written as a class
    return digest(config, outline(model), [w.numpy() for w in model.weights], answers)


def _numbered(value: Any, known: dict[str, int]) -> Any:
    """A config whose layers have numbers for names: names count up in a process."""
    if isinstance(value, dict):
        if isinstance(value.get("name"), str):
            known.setdefault(value["name"], len(known))
        return {str(k): _numbered(v, known) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_numbered(v, known) for v in value]
    return known.get(value, value) if isinstance(value, str) else value


def fit_key(fit: Fit) -> str:
    """What passes see: every row of every part, and the rows without labels."""
    more = None if fit.unlabelled is None else _rows(fit.unlabelled)
    return digest([data_key(d) for d in (fit.train, fit.validation, fit.calibration)], more)


def data_key(data: Data) -> str:
    """All rows, labels and names of a part; of texts their indices and words."""
    return digest(_rows(data.x), replace(data, x=few(data.x), texts=None))


def _rows(x: Any) -> Any:
    """The values of rows; of pictures that stay in their files, what tells these files apart."""
    if hasattr(x, "digests"):
        return [x.digests(), replace(x, files=())]
    return np.asarray(x)


def pass_key(step: Any) -> str:
    """What a pass does: its code, its settings, and the content of the files these name."""
    words = [v for v in vars(step).values() if isinstance(v, str) and len(v) < 255]
    files = [sha256(file) for word in words for file in files_of(word)]
    return digest(type(step).__module__, type(step).__call__, step, files)


def _beside(path: Path) -> tuple[str, ...]:
    """The files in which an `.onnx` keeps weights; none of one that cannot be read."""
    from toolkit.onnx_graph import beside

    try:
        return tuple(place for place in beside(path) if (path.parent / place).is_file())
    except Exception:  # protobuf's own error has no public name; who opens it says what is wrong
        return ()


def files_of(word: str) -> Iterator[Path]:
    """The files a setting names: FILE, A+B, FILE.py:function, or all of a SavedModel folder."""
    for part in dict.fromkeys((word, *word.split("+"), word.rpartition(":")[0])):
        path = Path(part)
        if part and path.is_file():
            yield path
            if path.suffix == ".onnx":
                yield from (path.parent / place for place in _beside(path))
        elif part and (path / "saved_model.pb").is_file():
            yield from (file for file in sorted(path.rglob("*")) if file.is_file())
