"""A session of onnxruntime on the CPU of this machine, or one line that says why there is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from toolkit.errors import ModelError


def session(model: Path | bytes, threads: int = 0, *, exact: bool = False) -> Any:
    """An onnxruntime CPU session. Raises ModelError in one line when it cannot be loaded."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what fails is raised; the log would say it a second time
    options.intra_op_num_threads = threads
    # threads that wait busily between two questions take the time of whoever else works
    options.add_session_config_entry("session.force_spinning_stop", "1")
    if exact:
        options.add_session_config_entry("session.x64quantprecision", "1")
    source = model if isinstance(model, bytes) else str(model)
    try:
        return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors share no public base
        shown = "the model" if isinstance(model, bytes) else str(model)
        raise ModelError(
            f"onnxruntime cannot load {shown} ({str(error)[:160]})",
            "a complete .onnx of standard operators",
            "export it again",
        ) from error
