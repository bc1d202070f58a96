"""A small net that learns what a large one sees inside, beside its answers (Romero et al. 2015)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

from toolkit.errors import RecipeError
from toolkit.glossary import Fit, Stage, Step
from toolkit.models.keras_predictor import KerasPredictor
from toolkit.passes import students
from toolkit.passes.base import Pass
from toolkit.passes.distil import (
    TEMPERATURE,
    WEIGHT,
    checked,
    judged,
    student_named,
    student_settings,
    teaching,
    told_of,
)
from toolkit.passes.hints import ROWS, hint_of
from toolkit.passes.tuning import thawed, tune


@dataclass(frozen=True, kw_only=True)
class DistilFeatures(Pass):
    """Distil, and let the student's last feature map come near the teacher's.

    A 1x1 convolution takes the student's channels to the teacher's while it learns and is thrown
    away afterwards; nets without maps are joined before their last layer. Facts name both layers.
    teacher: "base", a reference model or a Keras file, one of them, since its layers are needed.
    features: the weight of the mean squared difference, in units of the teacher's own variance.
    The rest as in `Distil`.
    """

    stage: ClassVar[Stage] = "keras"
    teacher: str = "auto"
    student: str = "auto"
    temperature: float = TEMPERATURE
    weight: float = WEIGHT
    features: float = 0.5
    epochs: int = 0

    def __post_init__(self) -> None:
        """Refuse settings that cannot work."""
        checked(self)
        if "+" in self.teacher or self.teacher.endswith(".onnx"):
            raise RecipeError(
                f"{self.name} has teacher '{self.teacher}'",
                "one Keras model, to look inside",
                "take distil for several teachers and .onnx files",
            )
        if not 0 <= self.features < math.inf:
            raise RecipeError(
                f"{self.name} has features {self.features}", "0 or more, and finite", "correct it"
            )

    def __call__(self, model: Any, fit: Fit, seed: int = 0) -> Step:
        """Give the trained student; facts hold both nets, the layers joined, and the history."""
        teacher, name, about = teaching(
            self.teacher, model, fit, epochs=self.epochs, seed=seed, inside=True
        )
        spec = student_named(self.student, name, model, fit)
        student, facts = students.student_of(spec, model, fit, seed)
        student, frozen = thawed(student)
        hint = hint_of(teacher, student, fit.train.spread(ROWS).x[:], self.features, seed)
        ask = KerasPredictor(teacher, name)
        trained, history = tune(
            student,
            fit,
            student_settings(spec, self.epochs, fit),
            teacher=ask,
            temperature=self.temperature,
            weight=self.weight,
            subject="student",
            seed=seed,
            hint=hint,
            frozen=frozen,
        )
        facts = {**about, **facts, **hint.facts}
        facts |= judged(KerasPredictor(trained, "student"), ask, fit, "student")
        return Step(trained, {**facts, **told_of(history)})
