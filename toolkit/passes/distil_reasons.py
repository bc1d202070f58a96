"""A small net that answers as its teacher does also where part of a row is hidden."""

from __future__ import annotations

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
from toolkit.passes.hiding import hiding
from toolkit.passes.tuning import tune


@dataclass(frozen=True, kw_only=True)
class DistilReasons(Pass):
    """Distil, and match the teacher's attributions: of some rows a part is hidden as SHAP hides it.

    hidden: the share of such rows in each batch; they have no label, and the teacher answers them.
    The teacher is the base, whose reasons are to be kept; another would hand down its own. The rest
    as in `Distil`.
    """

    stage: ClassVar[Stage] = "keras"
    teacher: str = "base"
    student: str = "auto"
    temperature: float = TEMPERATURE
    weight: float = WEIGHT
    hidden: float = 0.5
    epochs: int = 0

    def __post_init__(self) -> None:
        """Refuse settings that cannot work."""
        checked(self)
        if not 0 < self.hidden < 1:
            raise RecipeError(
                f"{self.name} has hidden {self.hidden}", "above 0 and below 1", "correct it"
            )

    def __call__(self, model: Any, fit: Fit, seed: int = 0) -> Step:
        """Give the trained student; facts hold both nets, their sizes and the history."""
        teacher, name, about = teaching(self.teacher, model, fit, epochs=self.epochs, seed=seed)
        spec = student_named(self.student, name, model, fit)
        student, facts = students.student_of(spec, model, fit, seed)
        trained, history = tune(
            student,
            fit,
            student_settings(spec, self.epochs, fit),
            teacher=teacher,
            temperature=self.temperature,
            weight=self.weight,
            subject="student",
            seed=seed,
            hide=hiding(fit.train, self.hidden, seed),
        )
        facts = {**about, **facts}
        facts |= judged(KerasPredictor(trained, "student"), teacher, fit, "student")
        return Step(trained, {**facts, **told_of(history)})
