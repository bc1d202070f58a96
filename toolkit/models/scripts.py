"""`FILE.py:name`: what a Python file of the user defines; naming a file asks to run it."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

from toolkit.errors import ModelError, near


def named(spec: str) -> Any:
    """The function or class that `FILE.py:name` names.

    Raises ModelError when there is no such file or name, or the file cannot be run.
    """
    file, _, name = spec.rpartition(":")
    path = Path(file)
    if not file or not path.is_file():
        raise ModelError(f"no file '{file or spec}'", "FILE.py:name", "check the path")
    found = importlib.util.spec_from_file_location(f"_file_{path.stem}", path)
    if found is None or found.loader is None:
        raise ModelError(f"{path} is not a Python file", "FILE.py:name", "check the path")
    module = importlib.util.module_from_spec(found)
    # as Python does for a script: it may import what lies beside it, and look itself up meanwhile;
    # afterwards it goes, so that what it defines is sent to other processes whole
    sys.modules[module.__name__] = module
    sys.path.insert(0, str(path.parent))
    try:
        found.loader.exec_module(module)
    except Exception as error:  # whatever the user's own code raises
        raise ModelError(
            f"{path} cannot be run ({type(error).__name__}: {error})", "working Python", "mend it"
        ) from error
    finally:
        sys.path.remove(str(path.parent))
        sys.modules.pop(module.__name__, None)
    value = getattr(module, name, None)
    if not callable(value):
        known = [n for n in vars(module) if not n.startswith("_")]
        raise ModelError(f"no function '{name}' in {path}", near(name, known))
    return value


def model_of(spec: str, *arguments: Any) -> Any:
    """The keras.Model that the function `FILE.py:name` gives.

    Raises ModelError when it gives something else.
    """
    import keras

    model = named(spec)(*arguments)
    if not isinstance(model, keras.Model):
        raise ModelError(
            f"{spec} gave a {type(model).__name__}", "a keras.Model", "return the model"
        )
    return model
