"""What made a result: the time, the machine, the versions. Nothing is imported to find them."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from toolkit.glossary import Facts, Splits

_PACKAGES = (
    "keras-edge-toolkit",
    "keras",
    "lime",
    "numpy",
    "onnx",
    "onnxruntime",
    "scikit-learn",
    "shap",
    "tensorflow",
    "tf2onnx",
)
_FEATURES = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm")


def now() -> str:
    """The time in ISO 8601, UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def versions() -> dict[str, str]:
    """The installed version of every package that can change a result, and of Python."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def machine() -> Facts:
    """The processor, those of its features that integer kernels care for, cores and system."""
    text = ""
    if Path("/proc/cpuinfo").is_file():
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    lines = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    fields = {name.strip(): value.strip() for name, value in lines.items()}
    flags = set(fields.get("flags", fields.get("Features", "")).split())
    return {
        "processor": fields.get("model name") or platform.processor() or platform.machine(),
        "features": [name for name in _FEATURES if name in flags],
        "cores": os.cpu_count() or 1,
        "system": f"{platform.system()} {platform.machine()}",
    }


def about(splits: Splits) -> Facts:
    """What a Run tells of its data: name, kind, classes, features, rows in each part."""
    test, fit = splits.test, splits.fit
    return {
        "name": splits.name,
        "kind": test.kind,
        "classes": list(test.classes),
        "features": list(test.features),
        "fill": {test.features[i]: value for i, value in test.fill.items()},
        "categories": {str(i): list(names) for i, names in test.categories.items()},
        "shape": list(test.x.shape[1:]),
        "rows": {
            "train": len(fit.train),
            "validation": len(fit.validation),
            "calibration": len(fit.calibration),
            "test": len(test),
        },
        **({"words": len(test.words.vocabulary)} if test.words else {}),
        **splits.facts,
    }
