"""What a pass is, and the one way to run it."""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from toolkit.checkpoints import deciding
from toolkit.errors import RecipeError, ToolkitError, cause
from toolkit.glossary import Facts, Fit, Stage, Step
from toolkit.progress import HEARD, under
from toolkit.sparsity import told


@dataclass(frozen=True, kw_only=True)
class Pass(ABC):
    """A change of a model; its fields are its settings, and two equal passes do the same.

    stage "keras" takes and gives a keras.Model, stage "onnx" an onnx.ModelProto. rank: of two
    passes the one of the lower rank comes first, since the other's work would be undone.
    """

    stage: ClassVar[Stage]
    rank: ClassVar[int] = 0

    @abstractmethod
    def __call__(self, model: Any, fit: Fit, seed: int = 0) -> Step:
        """Give a new model and leave `model` as it is; test data is never seen."""

    @property
    def name(self) -> str:
        """The name in recipes: the class name in small letters with underscores."""
        return _snake(type(self).__name__)


def apply(step: Pass, model: Any, fit: Fit, seed: int = 0) -> Step:
    """Run one pass; its facts begin with its name and settings, then its own, then the seconds.

    After a keras pass facts also say how sparse and clustered each kernel is, where any was: a pass
    that undoes what came before it is seen.
    Raises RecipeError when the model is of the other stage, or the pass fails on it.
    """
    stage = "onnx" if hasattr(model, "SerializeToString") else "keras"
    if stage != step.stage:
        raise RecipeError(
            f"{step.name} takes a model at stage {step.stage}, this one is at stage {stage}",
            "keras passes first, then onnx passes",
            "reorder the recipe",
        )
    start = time.perf_counter()
    with under(step.name), deciding(step):
        done = _done(step, model, fit, seed)
    settings = {k: list(v) if isinstance(v, tuple) else v for k, v in vars(step).items()}
    facts: Facts = {"pass": step.name, "settings": settings, **done.facts}
    facts["seconds"] = round(time.perf_counter() - start, 3)
    return Step(done.model, {**facts, **(told(model, done.model) if stage == "keras" else {})})


def _done(step: Pass, model: Any, fit: Fit, seed: int) -> Step:
    try:
        return step(model, fit, seed)
    except (ToolkitError, MemoryError, OSError):
        raise  # a full disk fails every recipe
    except Exception as error:  # of the libraries: what one cannot change, another recipe can
        if HEARD in getattr(error, "__notes__", ()):
            raise
        raise RecipeError(
            f"{step.name} fails on this model ({type(error).__name__}: {cause(error)[:160]})",
            "a recipe without it",
            "leave it out",
        ) from error


def positive(owner: str, **values: float) -> None:
    """Raise RecipeError unless every value is finite and above 0."""
    for name, value in values.items():
        if not 0 < value < math.inf:
            allowed = "a finite number above 0"
            raise RecipeError(f"{owner} has {name} {value}", allowed, "correct it")


def countable(owner: str, epochs: int) -> None:
    """Raise RecipeError unless it is a number of epochs, or 0, which leaves the choice to us."""
    if epochs < 0:
        raise RecipeError(f"{owner} has epochs {epochs}", "0, which chooses, or more", "correct it")


def is_path(spec: str) -> bool:
    """Whether a setting names a model file.

    >>> is_path("base.onnx"), is_path("cnn-large")
    (True, False)
    """
    return Path(spec).suffix in (".keras", ".h5", ".hdf5", ".onnx") or "/" in spec


def _snake(name: str) -> str:
    """Give a class name its form in recipes.

    >>> _snake("DynamicInt8")
    'dynamic_int8'
    """
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")
