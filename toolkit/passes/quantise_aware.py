"""Training with rounded weights and activations: the integer file computes what was trained.

Jacob et al. 2018; TFMOT's wrappers do the rounding in training.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

from toolkit import bridge
from toolkit.errors import RecipeError
from toolkit.glossary import Fit, Stage, Step
from toolkit.models.quantised import folded, prepared
from toolkit.passes import teachers
from toolkit.passes.base import Pass, countable, positive
from toolkit.passes.levelling import levelled_net
from toolkit.passes.tuning import tune, usual_settings
from toolkit.shapes import in_shape

SETTLED = 1000
"""In fewer steps the moving statistics of BatchNormalization would leave old ground and reach no
new one: they stay as they are."""


@dataclass(frozen=True, kw_only=True)
class QuantiseAware(Pass):
    """Train on while kernels are rounded to `bits` bits and activations to 8.

    bits: 7 keeps the 16-bit sums of AVX2 from saturating, so that every CPU computes the same;
    8 and 4 are for targets that were chosen. epochs 0 means 3, or 20 below 5,000 rows. rows:
    calibration rows that set the ranges before training starts. teacher, weight: as in distil.
    """

    stage: ClassVar[Stage] = "keras"
    rank: ClassVar[int] = 3
    bits: int = 7
    epochs: int = 0
    rate: float = 2e-4
    rows: int = 1000
    teacher: str = "base"
    weight: float = 0.5

    def __post_init__(self) -> None:
        """Refuse settings that cannot work."""
        positive(self.name, rate=self.rate, rows=self.rows)
        if not 2 <= self.bits <= 8:
            raise RecipeError(f"{self.name} has bits {self.bits}", "from 2 to 8", "7 is usual")
        if not 0 <= self.weight <= 1:
            raise RecipeError(f"{self.name} has weight {self.weight}", "from 0 to 1", "correct it")
        countable(self.name, self.epochs)
        teachers.checked(self.name, self.teacher)

    def __call__(self, model: Any, fit: Fit, seed: int = 0) -> Step:
        """Give a Keras model of rounded weights and FakeQuantize layers, BatchNormalization folded.

        facts: skipped lists the layers that stay float, and why.
        """
        rows = in_shape(fit.ranging(self.rows).x[:], tuple(model.inputs[0].shape[1:]))
        ready = prepared(levelled_net(model, rows), rows)
        teacher, about = teachers.teacher_of(self.teacher, model, fit, seed=seed)
        settings = usual_settings(self.epochs, len(fit.train), many=3, few=20, rate=self.rate)
        steps = settings.epochs * math.ceil(len(fit.train) / settings.batch)
        twin = bridge.to_training(ready.model, self.bits, frozen=steps < SETTLED)
        _, history = tune(
            twin.model,
            fit,
            settings,
            teacher=teacher,
            weight=self.weight,
            subject=f"{self.bits}-bit weights",
            seed=seed,
            library=bridge.library(),
        )
        trained, grids = bridge.from_training(twin, ready.model)
        facts = {
            **about,
            "changed": sorted(grids),
            "skipped": ready.skipped,
            "calibration_rows": len(rows),
            "calibration_alike": len(rows) > 1 and bool((rows == rows[:1]).all()),
            "statistics_frozen": steps < SETTLED,
            "history": {k: list(v) for k, v in history.series.items()},
            "training": history.facts,
        }
        return Step(folded(trained, grids), facts)
