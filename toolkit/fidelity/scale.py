"""What a likeness of reasons means: its place between random attributions and noise alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from toolkit.fidelity.measures import likeness, mean, paired
from toolkit.glossary import Attribution, Doubles, Measurement
from toolkit.means import LEAST, error_of_ratio, resamples, studentised
from toolkit.told import told

_NARROW = 1e-6


def scale(
    attributions: Sequence[Attribution],
    again: Sequence[Attribution],
    base: str,
    *,
    rows: Sequence[int] | None = None,
    seed: int = 0,
) -> tuple[Measurement, ...]:
    """The two ends of the scale of cosines, for each method; both belong to the base alone.

    again: the base's attributions of the same rows under another seed. "reason_floor shapley": the
    base beside itself, what the noise of the method leaves of 1; exactly 1 for exact values.
    "reason_null shapley": the base beside its own values dealt to the players at random.
    """
    found = []
    for method, pairs in _with(attributions, again, base, rows):
        floors, nulls = _ends(pairs)
        found += [
            mean(base, f"reason_floor {method}", floors, seed),
            mean(base, f"reason_null {method}", nulls, seed),
        ]
    return tuple(found)


def place(
    attributions: Sequence[Attribution],
    again: Sequence[Attribution],
    base: str,
    other: str,
    *,
    rows: Sequence[int] | None = None,
    seed: int = 0,
) -> tuple[Measurement, ...]:
    """Where the mean cosine of `other` stands: 0 as random, 1 as the base beside itself.

    "reason_place shapley", with a bootstrap-t 95 % interval over rows, in which all three means are
    drawn anew together. Above 1 where paired questions leave less noise than other seeds do. Not
    given where random attributions are as alike as the base's own, as with one player.
    """
    found = []
    ends = dict(_with(attributions, again, base, rows))
    for method, pairs in paired(attributions, base, other, rows):
        floors, nulls = _ends(ends[method])
        cosines = np.array([likeness(one, its) for one, its in pairs])
        wide = floors.mean() - nulls.mean()
        if wide < _NARROW:
            continue
        value, name = float((cosines.mean() - nulls.mean()) / wide), f"reason_place {method}"
        if len(cosines) < LEAST:
            found.append(Measurement(other, name, value, "", len(cosines)))
            continue
        drawn = resamples(len(cosines), seed)
        above, widths = cosines - nulls, floors - nulls
        # rows that all happen to have a single reason leave no scale
        drawn = drawn[widths[drawn].mean(axis=1) > _NARROW]
        places = above[drawn].mean(axis=1) / widths[drawn].mean(axis=1)
        errors = error_of_ratio(above[drawn], widths[drawn])
        error = float(error_of_ratio(above, widths))
        low, high = studentised(value, error, places, errors)
        found.append(Measurement(other, name, value, "", len(cosines), low, high))
    return tuple(found)


def ceiling(
    attributions: Sequence[Attribution],
    retrained: str,
    base: str,
    *,
    rows: Sequence[int] | None = None,
    seed: int = 0,
) -> tuple[Measurement, ...]:
    """How alike the base and an equally good model are: "reason_ceiling shapley", of the base.

    A compressed model nearer to the base than that differs less than training twice does.
    """
    return tuple(
        mean(
            base,
            f"reason_ceiling {method}",
            np.array([likeness(one, its) for one, its in pairs]),
            seed,
        )
        for method, pairs in paired(attributions, base, retrained, rows)
    )


def random_cosine(values: Doubles) -> float:
    """The mean cosine of a vector and its values dealt out at random, in closed form.

    A place receives each value equally often, so the mean product is (sum of values)^2 / p.

    >>> random_cosine(np.array([1.0, 0.0])), random_cosine(np.array([1.0, 1.0]))
    (0.5, 1.0)
    """
    size = float(values @ values)
    return float(values.sum() ** 2 / (len(values) * size)) if size > 0 else 1.0


def _with(
    attributions: Sequence[Attribution],
    again: Sequence[Attribution],
    base: str,
    rows: Sequence[int] | None,
) -> list[tuple[str, list[tuple[Attribution, Attribution]]]]:
    ours = [a for a in attributions if a.subject == base]
    second = {(a.method, a.row): a for a in again if a.subject == base}
    found = []
    for method, pairs in paired(ours, base, base, rows):
        its = [(one, second[method, one.row]) for one, _ in pairs]
        found.append((method, its))
    return found


def _ends(pairs: list[tuple[Attribution, Attribution]]) -> tuple[Doubles, Doubles]:
    floors = np.array([likeness(one, its) for one, its in pairs])
    # a row in which the base has no reasons has no scale: its ends are one
    nulls = np.array([random_cosine(told(one.values)) for one, _ in pairs])
    return floors, nulls
