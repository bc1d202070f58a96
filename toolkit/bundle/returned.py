"""What a device measured -> the same run with its figures beside ours."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

from toolkit.bundle.device import FORMAT
from toolkit.errors import DataError, MatchError
from toolkit.files import sha256
from toolkit.glossary import Finding, Measurement
from toolkit.run import Run

MOST_BYTES = 2**20
_NAMES = ("latency_p50", "latency_p95", "load", "peak_memory")


def returned(run: Run, path: Path, name: str = "") -> Run:
    """The run with what `run.py --measure` wrote on a device: `latency_p50 device:NAME` and so on.

    name: what the device is called, else the name of the file. A device of that name that is in
    the run already is replaced. Raises DataError when the file is no such report, MatchError when
    it is about a model that is not in the run.
    """
    name = name or path.stem
    told = _read(path)
    mine = next((a for a in run.artifacts if a.sha256 == told["model"]), None)
    if mine is None:
        raise MatchError(
            f"{path} is about a model with SHA-256 {told['model'][:12]}",
            "one of " + ", ".join(f"{a.name} {a.sha256[:12]}" for a in run.artifacts),
            "give the folder its bundle came from",
        )
    suffix = f" device:{name}"
    kept = [m for m in run.measurements if not (m.subject == mine.name and m.name.endswith(suffix))]
    new = [
        Measurement(mine.name, **{**m, "name": m["name"] + suffix}) for m in told["measurements"]
    ]
    replay = told["replay"]
    new.append(
        Measurement(
            mine.name,
            "replay_difference" + suffix,
            replay["largest_difference"],
            "",
            replay["rows"],
        )
    )
    devices = {**run.machine.get("devices", {}), name: {**told["machine"], **told["versions"]}}
    findings = [f for f in run.findings if not (f.code == "V1" and f.subject == mine.name + suffix)]
    if not replay["passed"]:
        findings.append(_otherwise(mine.name + suffix, replay))
    return replace(
        run,
        measurements=(*kept, *new),
        findings=tuple(findings),
        machine={**run.machine, "devices": devices},
        hashes={**run.hashes, path.name: sha256(path)},
    )


def _otherwise(subject: str, replay: dict[str, Any]) -> Finding:
    return Finding.of(
        "V1",
        "error",
        subject,
        "Answers otherwise than here: {same} of {n} samples have the same class, {beyond} differ "
        "by more than rounding explains, one by {most:.2g}.",
        "Use 7-bit weights on x86 without VNNI, or another version of onnxruntime.",
        same=replay["same_class"],
        n=replay["rows"],
        beyond=replay["beyond_rounding"],
        most=replay["largest_difference"],
    )


def _read(path: Path) -> dict[str, Any]:
    """The report, each part of it of the type it must have."""
    if not path.is_file():
        raise DataError(
            f"no file at {path}", "a JSON that run.py --measure wrote", "check the path"
        )
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ValueError(f"{path.stat().st_size:,} bytes")
        raw = json.loads(path.read_text(encoding="utf-8"))
        if raw["format"] != FORMAT or raw["kind"] != "device":
            raise ValueError("another format")
        replay = raw["replay"]
        return {
            "model": str(raw["model"]),
            "machine": _texts(raw["machine"]),
            "versions": _texts(raw["versions"]),
            "replay": {
                "passed": replay["passed"] is True,
                "rows": int(replay["rows"]),
                "same_class": int(replay["same_class"]),
                "largest_difference": _finite(replay["largest_difference"]),
                "beyond_rounding": int(replay["beyond_rounding"]),
            },
            "measurements": [_figure(m) for m in raw["measurements"] if m["name"] in _NAMES],
        }
    except (
        ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError,
    ) as error:  # fmt: skip
        raise DataError(
            f"{path} is no report of a device ({error})",
            "a JSON that run.py --measure wrote",
            "run it again on the device",
        ) from error


def _texts(raw: dict[str, Any]) -> dict[str, Any]:
    return {str(k)[:80]: _text(v) for k, v in raw.items()}


def _text(value: Any) -> Any:
    if isinstance(value, list):
        return [str(one)[:80] for one in value[:20]]
    return value if isinstance(value, int) else str(value)[:200]


def _figure(raw: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": str(raw["name"]),
        "value": _finite(raw["value"]),
        "unit": str(raw["unit"])[:8],
        "n": int(raw["n"]),
        **{end: None if raw[end] is None else _finite(raw[end]) for end in ("low", "high")},
    }


def _finite(value: Any) -> float:
    if not math.isfinite(float(value)):
        raise ValueError(f"{value} is no figure")
    return float(value)
