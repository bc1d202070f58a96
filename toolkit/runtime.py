"""A session of onnxruntime on the CPU of this machine, or one line that says why there is none."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from toolkit.errors import ModelError

_PLACES = re.compile(
    r"^\[ONNXRuntimeError\] : \d+ : \w+ : |Load model from .* failed:|"
    r"/\S+\.(?:h|cc):\d+ .*?\) (?=[A-Z])|\w+\.(?:h|cc):\d+ \w+ "
)
"""Where in its own code onnxruntime stumbled, which tells a reader nothing."""
_SAID = 200


def session(
    model: Path | bytes, threads: int = 0, *, exact: bool = False, as_written: bool = False
) -> Any:
    """An onnxruntime CPU session. Raises ModelError in one line when it cannot be loaded.

    as_written: roundings stay where they are. Moved behind what turns values about, one that the
    body of a loop reads ends the process.
    """
    import onnxruntime

    # on Windows, or loaded before this package, it did not see that it is to keep things to itself
    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what fails is raised; the log would say it a second time
    options.intra_op_num_threads = threads
    # threads that wait busily between two questions take the time of whoever else works
    options.add_session_config_entry("session.force_spinning_stop", "1")
    if exact:
        options.add_session_config_entry("session.x64quantprecision", "1")
    if as_written:
        options.add_session_config_entry("session.disable_quant_qdq", "1")
    source = model if isinstance(model, bytes) else str(model)
    try:
        return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors share no public base
        shown = "the model" if isinstance(model, bytes) else str(model)
        told, known = (re.search(f"{o} (\\d+)", str(error)) for o in ("Opset", "till opset"))
        if told and known:
            raise ModelError(
                f"{shown} is of opset {told[1]}",
                f"up to {known[1]} for onnxruntime {onnxruntime.__version__}",
                "export it for that, or install a later onnxruntime",
            ) from error
        raise ModelError(
            f"onnxruntime cannot load {shown} ({said(error)})",
            "a complete .onnx of standard operators",
            "export it again",
        ) from error


def numbers(opened: Any) -> str:
    """What the input of a session holds, as numpy names it: "float32", "int64"."""
    kind = str(opened.get_inputs()[0].type).removeprefix("tensor(").removesuffix(")")
    return {"float": "float32", "double": "float64"}.get(kind, kind)


def said(error: Exception) -> str:
    """What an error of onnxruntime says, in short.

    >>> said(Exception("[ONNXRuntimeError] : 1 : FAIL : /src/a.cc:6 f(int) Bad node"))
    'Bad node'
    """
    return _PLACES.sub("", str(error)).strip()[:_SAID]
