"""Who teaches: the base, a reference model that is trained first, a file, or several averaged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from toolkit.errors import RecipeError, near
from toolkit.glossary import Facts, Fit, Floats
from toolkit.models.reference import MODELS, build
from toolkit.passes.tuning import Teacher, usual_settings
from toolkit.predict import KerasPredictor, predictor
from toolkit.training import train

WORDS = ("base", "none")


def checked(owner: str, spec: str) -> None:
    """Raise RecipeError unless every part of `spec` names a teacher."""
    for part in spec.split("+"):
        if part not in (*WORDS, *MODELS) and not _is_path(part):
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
    """
    if spec == "none":
        return None, {"teacher": spec}
    found = [_one(part, model, fit, epochs, seed) for part in spec.split("+")]
    if len(found) == 1:
        return found[0][0], {"teacher": spec, **found[0][1]}

    def mean(x: Floats) -> Floats:
        return np.asarray(np.mean([ask(x) for ask, _ in found], axis=0), np.float32)

    return mean, {"teacher": spec}


def _one(part: str, model: Any, fit: Fit, epochs: int, seed: int) -> tuple[Teacher, Facts]:
    if part == "base":
        return fit.base or KerasPredictor(model, "base"), {}
    if part in MODELS:
        settings = usual_settings(epochs, len(fit.train), many=5, few=15, rate=1e-3)
        start = build(part, fit.train, seed=seed)
        large, _ = train(start, fit, settings, subject=f"teacher {part}", seed=seed)
        return KerasPredictor(large, part), {"teacher_parameters": int(large.count_params())}
    return predictor(Path(part), data=fit.train), {}


def _is_path(part: str) -> bool:
    return Path(part).suffix in (".keras", ".h5", ".hdf5", ".onnx") or "/" in part
