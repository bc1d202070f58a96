"""Shapley values by shap's KernelExplainer, over our own players (Lundberg and Lee 2017)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from toolkit.explainers.base import Estimate, Explainer
from toolkit.explainers.players import Players
from toolkit.glossary import Doubles, Predictor
from toolkit.seeding import seeded_numpy

EXACT = 12
"""With so many players all 2^p coalitions are asked, and the values are exact."""


@dataclass(frozen=True, kw_only=True)
class Shapley(Explainer):
    """What each player adds to the probability, averaged over all orders of arrival.

    Exact up to `EXACT` players, else estimated; in either case the values sum to the prediction
    less the base. No value is dropped: shap's own choice of ten features is turned off.
    """

    method: ClassVar[str] = "shapley"

    def estimate(self, predict: Predictor, players: Players, target: int, seed: int) -> Estimate:
        """Ask shap once when all coalitions fit, else `repeats` times with seeds of their own."""
        import shap

        p = len(players)
        exact = p <= EXACT

        def game(z: NDArray[np.float64]) -> Doubles:
            return players.value(predict, np.asarray(z, bool), target)

        def once(number: int) -> Doubles:
            # shap draws its coalitions from numpy's global generator
            with seeded_numpy(seed * 1000 + number):
                explainer = shap.KernelExplainer(game, np.zeros((1, p)))
                samples = 2**p if exact else self.samples // self.repeats
                return np.asarray(
                    explainer.shap_values(np.ones(p), nsamples=samples, l1_reg=False, silent=True),
                    np.float64,
                )

        values = np.stack([once(i) for i in range(1 if exact else self.repeats)])
        nobody = float(game(np.zeros((1, p)))[0])
        return Estimate(values, nobody, {"exact": exact, "players": p})
