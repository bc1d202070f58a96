"""A small net that learns from the answers of a large one (Hinton et al. 2015)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from toolkit.errors import RecipeError, near
from toolkit.glossary import Data, Doubles, Fit, Floats, Stage, Step
from toolkit.models.heads import Head, head_of, softmax
from toolkit.models.reference import MODELS, build, usual
from toolkit.passes.base import Pass, positive
from toolkit.training import Settings, fitted, shaped, train

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
        rows = shaped(student, fit.train), shaped(student, fit.validation)
        # the teacher answers once, not once an epoch
        soft = [self._softened(teacher, data) for data in (fit.train, fit.validation)]
        hard = [np.eye(len(d.classes), dtype=np.float32)[d.y] for d in (fit.train, fit.validation)]
        targets = [np.concatenate(pair, axis=1) for pair in zip(hard, soft, strict=True)]
        settings = _settings(self.epochs, len(fit.train), many=30, few=60)
        settings = replace(settings, learning_rate=RATE)
        trained, history = fitted(
            student,
            (rows[0], targets[0]),
            (rows[1], targets[1]),
            self._loss(len(fit.train.classes), head_of(student)),
            settings,
            subject="student",
            seed=seed,
            accuracy=_accuracy(len(fit.train.classes), head_of(student)),
            decay=True,
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
            settings = _settings(self.teacher_epochs, len(data), many=5, few=15)
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

    def _softened(self, teacher: Any, data: Data) -> Floats:
        """The teacher's probabilities at the temperature, f32 (n, k)."""
        from toolkit.predict import KerasPredictor

        p = KerasPredictor(teacher, "teacher")(data.x).astype(np.float64)
        # the softmax forgets only a constant a row, which the next softmax forgets as well
        logits: Doubles = np.log(np.maximum(p, 1e-12)) / self.temperature
        return softmax(logits).astype(np.float32)

    def _loss(self, classes: int, head: Head) -> Any:
        import keras
        from keras import ops

        def loss(targets: Any, outputs: Any) -> Any:
            logits = _logits(outputs, head)
            hard = keras.losses.categorical_crossentropy(
                targets[:, :classes], logits, from_logits=True
            )
            soft = ops.sum(
                targets[:, classes:]
                * (
                    ops.log(targets[:, classes:] + 1e-12)
                    - ops.log_softmax(logits / self.temperature, axis=-1)
                ),
                axis=-1,
            )
            # squared temperature keeps both gradients of one size (Hinton et al. 2015, section 2)
            return (1 - self.weight) * hard + self.weight * self.temperature**2 * soft

        return loss


def _accuracy(classes: int, head: Head) -> Any:
    from keras import ops

    def accuracy(targets: Any, outputs: Any) -> Any:
        answer = ops.argmax(_logits(outputs, head), -1)
        return ops.equal(ops.argmax(targets[:, :classes], -1), answer)

    return accuracy


def _logits(outputs: Any, head: Head) -> Any:
    """Logits (n, k) of a student with any head, up to a constant a row, which softmax forgets."""
    from keras import ops

    if head == "logits":
        return outputs
    p = ops.concatenate([1 - outputs, outputs], axis=-1) if head == "sigmoid" else outputs
    return ops.log(ops.clip(p, 1e-7, 1.0))


def _settings(epochs: int, rows: int, *, many: int, few: int) -> Settings:
    """Small sets need smaller batches and more epochs for as many steps."""
    small = rows < 5_000
    return Settings(epochs=epochs or (few if small else many), batch=32 if small else 128)
