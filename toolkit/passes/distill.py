"""A small net that learns from the answers of a large one (Hinton et al. 2015)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from toolkit.errors import RecipeError, near
from toolkit.glossary import Fit, Stage, Step
from toolkit.models.reference import MODELS, build, usual
from toolkit.passes.base import Pass, positive
from toolkit.passes.tuning import tune, usual_settings
from toolkit.predict import KerasPredictor
from toolkit.training import train

RATE = 3e-3
"""The learning rate of the student at the start."""


@dataclass(frozen=True, kw_only=True)
class Distill(Pass):
    """Train a student on hard labels and on a teacher's probabilities softened by `temperature`.

    teacher: a reference model that is trained first, "base" for the model given, or "auto": the
    large reference model where the base is smaller than it, else the base. student: a reference
    model, "base" for the base itself, which goes on learning, or "auto": "base" under a larger
    teacher, else the small reference model. weight: the share of the teacher in the loss.
    epochs, teacher_epochs: 0 means 30 and 5, or 60 and 15 below 5,000 rows, where epochs are short.
    """

    stage: ClassVar[Stage] = "keras"
    teacher: str = "auto"
    student: str = "auto"
    temperature: float = 2.0
    weight: float = 0.5
    epochs: int = 0
    teacher_epochs: int = 0

    def __post_init__(self) -> None:
        """Refuse settings that cannot work."""
        positive(self.name, temperature=self.temperature)
        if self.epochs < 0 or self.teacher_epochs < 0:
            raise RecipeError(
                f"{self.name} has {self.epochs} and {self.teacher_epochs} epochs",
                "0, which chooses, or more",
                "correct it",
            )
        if not 0 <= self.weight <= 1:
            raise RecipeError(f"{self.name} has weight {self.weight}", "from 0 to 1", "correct it")
        for role in ("teacher", "student"):
            value = getattr(self, role)
            if value not in MODELS and value not in ("auto", "base"):
                raise RecipeError(
                    f"unknown {role} '{value}'", near(value, [*MODELS, "auto", "base"])
                )
        if self.teacher == self.student == "base":
            raise RecipeError(
                "distill with teacher and student both base", "two different nets", "change one"
            )

    def __call__(self, model: Any, fit: Fit, seed: int = 0) -> Step:
        """Give the trained student; facts hold both nets, their sizes and the student's history."""
        teacher, student, facts = self._cast(model, fit, seed)
        trained, history = tune(
            student,
            fit,
            usual_settings(self.epochs, len(fit.train), many=30, few=60, rate=RATE),
            teacher=KerasPredictor(teacher, "teacher"),
            temperature=self.temperature,
            weight=self.weight,
            subject="student",
            seed=seed,
        )
        return Step(trained, {**facts, "history": {k: list(v) for k, v in history.series.items()}})

    def _cast(self, base: Any, fit: Fit, seed: int) -> tuple[Any, Any, dict[str, Any]]:
        """The teacher, trained, and the student as it starts."""
        data = fit.train
        _, large, small = usual(data.kind)
        name = self.teacher
        if name == "auto":
            fresh = build(large, data, seed=seed)
            name = large if base.count_params() < fresh.count_params() else "base"
        pupil = self.student if self.student != "auto" else "base" if name != "base" else small
        student = base if pupil == "base" else build(pupil, data, seed=seed)
        teacher = base
        if name != "base":
            settings = usual_settings(self.teacher_epochs, len(data), many=5, few=15, rate=1e-3)
            teacher, _ = train(
                build(name, data, seed=seed), fit, settings, subject="teacher", seed=seed
            )
        return (
            teacher,
            student,
            {
                "teacher": name,
                "student": pupil,
                "teacher_parameters": int(teacher.count_params()),
                "student_parameters": int(student.count_params()),
            },
        )
