"""A small net that learns from the answers of a large one (Hinton et al. 2015)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from toolkit.errors import RecipeError
from toolkit.glossary import Facts, Fit, History, Stage, Step
from toolkit.models.keras_predictor import KerasPredictor
from toolkit.models.reference import build, usual
from toolkit.passes import students, teachers
from toolkit.passes.base import Pass, countable, positive
from toolkit.passes.showings import Teacher
from toolkit.passes.tuning import tune, usual_settings

RATE, GOING_ON = 5e-3, 2e-3
"""The learning rate at the start, of a student with new weights and of one that was trained."""

TEMPERATURE, WEIGHT = 1.0, 0.9
"""Small students did best on answers that are hardly softened and on few labels beside them."""


@dataclass(frozen=True, kw_only=True)
class Distil(Pass):
    """Train a student on hard labels and on a teacher's probabilities softened by `temperature`.

    teacher: "base", a reference model that is trained first, a model file, several joined by "+",
    which are averaged, or "auto": the large reference model where the base is smaller and no
    better on validation rows, else the base. assistant: "none", or a net of a size between that
    the teacher teaches first and that then teaches the student (Mirzadeh et al. 2020).
    student, assistant: "base", which goes on learning, "fresh", the same build with new weights
    (taught by the base: born again, Furlanello et al. 2018), "base*0.5" with half of every hidden
    width, "base/2" with one of two repeated blocks and their weights, "base*0.5/2",
    "base in 20000 bytes" or "base in 1000000 macs", the widest that fits, a reference model,
    FILE.py:function or a model
    file; "auto" is the base under another teacher and else "base*0.5".
    weight: the share of the teacher in the loss. epochs: 0 means 30, or 60 below 5,000 rows, where
    epochs are short; a reference model that teaches is trained for about a quarter of them.
    """

    stage: ClassVar[Stage] = "keras"
    teacher: str = "auto"
    assistant: str = "none"
    student: str = "auto"
    temperature: float = TEMPERATURE
    weight: float = WEIGHT
    epochs: int = 0

    def __post_init__(self) -> None:
        """Refuse settings that cannot work."""
        checked(self)
        if self.assistant != "none":
            students.checked(self.name, "assistant", self.assistant)

    def __call__(self, model: Any, fit: Fit, seed: int = 0) -> Step:
        """Give the trained student; facts hold all nets, their sizes and the student's history."""
        teacher, name, about = teaching(self.teacher, model, fit, epochs=self.epochs, seed=seed)
        spec = student_named(self.student, name, model, fit)
        student, facts = students.student_of(spec, model, fit, seed)
        facts = {**about, **facts}

        def taught(net: Any, by: Teacher, subject: str, spec: str) -> tuple[Any, History]:
            return tune(
                net,
                fit,
                student_settings(spec, self.epochs, fit),
                teacher=by,
                temperature=self.temperature,
                weight=self.weight,
                subject=subject,
                seed=seed,
            )

        by = teacher
        if self.assistant != "none":
            helper, told = students.student_of(self.assistant, model, fit, seed)
            sizes = (facts["student_parameters"], told["student_parameters"])
            _between(self.assistant, *sizes, about["teacher_parameters"])
            by = KerasPredictor(
                taught(helper, teacher, "assistant", self.assistant)[0], "assistant"
            )
            facts |= {"assistant": self.assistant, "assistant_parameters": sizes[1]}
            facts |= judged(by, teacher, fit, "assistant")
        trained, history = taught(student, by, "student", spec)
        facts |= judged(KerasPredictor(trained, "student"), teacher, fit, "student")
        return Step(trained, {**facts, **told_of(history)})


def checked(step: Any) -> None:
    """Raise RecipeError for settings that no distillation can have."""
    owner = step.name
    positive(owner, temperature=step.temperature)
    countable(owner, step.epochs)
    if not 0 <= step.weight <= 1:
        raise RecipeError(f"{owner} has weight {step.weight}", "from 0 to 1", "correct it")
    if step.teacher == "none":
        raise RecipeError(f"{owner} has teacher 'none'", "a teacher", "leave the setting out")
    if step.teacher != "auto":
        teachers.checked(owner, step.teacher)
    if step.student != "auto":
        students.checked(owner, "student", step.student)


def teaching(
    spec: str, model: Any, fit: Fit, *, epochs: int, seed: int, inside: bool = False
) -> tuple[Any, str, Facts]:
    """The teacher, its name once "auto" is decided, and facts; inside: as a keras.Model."""
    find: Callable[..., tuple[Any, Facts]] = teachers.teacher_of
    if inside:
        find = teachers.keras_teacher_of
    short = max(epochs // 4, 1) if epochs else 0
    name, passed = spec, {}
    if spec == "auto":
        _, large, _ = usual(fit.train.kind)
        name = "base"
        if model.count_params() < build(large, fit.train, seed=seed).count_params():
            net, facts = find(large, model, fit, epochs=short, seed=seed)
            ask = KerasPredictor(net, large) if inside else net
            known: Any = teachers.teacher_of("base", model, fit)[0]
            right = [teachers.right_of(each, fit) for each in (ask, known)]
            if right[0] >= right[1]:
                return net, large, facts
            why = f"right in {right[0]:.1%} of validation rows, the base in {right[1]:.1%}"
            passed = {"skipped": {large: why}}
    found, facts = find(name, model, fit, epochs=short, seed=seed)
    return found, name, {**facts, **passed}


def student_named(spec: str, teacher: str, model: Any, fit: Fit) -> str:
    """The student's name once "auto" is decided."""
    if spec != "auto":
        return spec
    if teacher != "base":
        return "base"
    return "base*0.5" if students.can_be_narrowed(model) else usual(fit.train.kind)[2]


def student_settings(spec: str, epochs: int, fit: Fit) -> Any:
    """How students and assistants are trained."""
    trained = spec == "base" or spec.startswith("base/")
    rate = GOING_ON if trained else RATE
    return usual_settings(epochs, len(fit.train), many=30, few=60, rate=rate)


def judged(net: Teacher, teacher: Teacher, fit: Fit, role: str) -> Facts:
    """How a net stands on the validation rows, and how often it answers as its teacher does."""
    own, other = (ask(fit.validation.x).argmax(axis=1) for ask in (net, teacher))
    return {
        "validation_rows": len(fit.validation),
        "teacher_accuracy": round(float((other == fit.validation.y).mean()), 4),
        f"{role}_accuracy": round(float((own == fit.validation.y).mean()), 4),
        f"{role}_agreement": round(float((own == other).mean()), 4),
    }


def told_of(history: History) -> Facts:
    """What facts tell of a training."""
    about = ("mirror", "shift", "unlabelled_rows", "epochs", "thawed")
    return {
        "training": {name: history.facts[name] for name in about if name in history.facts},
        "history": {name: list(values) for name, values in history.series.items()},
    }


def _between(assistant: str, student: int, helper: int, teacher: Any) -> None:
    least = min(teacher) if isinstance(teacher, list) else teacher
    if helper <= student or (least is not None and helper >= least):
        raise RecipeError(
            f"assistant {assistant} has {helper:,} parameters, the student {student:,}, "
            f"the teacher {least or 0:,}",
            "a size between the two",
            "choose another assistant",
        )
