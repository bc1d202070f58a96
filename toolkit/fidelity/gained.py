"""Which input a model has come to lean on: the share of the reasons that it carries has risen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from toolkit.explainers.players import Players
from toolkit.fidelity.measures import paired
from toolkit.glossary import Attribution, Doubles, Finding, Measurement
from toolkit.means import LEAST, mean_error
from toolkit.told import told

LEANING = 0.05
"""A rise of a player's share of all reasons that is worth a word, if it is beyond chance."""


def gained(
    attributions: Sequence[Attribution],
    base: str,
    other: str,
    players: Mapping[int, Players],
    *,
    rows: Sequence[int] | None = None,
) -> tuple[tuple[Measurement, ...], tuple[Finding, ...]]:
    """The largest rise of one player's share of the reasons, and who it is where that is sure.

    A share is the size of a player's value over the sum of all sizes in its row. "reason_gained
    shapley": the mean rise over rows of the player that rose most surely, with an interval that
    holds for all players at once (Bonferroni). Not given where players are other ones in each row,
    as superpixels and words are.
    """
    measured, said = [], []
    for method, pairs in paired(attributions, base, other, rows):
        around = [players[one.row] for one, _ in pairs]
        if len(pairs) < LEAST or not _same(around):
            continue
        ours, theirs = (
            np.stack([_shares(pair[which].values) for pair in pairs]) for which in (0, 1)
        )
        n, rise = len(ours), theirs - ours
        half = mean_error(rise, 1 - 0.05 / rise.shape[1])
        mean = rise.mean(axis=0)
        who = int(np.argmax(mean - half))
        low, high = float(mean[who] - half[who]), float(mean[who] + half[who])
        name = f"reason_gained {method}"
        measured.append(Measurement(other, name, float(mean[who]), "", n, low, high))
        if low > 0 and mean[who] >= LEANING:
            finding = Finding.of(
                "G1",
                "warning",
                other,
                "'{player}' carries {now:.0f} % of the reasons of {name} by {method}, and "
                "{before:.0f} % of those of {base}: more than chance.",
                "If it should not decide, look where the model learnt it.",
                player=around[0].names[who],
                now=float(100 * theirs[:, who].mean()),
                before=float(100 * ours[:, who].mean()),
                name=other,
                base=base,
                method=method,
            )
            said.append(finding)
    return tuple(measured), tuple(said)


def _shares(values: Doubles) -> Doubles:
    size = np.abs(told(values))
    total = float(size.sum())
    return size / total if total > 0 else size


def _same(around: Sequence[Players]) -> bool:
    """Whether a player is the same part of the input in every row."""
    first = around[0]
    return all(
        its.names == first.names
        and its.groups.shape == first.groups.shape
        and bool((its.groups == first.groups).all())
        for its in around
    )
