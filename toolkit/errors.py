"""The errors of the toolkit, each one line: the value, what is allowed, the next step.

    ToolkitError                anything the toolkit itself refuses or cannot do
    ├── BadInput                what the caller gave is wrong (exit code 2)
    │   ├── DataError           a data set: missing, empty, NaN, labels outside the classes
    │   ├── ModelError          a model file: missing, not a model, not a classifier
    │   ├── MatchError          model and data do not fit together: shape, classes, range
    │   ├── RecipeError         an unknown recipe, a wrong order of passes, a wrong setting
    │   ├── DeviceError         a device to train on that is not there
    │   └── OutputError         a folder or file that cannot be written
    └── ExportError             a model that could not be turned into a correct ONNX file

Anything else that escapes is a fault of the toolkit and keeps its traceback.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable


class ToolkitError(Exception):
    """What the toolkit refuses; `str(error)` is a single line."""

    def __init__(self, problem: str, allowed: str = "", next_step: str = "") -> None:
        self.problem, self.allowed, self.next_step = problem, allowed, next_step
        line = "; ".join(part for part in (problem, allowed, next_step) if part)
        super().__init__(" ".join(line.split()))


class BadInput(ToolkitError):
    """The caller's input is wrong and nothing was written."""


class DataError(BadInput):
    """A data set that cannot be used."""


class ModelError(BadInput):
    """A model file that cannot be used."""


class MatchError(BadInput):
    """A model and a data set that do not fit together."""


class RecipeError(BadInput):
    """A recipe or a pass that does not exist or cannot be built."""


class DeviceError(BadInput):
    """A device that was asked for and is not there."""


class OutputError(BadInput):
    """A place that cannot be written."""


class ExportError(ToolkitError):
    """A conversion to ONNX that failed or does not compute the same."""


def cause(error: Exception) -> str:
    r"""What went wrong in a library, in one line, without the frames TensorFlow puts before it.

    >>> cause(ValueError("in user code:\n\n  File a.py, line 1\n\n  ValueError: no such axis"))
    'no such axis'
    """
    reasons = re.findall(r"^ *\w+Error: (?!Exception encountered)(.+)", str(error), re.MULTILINE)
    return " ".join((reasons[0] if reasons else str(error)).split())


def near(name: str, known: Iterable[str]) -> str:
    """Say which known names are close to `name`, or list them all.

    >>> near("digit", ["digits", "wine"])
    'did you mean digits?'
    >>> near("xyz", ["digits", "wine"])
    'choose one of digits, wine'
    """
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.6)
    return f"did you mean {' or '.join(close)}?" if close else f"choose one of {', '.join(known)}"
