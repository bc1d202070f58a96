"""Pictures cut in a second way: what is told of reasons must not hang on the patches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from toolkit.explainers import Explainer
from toolkit.explainers.players import Players, recut, squares
from toolkit.fidelity.scale import place
from toolkit.glossary import Attribution, Cut, Measurement, Predictor
from toolkit.progress import tell

PATCHES = 9
"""Fewer than the first time, so that all coalitions can be asked and no noise is added."""

_TOGETHER = 8


def cut_again(
    models: Sequence[Predictor],
    explainer: Explainer,
    ours: Sequence[Attribution],
    players: Mapping[int, Players],
    *,
    rows: Sequence[int] | None = None,
    seed: int = 0,
) -> tuple[tuple[Measurement, ...], tuple[Cut, ...]]:
    """The models' reasons over three by three patches, the first model the base.

    ours: the base's attributions by this method, which say what class is explained. Nothing of a
    single model, and nothing where rows are no pictures.
    "reason_place shapley cut:9" is the place of another model on the scale, over `rows`, as
    "reason_place shapley" is for the players that it was first explained with.
    """
    base = models[0].name
    targets = {
        a.row: a.target
        for a in ours
        if (a.subject, a.method) == (base, explainer.method)
        if len(models) > 1 and players[a.row].segments is not None
    }
    found: list[Attribution] = []
    again: list[Attribution] = []
    cuts: list[Cut] = []
    every = list(targets)
    for i in range(0, len(every), _TOGETHER):
        some = {row: coarse(players[row]) for row in every[i : i + _TOGETHER]}
        wanted = [targets[row] for row in some]
        told = [explainer.several(predict, some, wanted, seed=seed) for predict in models]
        exact = all(a.facts.get("exact") for a in told[0])
        again += told[0] if exact else explainer.several(models[0], some, wanted, seed=seed + 1)
        for of_row in zip(*told, strict=True):
            found += of_row
            segments = some[of_row[0].row].segments
            if segments is not None:
                values = {a.subject: a.values for a in of_row}
                cuts.append(Cut(explainer.method, of_row[0].row, segments, values))
        tell(f"cut again {explainer.method}", min(i + _TOGETHER, len(every)), len(every))
    measured = (
        replace(m, name=f"{m.name} cut:{PATCHES}")
        for other in models[1:]
        for m in place(found, again, base, other.name, rows=rows, seed=seed)
    )
    return tuple(measured), tuple(cuts)


def coarse(players: Players) -> Players:
    """The same picture in three by three patches, hidden by the same stand-in.

    >>> import numpy as np
    >>> from toolkit.explainers.players import grid
    >>> from toolkit.glossary import Data
    >>> gray = Data(np.zeros((1, 6, 6, 1), np.float32), np.zeros(1, int), ("a",), kind="image")
    >>> coarse(grid(np.ones((6, 6, 1), np.float32), gray)).segments[::2, ::2].tolist()
    [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    """
    return recut(players, squares(players.x, PATCHES))
