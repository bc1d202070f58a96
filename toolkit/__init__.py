"""Small Keras classifiers for edge CPUs, what that cost, and whether the reasons were kept.

>>> import toolkit
>>> splits = toolkit.load("wine")
>>> model = toolkit.build("tabular", splits.fit.train)
>>> model, history = toolkit.train(model, splits.fit, toolkit.Settings(epochs=2))
"""

from __future__ import annotations

import importlib
import os
from typing import Any

# onnxruntime tells its maker what it opens unless this is set before it is loaded; so do workers
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

_HOMES = {
    "Budget": "toolkit.choice",
    "Frontier": "toolkit.search",
    "Recipe": "toolkit.recipe",
    "Run": "toolkit.run",
    "Settings": "toolkit.training",
    "ToolkitError": "toolkit.errors",
    "build": "toolkit.models",
    "checked": "toolkit.checks",
    "compress": "toolkit.search",
    "distil_explainer": "toolkit.quick_explainer",
    "explain": "toolkit.explanation",
    "explain_rows": "toolkit.many_rows",
    "export": "toolkit.exporting",
    "listening": "toolkit.progress",
    "load": "toolkit.data",
    "measure": "toolkit.measurement",
    "on": "toolkit.devices",
    "open_model": "toolkit.models",
    "predictor": "toolkit.predict",
    "resuming": "toolkit.checkpoints",
    "study": "toolkit.studying",
    "train": "toolkit.training",
    "working": "toolkit.jobs",
    "write": "toolkit.report",
}

__all__ = sorted(_HOMES)  # noqa: PLE0605  # a list, made from the one table


def __getattr__(name: str) -> Any:
    """Load a public name when it is first asked for, so that `import toolkit` loads nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module 'toolkit' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
