"""Do reasons tell what was learnt? They must change with the weights (Adebayo et al. 2018)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from toolkit.errors import RecipeError
from toolkit.explainers import Explainer, Players
from toolkit.glossary import Attribution, Doubles, Measurement, Predictor
from toolkit.means import averaged
from toolkit.progress import tell
from toolkit.told import told


def likeness(one: Doubles, other: Doubles) -> float | None:
    """Spearman's rank correlation of the sizes of two attributions, f64 (p,) twice; -1 to 1.

    Players that move neither model are left out: that they are last in both tells of the input, and
    not of what was learnt. 0 where one of the two does not rank its players: it says nothing of the
    other. None where fewer than two players are left, of which nothing can be told.

    >>> likeness(np.array([0.3, -0.2, 0.1, 0.0]), np.array([3.0, 2.0, -1.0, 0.0]))
    1.0
    """
    from scipy.stats import rankdata

    one, other = told(one), told(other)
    moves = (one != 0) | (other != 0)
    if moves.sum() < 2:
        return None
    a, b = (rankdata(np.round(np.abs(v[moves]), 12)) for v in (one, other))
    a, b = a - a.mean(), b - b.mean()
    size = float(np.sqrt((a @ a) * (b @ b)))
    return round(float(a @ b) / size, 12) if size > 0 else 0.0


def randomisations(
    predict: Predictor,
    explainers: Sequence[Explainer],
    attributions: Sequence[Attribution],
    players: dict[int, Players],
    *,
    seed: int = 0,
) -> tuple[Measurement, ...]:
    """How like the reasons of the same net with shuffled weights are, "randomisation shapley".

    Means of `likeness` over rows that have one, with 95 % intervals: near 0 when the reasons tell
    what was learnt, near 1 when they tell the input alone. predict: a model that can be `shuffled`.
    Costs what explaining did. Raises RecipeError for a plain function.
    """
    shuffle = getattr(predict, "shuffled", None)
    if shuffle is None:
        raise RecipeError(
            f"'randomisation' for {predict.name}, whose weights are not known",
            "a .keras, .h5 or .onnx model",
            "leave it out of the figures of quality",
        )
    noise: Predictor = shuffle(seed)
    ways = {e.method: e for e in explainers}
    found: dict[str, list[float]] = {}
    for done, a in enumerate(attributions):
        beside = ways[a.method](noise, players[a.row], a.target, row=a.row, seed=a.seed)
        alike = likeness(a.values, beside.values)
        if alike is not None:
            found.setdefault(f"randomisation {a.method}", []).append(alike)
        tell("randomisation", done + 1, len(attributions))
    return tuple(
        averaged(predict.name, name, values, least=-1, most=1) for name, values in found.items()
    )
