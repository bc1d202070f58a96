"""Do reasons hang on how a picture was cut? The same picture in other parts, explained again."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from toolkit.explainers import Explainer, Players
from toolkit.explainers.players import recut, regions, squares
from toolkit.glossary import Attribution, Doubles, Floats, Ints, Measurement, Predictor
from toolkit.means import averaged
from toolkit.progress import tell


def spread(values: Doubles, segments: Ints) -> Doubles:
    """What each pixel gets, f64 (h, w), when a part shares its value evenly among its pixels.

    >>> spread(np.array([0.4, 0.1]), np.array([[0, 0], [0, 1]])).round(3).tolist()
    [[0.133, 0.133], [0.133, 0.1]]
    """
    return np.asarray((values / np.bincount(segments.reshape(-1)))[segments], np.float64)


def likeness(one: Doubles, other: Doubles) -> float:
    """The cosine of two maps, f64 (h, w); 1 when both are blank, 0 when one of them is.

    >>> likeness(np.array([[1.0, 0.0]]), np.array([[1.0, 1.0]])).__round__(4)
    0.7071
    """
    a, b = one.reshape(-1), other.reshape(-1)
    size = float(np.linalg.norm(a) * np.linalg.norm(b))
    if size == 0:
        return float(not a.any() and not b.any())
    return float(a @ b) / size


def segmentations(
    predict: Predictor,
    explainers: Sequence[Explainer],
    attributions: Sequence[Attribution],
    players: dict[int, Players],
) -> tuple[Measurement, ...]:
    """Mean cosine of the pixels' values under two cuts of each picture, "segmentation shapley".

    The other cut is by regions of like colour where there was a grid of squares and such regions
    are found, else a grid, with about as many parts. "segmentation random" is what is left when the
    parts of the other cut have their values in a random order: reasons that do not hang on the cut
    are far above it. Costs what explaining did; of tables and texts there are no such figures.
    """
    ways = {e.method: e for e in explainers}
    found: dict[str, list[float]] = {}
    dealt: dict[int, list[float]] = {}
    for done, a in enumerate(attributions):
        own = players[a.row]
        if own.segments is None:
            continue
        cut = _otherwise(own.x, own.segments, len(own))
        other = recut(own, cut)
        again = ways[a.method](predict, other, a.target, row=a.row, seed=a.seed).values
        ours = spread(a.values, own.segments)
        found.setdefault(f"segmentation {a.method}", []).append(likeness(ours, spread(again, cut)))
        shuffled = np.random.default_rng([a.seed, a.row]).permutation(again)
        dealt.setdefault(a.row, []).append(likeness(ours, spread(shuffled, cut)))
        tell("segmentation", done + 1, len(attributions))
    if dealt:
        # methods of one row are no further rows
        found["segmentation random"] = [float(np.mean(several)) for several in dealt.values()]
    return tuple(
        averaged(predict.name, name, values, least=-1, most=1) for name, values in found.items()
    )


def _otherwise(x: Floats, segments: Ints, many: int) -> Ints:
    """The picture cut in the other way, into about as many parts.

    Regions are a grid where none stand out: then the other cut is another grid.
    """
    cut = squares(x, many)
    if np.array_equal(cut, segments):
        cut = regions(x, many)
    if np.array_equal(cut, segments):
        side = round(many**0.5)
        # a pixel cannot be cut
        cut = squares(x, (side - 1 if side > 3 else side + 1) ** 2)
    return cut
