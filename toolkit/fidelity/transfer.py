"""Do the base's reasons move the small model? Its ranking is put to the test on the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from toolkit.explainers.players import Players
from toolkit.faithfulness import area, curve
from toolkit.fidelity.measures import paired
from toolkit.glossary import Attribution, Doubles, Measurement, Predictor
from toolkit.means import LEAST, error_of_ratio, resamples, studentised
from toolkit.progress import tell
from toolkit.told import WHOLE


def transfer(
    base: Predictor,
    other: Predictor,
    attributions: Sequence[Attribution],
    players: Mapping[int, Players],
    *,
    rows: Sequence[int] | None = None,
    seed: int = 0,
) -> tuple[Measurement, ...]:
    """How well one model's ranking of the players works on the other, as a share of its own.

    The gain of a ranking is the area under insertion less that under deletion (Petsiuk et al.
    2018), 0 for a random order. "reason_transfer shapley": the gain of the base's ranking on
    `other` divided by that of its own, means over rows with a bootstrap-t 95 % interval;
    "reason_transfer_back shapley" the other way round. Equals that swap places cost nothing.
    Not given where a model's own ranking gains nothing, nor for a handful of rows.
    """
    found = []
    for method, pairs in paired(attributions, base.name, other.name, rows):
        gains = []
        for done, (one, its) in enumerate(pairs):
            around = players[one.row]
            gains.append(
                [
                    gain(predict, around, one.target, ranking.values)
                    for predict, ranking in (
                        (other, one),
                        (other, its),
                        (base, its),
                        (base, one),
                    )
                ]
            )
            tell(f"carry over {method}", done + 1, len(pairs))
        on_other, on_base = np.split(np.array(gains), 2, axis=1)
        found += _ratio(other.name, f"reason_transfer {method}", on_other, seed)
        found += _ratio(other.name, f"reason_transfer_back {method}", on_base, seed)
    return tuple(found)


def gain(predict: Predictor, players: Players, target: int, values: Doubles) -> float:
    """Insertion less deletion area when players come and go in the order of `values`, f64 (p,)."""
    order = np.argsort(-values, kind="stable").tolist()
    joining, leaving = (
        area(curve(predict, players, target, order, deletion=way)) for way in (False, True)
    )
    return joining - leaving


def _ratio(subject: str, name: str, gains: Doubles, seed: int) -> list[Measurement]:
    borrowed, own = gains.T
    if len(own) < LEAST:
        return []
    drawn = resamples(len(own), seed)
    owns = own[drawn].mean(axis=1)
    if float(np.quantile(owns, 0.025)) <= WHOLE:
        return []
    value = float(borrowed.mean() / own.mean())
    kept = owns > WHOLE
    ratios = borrowed[drawn[kept]].mean(axis=1) / owns[kept]
    errors = error_of_ratio(borrowed[drawn[kept]], own[drawn[kept]])
    low, high = studentised(value, float(error_of_ratio(borrowed, own)), ratios, errors)
    return [Measurement(subject, name, value, "", len(own), low, high)]
