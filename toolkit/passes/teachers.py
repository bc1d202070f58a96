"""Who teaches: the base, a reference model that is trained first, a file, or several averaged."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from toolkit.cache import files_of
from toolkit.errors import RecipeError, near
from toolkit.files import sha256
from toolkit.glossary import Facts, Fit, Floats
from toolkit.models import open_model, parted
from toolkit.models.keras_predictor import KerasPredictor
from toolkit.models.opening import kind_of
from toolkit.models.reference import MODELS, build
from toolkit.passes.base import is_path
from toolkit.passes.showings import Teacher
from toolkit.passes.tuning import usual_settings
from toolkit.predict import fitting, predictor
from toolkit.training import train

WORDS = ("base", "none")


def checked(owner: str, spec: str) -> None:
    """Raise RecipeError unless every part of `spec` names a teacher."""
    for part in spec.split("+"):
        if part not in (*WORDS, *MODELS) and not is_path(part):
            raise RecipeError(
                f"{owner} has teacher '{part}'",
                near(part, [*WORDS, *MODELS]) + ", or a model file",
                "several are joined by +",
            )
        if part == "none" != spec:
            raise RecipeError(f"{owner} has teacher '{spec}'", "none alone", "leave none out")


def teacher_of(
    spec: str, model: Any, fit: Fit, *, epochs: int = 0, seed: int = 0
) -> tuple[Teacher | None, Facts]:
    """The teacher that `spec` names, and facts about it.

    base: what the recipe began with, else `model` itself as it is now. A reference model is trained
    on `fit` for `epochs` (0 chooses). FILE: a classifier. A+B: the mean of their probabilities.
    All passes on the same rows get the same teacher, who need not answer twice.
    """
    if spec == "none":
        return None, {"teacher": spec}
    parts = spec.split("+")
    if "base" in parts and fit.base is None:
        return _together(spec, model, fit, epochs, seed)
    files = [sha256(path) for path in files_of(spec)]
    known = _known.setdefault(fit, {})
    # only what is trained here hangs on these
    training = (epochs, seed) if any(part in MODELS for part in parts) else ()
    key = (spec, *training, *files)
    if key not in known:
        known[key] = _together(spec, model, fit, epochs, seed)
    teacher, facts = known[key]
    return teacher, dict(facts)


_known: WeakKeyDictionary[Fit, dict[Any, tuple[Teacher, Facts]]] = WeakKeyDictionary()


def _together(spec: str, model: Any, fit: Fit, epochs: int, seed: int) -> tuple[Teacher, Facts]:
    found = [_one(part, model, fit, epochs, seed) for part in spec.split("+")]
    sizes = [size_of(ask) for ask in found]
    facts = {"teacher": spec, "teacher_parameters": sizes if len(sizes) > 1 else sizes[0]}
    if len(found) == 1:
        return found[0], facts

    def mean(x: Floats) -> Floats:
        return np.asarray(np.mean([ask(x) for ask in found], axis=0), np.float32)

    return mean, facts


def keras_teacher_of(
    spec: str, model: Any, fit: Fit, *, epochs: int = 0, seed: int = 0
) -> tuple[Any, Facts]:
    """One teacher as a keras.Model, to look inside: `model` for "base", a reference model, a file.

    Raises RecipeError for an .onnx file, whose layers are no longer there.
    """
    if spec in MODELS:
        large = _trained(spec, fit, epochs, seed)
    elif spec == "base":
        large = model
    elif kind_of(Path(spec)) == "onnx":
        raise RecipeError(
            f"teacher {spec} is an ONNX file",
            "a Keras model, to look inside",
            "give the Keras file",
        )
    else:
        large = parted(open_model(Path(spec)))[0]
        fitting(KerasPredictor(large, spec), fit.train)
    return large, {"teacher": spec, "teacher_parameters": int(large.count_params())}


def size_of(ask: Teacher) -> int | None:
    """The numbers that a predictor has learnt, or None of a function that does not say."""
    found = getattr(ask, "parameters", None)
    return None if found is None else int(found)


def right_of(ask: Teacher, fit: Fit) -> float:
    """The share of validation rows that a teacher answers rightly."""
    return float((ask(fit.validation.x).argmax(axis=1) == fit.validation.y).mean())


def _one(part: str, model: Any, fit: Fit, epochs: int, seed: int) -> Teacher:
    if part == "base":
        return fit.base or KerasPredictor(model, "base")
    if part in MODELS:
        return KerasPredictor(_trained(part, fit, epochs, seed), part)
    return predictor(Path(part), data=fit.train)


def _trained(name: str, fit: Fit, epochs: int, seed: int) -> Any:
    settings = usual_settings(epochs, len(fit.train), many=5, few=15, rate=1e-3)
    start = build(name, fit.train, seed=seed)
    return train(start, fit, settings, subject=f"teacher {name}", seed=seed)[0]
