"""Kernels that share a few values, which then take few bits each in the file."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from toolkit.errors import RecipeError
from toolkit.glossary import Fit, Stage, Step
from toolkit.passes.base import Pass, countable, positive
from toolkit.passes.teachers import checked, teacher_of
from toolkit.passes.tuning import tune, usual_settings


@dataclass(frozen=True, kw_only=True)
class Cluster(Pass):
    """Cluster the kernels of convolutions and dense layers with tensorflow-model-optimization.

    clusters: distinct values a kernel, 2 to 256; 16 fit in four bits each. epochs: 0 means 5, or 20
    below 5,000 rows. teacher: as in `teachers`. Zeros stay zeros; kernels of fewer than two weights
    a value stay as they are. The file is smaller when `pack` comes after; onnxruntime is no faster
    for it.
    """

    stage: ClassVar[Stage] = "keras"
    rank: ClassVar[int] = 2
    clusters: int = 16
    epochs: int = 0
    rate: float = 3e-4
    teacher: str = "base"

    def __post_init__(self) -> None:
        """Refuse settings that cannot work."""
        positive(self.name, rate=self.rate)
        checked(self.name, self.teacher)
        if not 2 <= self.clusters <= 256:
            raise RecipeError(
                f"{self.name} has {self.clusters} clusters", "from 2 to 256", "16 is usual"
            )
        countable(self.name, self.epochs)

    def __call__(self, model: Any, fit: Fit, seed: int = 0) -> Step:
        """Give the clustered model; `skipped` names the layers that were not, and why."""
        from toolkit.bridge.clustering import clustered

        settings = usual_settings(self.epochs, len(fit.train), many=5, few=20, rate=self.rate)
        teacher, facts = teacher_of(self.teacher, model, fit, seed=seed)
        few, history, skipped = clustered(
            model,
            partial(
                tune, fit=fit, settings=settings, teacher=teacher, subject=self.name, seed=seed
            ),
            clusters=self.clusters,
        )
        series = {name: list(values) for name, values in history.series.items()}
        told = {"history": series} if series else {}
        return Step(few, {**facts, "skipped": skipped, **told})
