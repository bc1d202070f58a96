"""Run: everything a job found out, as plain data in one JSON file. Reports are made from it alone.

Arrays are kept exactly (dtype, shape, base64 of the bytes), so a page made from a loaded Run is
the page made from the Run itself.
"""

from __future__ import annotations

import base64
import dataclasses
import importlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.errors import DataError
from toolkit.files import write_text
from toolkit.glossary import (
    UNSAVED,
    Artifact,
    Attribution,
    Confusion,
    Cut,
    Decision,
    Drift,
    Facts,
    Finding,
    Flip,
    History,
    Layer,
    LayerError,
    Measurement,
)

FORMAT = 1

TITLES = {"compress": "base and compressed", "explain": "why", "measure": "measured"}
"""What follows the name of the data in the title of a Run: command -> words."""


@dataclass(frozen=True, eq=False)
class Run:
    """All results of one job.

    base: the subject everything is compared with. chosen: the recommended small model, if any.
    data: name, kind, classes, features, rows in each part, shape of one row.
    drifts: rows with the same answer, those with other reasons first. flips: what would change it.
    cuts: pictures explained over other patches.
    budget: the constraints asked for. machine: processor, its features, cores, system.
    settings: how it was made, enough to make it again.
    created: ISO 8601 with zone.
    """

    title: str
    created: str
    command: str
    base: str
    chosen: str | None
    data: Facts
    artifacts: tuple[Artifact, ...] = ()
    measurements: tuple[Measurement, ...] = ()
    histories: tuple[History, ...] = ()
    confusions: tuple[Confusion, ...] = ()
    decisions: tuple[Decision, ...] = ()
    attributions: tuple[Attribution, ...] = ()
    drifts: tuple[Drift, ...] = ()
    flips: tuple[Flip, ...] = ()
    cuts: tuple[Cut, ...] = ()
    layers: tuple[Layer, ...] = ()
    layer_errors: tuple[LayerError, ...] = ()
    findings: tuple[Finding, ...] = ()
    budget: Facts = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    seeds: dict[str, int] = field(default_factory=dict)
    hashes: dict[str, str] = field(default_factory=dict)
    settings: Facts = field(default_factory=dict)
    machine: Facts = field(default_factory=dict)

    def measured(self, subject: str, name: str) -> Measurement | None:
        """The measurement `name` of `subject`, or None if it was not taken."""
        found = (m for m in self.measurements if m.subject == subject and m.name == name)
        return next(found, None)

    def guesses(self, subject: str) -> bool:
        """Whether a model is not clearly better than guessing, where that was measured."""
        told = self.measured(subject, "informedness")
        return told is not None and told.low is not None and told.low <= 0

    def subjects(self) -> tuple[str, ...]:
        """Every measured subject once, in the order measured; the base comes first."""
        names = dict.fromkeys([self.base, *(m.subject for m in self.measurements)])
        return tuple(names)

    def _repr_html_(self) -> str:
        """Its first page, as a notebook shows it."""
        # a notebook asks the data itself for a picture; nothing else here looks up to the report
        report: Any = importlib.import_module("toolkit.report")
        return str(report.shown(self))


_PARTS: dict[str, type[Any]] = {
    "artifacts": Artifact,
    "measurements": Measurement,
    "histories": History,
    "confusions": Confusion,
    "decisions": Decision,
    "attributions": Attribution,
    "drifts": Drift,
    "flips": Flip,
    "cuts": Cut,
    "layers": Layer,
    "layer_errors": LayerError,
    "findings": Finding,
}


_TYPES: dict[str, type[Any]] = {
    **dict.fromkeys(("title", "created", "command", "base"), str),
    **dict.fromkeys(("data", "budget", "versions", "seeds", "hashes", "settings", "machine"), dict),
    **dict.fromkeys(_PARTS, list),
}


def to_json(run: Run) -> str:
    """The run as JSON text."""
    return json.dumps({"format": FORMAT, **_plain(run)}, allow_nan=False)


def from_json(text: str) -> Run:
    """The run that `to_json` wrote.

    Raises DataError when the text is not such a run.
    """
    try:
        raw = json.loads(text, parse_constant=_refused)
        for name, kind in _TYPES.items():
            if not isinstance(raw.get(name, kind()), kind):
                raise TypeError(f"{name} is no {kind.__name__}")
        if raw.pop("format") != FORMAT:
            raise ValueError(f"format is not {FORMAT}")
        for name, kind in _PARTS.items():
            raw[name] = tuple(_build(kind, part) for part in raw.get(name, ()))
        return Run(**raw)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(
            f"not a saved run ({error})", "a run.json of this version", "run the job again"
        ) from error


def save(run: Run, path: Path) -> None:
    """Write the run to `path`, whole or not at all."""
    write_text(path, to_json(run))


def is_run(path: Path) -> bool:
    """Whether a file begins as a saved Run does; it may still turn out to be damaged."""
    try:
        with path.open("rb") as file:
            return file.read(20).startswith(b'{"format": ')
    except OSError:  # one that may not be read is none of ours
        return False


def load(path: Path) -> Run:
    """Read a run that `save` wrote."""
    if not path.is_file():
        raise DataError(f"no run at {path}", "a run.json", "give the path of one")
    # what is not UTF-8 is not JSON either, and said so there
    return from_json(path.read_text(encoding="utf-8", errors="replace"))


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        kept = (f.name for f in dataclasses.fields(value) if f.metadata != UNSAVED)
        return {name: _plain(getattr(value, name)) for name in kept}
    if isinstance(value, np.ndarray):
        data = base64.b64encode(np.ascontiguousarray(value).tobytes()).decode("ascii")
        return {"dtype": value.dtype.str, "shape": list(value.shape), "base64": data}
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, np.generic):
        return value.item()
    return str(value) if isinstance(value, Path) else value


def _refused(name: str) -> None:
    raise ValueError(f"a figure is {name}")


def _build(kind: type[Any], raw: dict[str, Any]) -> Any:
    values = {name: _rich(value) for name, value in raw.items()}
    if kind is Artifact:
        values["path"] = Path(values["path"])
        values["facts"] = tuple(values["facts"])
    if kind is Attribution:
        values |= {name: tuple(values.get(name, ())) for name in ("names", "written")}
    if kind is Decision:
        values["pieces"] = tuple((str(one), int(i)) for one, i in values.get("pieces", ()))
    if kind in (Decision, Flip):
        values["players"] = tuple(values["players"])
    if kind is Finding:
        values["said"] = tuple(values.get("said", ()))
    if kind is History:
        values["series"] = {name: tuple(v) for name, v in values["series"].items()}
    if kind is Layer and values["image"] is not None:
        values["image"] = tuple(values["image"])
    if kind is Measurement and not all(_figure(values.get(n)) for n in ("value", "low", "high")):
        raise TypeError(f"a figure is {values.get('value')!r}")
    return kind(**values)


def _figure(value: Any) -> bool:
    return value is None or isinstance(value, int | float)


def _rich(value: Any) -> Any:
    if isinstance(value, dict):
        if value.keys() == {"dtype", "shape", "base64"}:
            dtype = np.dtype(value["dtype"])
            if dtype.hasobject:
                raise ValueError("an array of objects")
            flat = np.frombuffer(base64.b64decode(value["base64"]), dtype)
            return flat.reshape(value["shape"]).copy()
        return {k: _rich(v) for k, v in value.items()}
    return [_rich(v) for v in value] if isinstance(value, list) else value
