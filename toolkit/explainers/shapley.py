"""Shapley values by shap's KernelExplainer, over our own players (Lundberg and Lee 2017)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from toolkit.explainers.base import Estimate, Explainer, derived
from toolkit.explainers.players import Players
from toolkit.glossary import Doubles, Predictor
from toolkit.seeding import seeded_numpy

EXACT = 12
"""With so many players all 2^p coalitions are asked, and the values are exact."""

LEAST = 12
"""Coalitions a player in each repeat: below it shap leaves single players to chance."""


@dataclass(frozen=True, kw_only=True)
class Shapley(Explainer):
    """What each player adds to the probability, averaged over all orders of arrival.

    Exact up to `EXACT` players, else estimated; in either case the values sum to the prediction
    less the base. No value is dropped: shap's own choice of ten features is turned off. Many
    players are asked more than `samples`, at least `LEAST` coalitions each; the facts say how many.
    """

    method: ClassVar[str] = "shapley"

    def estimate(self, predict: Predictor, players: Players, target: int, seed: int) -> Estimate:
        """Ask shap once when all coalitions fit, else `repeats` times with seeds of their own."""
        import shap

        p = len(players)
        exact = p <= EXACT
        size = 2**p if exact else max(self.samples // self.repeats, LEAST * p)
        repeats = 1 if exact else self.repeats

        def game(z: NDArray[np.float64]) -> Doubles:
            return players.value(predict, np.asarray(z, bool), target)

        def once(number: int) -> Doubles:
            # shap draws its coalitions from numpy's global generator
            with seeded_numpy(derived(seed, number)):
                explainer = shap.KernelExplainer(game, np.zeros((1, p)))
                return np.asarray(
                    explainer.shap_values(np.ones(p), nsamples=size, l1_reg=False, silent=True),
                    np.float64,
                )

        values = np.stack([once(i) for i in range(repeats)])
        nobody = float(game(np.zeros((1, p)))[0])
        facts = {"samples": size * repeats, "exact": exact, "players": p}
        return Estimate(values, nobody, facts)
