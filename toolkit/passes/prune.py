"""Weights set to zero while the model trains on: by magnitude, or two of every four."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from toolkit.errors import RecipeError, near
from toolkit.glossary import Fit, Stage, Step
from toolkit.passes.base import Pass, countable, positive
from toolkit.passes.teachers import checked, teacher_of
from toolkit.passes.tuning import tune, usual_settings

PATTERNS = ("magnitude", "2:4")


@dataclass(frozen=True, kw_only=True)
class Prune(Pass):
    """Prune the kernels of convolutions and dense layers with tensorflow-model-optimization.

    pattern: "magnitude" takes the smallest weights of each kernel until a share of `sparsity` is
    zero; "2:4" takes two of every four inputs, so that half is zero whatever `sparsity` says.
    epochs: 0 means 10, or 30 below 5,000 rows. teacher: as in `teachers`. Zeros that the model has
    stay. onnxruntime is no faster for zeros; they make the file smaller when `pack` comes after.
    """

    stage: ClassVar[Stage] = "keras"
    rank: ClassVar[int] = 1
    sparsity: float = 0.5
    pattern: str = "magnitude"
    epochs: int = 0
    rate: float = 1e-3
    teacher: str = "base"

    def __post_init__(self) -> None:
        """Refuse settings that cannot work."""
        positive(self.name, rate=self.rate)
        checked(self.name, self.teacher)
        if not 0 < self.sparsity < 1:
            raise RecipeError(
                f"{self.name} has sparsity {self.sparsity}", "above 0 and below 1", "correct it"
            )
        if self.pattern not in PATTERNS:
            raise RecipeError(f"unknown pattern '{self.pattern}'", near(self.pattern, PATTERNS))
        countable(self.name, self.epochs)

    def __call__(self, model: Any, fit: Fit, seed: int = 0) -> Step:
        """Give the sparse model; `skipped` names the layers that were not pruned, and why."""
        from toolkit.bridge.pruning import pruned

        settings = usual_settings(self.epochs, len(fit.train), many=10, few=30, rate=self.rate)
        teacher, facts = teacher_of(self.teacher, model, fit, seed=seed)
        rows = len(fit.train)
        if teacher is not None and fit.unlabelled is not None:
            rows += len(fit.unlabelled)
        sparse, history, skipped = pruned(
            model,
            partial(
                tune, fit=fit, settings=settings, teacher=teacher, subject=self.name, seed=seed
            ),
            sparsity=self.sparsity,
            pattern=self.pattern,
            steps=settings.epochs * math.ceil(rows / settings.batch),
        )
        series = {name: list(values) for name, values in history.series.items()}
        told = {"history": series} if series else {}
        return Step(sparse, {**facts, "skipped": skipped, **told})
