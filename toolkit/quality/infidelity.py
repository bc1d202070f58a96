"""Infidelity: how far off reasons are when some players are hidden (Yeh et al. 2019)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from toolkit.explainers.players import Coalitions, Players
from toolkit.glossary import Attribution, Doubles, Measurement, Predictor
from toolkit.means import averaged

DRAWN = 256


def infidelity(values: Doubles, hidden: Coalitions, drops: Doubles) -> float:
    """The mean squared gap between what players say they are worth and what hiding them costs.

    values: f64 (p,). hidden: bool (m, p), m sets of players that are hidden together. drops:
    f64 (m,), the probability of the row less that with each set hidden. In squared probability.

    >>> hidden = np.array([[True, False], [True, True]])
    >>> infidelity(np.array([0.3, 0.1]), hidden, np.array([0.2, 0.4]))
    0.005
    """
    return round(float(((hidden @ values - drops) ** 2).mean()), 15)


def infidelities(
    predict: Predictor,
    attributions: Sequence[Attribution],
    players: dict[int, Players],
    *,
    seed: int = 0,
) -> tuple[Measurement, ...]:
    """Mean infidelity over rows with 95 % intervals, of each method of one model.

    Named "infidelity shapley"; "infidelity nothing" is that of saying 0 of every player, which
    good reasons stay far below. Each player is hidden with even odds, in `DRAWN` sets a row.
    """
    found: dict[str, list[float]] = {}
    drawn: dict[int, tuple[Coalitions, Doubles]] = {}
    for a in attributions:
        if a.row not in drawn:
            sets = np.random.default_rng([seed, a.row]).random((DRAWN, len(a.values))) < 0.5
            row, worth = np.ones((1, len(a.values)), bool), players[a.row].value
            drops = worth(predict, row, a.target) - worth(predict, ~sets, a.target)
            drawn[a.row] = sets, drops
            found.setdefault("infidelity nothing", []).append(infidelity(0 * a.values, sets, drops))
        ours = found.setdefault(f"infidelity {a.method}", [])
        ours.append(infidelity(a.values, *drawn[a.row]))
    return tuple(averaged(predict.name, name, values, least=0) for name, values in found.items())
