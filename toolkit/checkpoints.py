"""Training that goes on where it was killed: after each epoch, all that moves is written down.

Inside `resuming(folder)` every training keeps one file, under a key made of everything that decides
its result. The file is an .npz without pickles, written whole or not at all. What is damaged, or of
another training, counts as not there.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import shutil
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.devices import here
from toolkit.files import write_with
from toolkit.provenance import versions

Series = dict[str, list[float]]


@dataclass(frozen=True)
class Saved:
    """How far a training had come: epochs done, one value an epoch for each series."""

    epochs: int = 0
    series: Series = field(default_factory=dict)
    finished: bool = False


@dataclass(frozen=True)
class _Place:
    folder: Path
    asked: Counter[str]


_place: ContextVar[_Place | None] = ContextVar("place", default=None)
_around: ContextVar[tuple[Any, ...]] = ContextVar("around", default=())


@contextmanager
def resuming(folder: str | Path) -> Iterator[None]:
    """Let every training inside the block go on from what an earlier, killed run left in `folder`.

    When the block ends without an error, the folder is removed.

    >>> import tempfile
    >>> from toolkit import data, models, training
    >>> wine, brief = data.load("wine"), training.Settings(epochs=2)
    >>> with resuming(Path(tempfile.mkdtemp()) / "left"):
    ...     net = models.build("tabular", wine.fit.train)
    ...     model, history = training.train(net, wine.fit, brief)
    >>> history.facts.get("resumed_from")  # nothing was there
    """
    token = _place.set(_Place(Path(folder), Counter()))
    try:
        yield
    finally:
        _place.reset(token)
    if here().chief:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def deciding(*values: Any) -> Iterator[None]:
    """Say that `values`, such as the settings of a pass, decide what trainings inside come to."""
    token = _around.set((*_around.get(), *values))
    try:
        yield
    finally:
        _around.reset(token)


def checkpoint(*values: Any) -> Checkpoint | None:
    """The file of the training that `values` decide; None where nobody asked for any."""
    place = _place.get()
    if place is None:
        return None
    key = digest(versions(), _around.get(), values)
    # two trainings that look alike from here are told apart by their order
    place.asked[key] += 1
    return Checkpoint(place.folder / f"{key[:24]}-{place.asked[key]}.npz", key)


@dataclass(frozen=True)
class Checkpoint:
    """The file of one training."""

    path: Path
    key: str

    def write(self, saved: Saved, variables: Sequence[Any]) -> None:
        """Keep the values of all variables, tf.Variable or keras.Variable, and how far it is."""
        arrays: dict[str, Any] = {f"v{i}": v.numpy() for i, v in enumerate(variables)}
        arrays["about"] = json.dumps({"key": self.key, **dataclasses.asdict(saved)})
        write_with(self.path, lambda p: np.savez(p, **arrays))

    def content(self) -> bytes:
        """What the file holds; nothing where there is none."""
        try:
            return self.path.read_bytes()
        except OSError:
            return b""

    def restore(self, content: bytes, variables: Sequence[Any]) -> Saved:
        """Give the variables their values back, all of them or none, and say how far it was."""
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as file:
                about = json.loads(str(file["about"]))
                values = [file[f"v{i}"] for i in range(len(file.files) - 1)]
            saved = Saved(int(about["epochs"]), dict(about["series"]), bool(about["finished"]))
        except (OSError, ValueError, KeyError, TypeError, EOFError, zlib.error, zipfile.BadZipFile):
            return Saved()
        fits = about["key"] == self.key and [_form(v) for v in values] == [
            _form(v) for v in variables
        ]
        if not fits or any(len(s) != saved.epochs for s in saved.series.values()):
            return Saved()
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
        return saved


def _form(value: Any) -> tuple[Any, ...]:
    kind = getattr(value.dtype, "name", value.dtype)
    return (*(int(n) for n in value.shape), str(kind))


def variables_of(model: Any) -> list[Any]:
    """All that training moves in a compiled model of either Keras: weights, seeds, optimizer."""
    passing = {id(v) for v in getattr(model, "metrics_variables", ())}
    dice = [layer._random_generator._generator.state for layer in random_layers(model)]
    return [
        *(v for v in model.variables if id(v) not in passing),
        *dice,
        *model.optimizer.variables,
    ]


def random_layers(model: Any) -> list[Any]:
    """The layers of a tf_keras model that draw random numbers; Keras 3 shows that state."""
    return [
        layer
        for layer in model._flatten_layers()
        if hasattr(layer, "_random_generator") and hasattr(layer._random_generator, "_rng_type")
    ]


def outline(model: Any) -> list[Any]:
    """What the layers of a model are, without their names, which differ from run to run."""
    return [[type(layer).__name__, _config(layer)] for layer in model._flatten_layers()]


def _config(layer: Any) -> Any:
    if hasattr(layer, "layers"):
        return None  # its layers come by themselves
    try:
        return _nameless(layer.get_config())
    except NotImplementedError:
        return None


def _nameless(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): _nameless(v) for k, v in value.items() if k != "name"}
    return [_nameless(v) for v in value] if isinstance(value, list | tuple) else value


def few(rows: Any) -> NDArray[Any]:
    """At most 64 rows from everywhere, to know an array by; rows may stay in their files."""
    return np.asarray(rows[np.linspace(0, len(rows) - 1, min(64, len(rows))).astype(int)])


def digest(*values: Any) -> str:
    """SHA-256, in hex, of plain values, arrays, dataclasses, functions and what these hold.

    >>> digest({"a": 1.5}, np.zeros(3)) == digest({"a": 1.5}, np.zeros(3))
    True
    >>> def scaled(by):
    ...     return lambda x: by * x
    >>> digest(scaled(2)) == digest(scaled(2)), digest(scaled(2)) == digest(scaled(3))
    (True, False)
    """
    found = hashlib.sha256()
    _feed(found.update, values, set())
    return found.hexdigest()


def _feed(update: Callable[[bytes], None], value: Any, open_: set[int]) -> None:
    """Send a value's type and content to `update`; of unknown objects only the type is told."""
    if isinstance(value, np.generic):
        value = value.item()
    update(f"{type(value).__qualname__}:".encode())
    if value is None or isinstance(value, str | bytes | int | float | bool | Path):
        update(f"{value!r};".encode())
        return
    if isinstance(value, np.ndarray):
        update(f"{value.dtype}{value.shape}".encode())
        update(np.ascontiguousarray(value).tobytes())
        return
    if id(value) in open_:
        return
    for inner in _parts(value):
        _feed(update, inner, {*open_, id(value)})
    update(b";")


def _parts(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        for name in sorted(value, key=str):
            yield from (str(name), value[name])
    elif isinstance(value, list | tuple):
        yield from value
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        yield from (getattr(value, f.name) for f in dataclasses.fields(value))
    elif hasattr(value, "__code__"):
        yield from (value.__module__, value.__qualname__, value.__code__, value.__defaults__)
        yield from (cell.cell_contents for cell in value.__closure__ or ())
    elif isinstance(value, CodeType):
        yield from (value.co_code, value.co_consts, value.co_names)
    elif isinstance(value, frozenset):
        yield from sorted(map(repr, value))
    elif hasattr(value, "get_config"):
        yield outline(value) if hasattr(value, "layers") else _nameless(value.get_config())
