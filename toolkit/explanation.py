"""explain(): the same rows, the same coalitions, the same target, for every model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from toolkit.data.words import pieces
from toolkit.errors import DataError
from toolkit.explainers import Explainer, Players
from toolkit.explainers.choices import USUAL, Choice, chosen
from toolkit.explainers.players import fitting
from toolkit.glossary import Attribution, Data, Decision, Predictor, Words
from toolkit.progress import tell

_VALUES = 2**25
_TOGETHER = 8
"""Rows between two tellings of progress."""

CLOSE = 0.2
"""A decision whose two best classes are nearer than this is one of the least sure."""


def explain(
    predictors: Sequence[Predictor],
    explainer: Explainer,
    data: Data,
    rows: Sequence[int],
    *,
    background: Data,
    seed: int = 0,
    choice: Choice = USUAL,
) -> tuple[Attribution, ...]:
    """Explain rows of `data` for every predictor, row by row.

    The class explained is the one that the first predictor gives. background: training rows that
    say what a hidden value looks like. choice: who plays and what hides them. Raises DataError for
    a row that is not there or not finite.

    >>> from toolkit.explainers import EXPLAINERS
    >>> from toolkit import data, models, predict, training
    >>> wine = data.load("wine")
    >>> net = models.build("tabular", wine.fit.train)
    >>> net, _ = training.train(net, wine.fit, training.Settings(epochs=2))
    >>> shapley = EXPLAINERS["shapley"](samples=400)
    >>> (one,) = explain(
    ...     [predict.predictor(net)], shapley, wine.test, [0], background=wine.fit.train
    ... )
    >>> bool(abs(one.values.sum() + one.base - one.prediction) < 1e-6)
    True
    """
    players = players_of(data, rows, background, seed, choice)
    found: list[Attribution] = []
    for i in range(0, len(players), _TOGETHER):
        some = dict(list(players.items())[i : i + _TOGETHER])
        answers = predictors[0](np.stack([one.x for one in some.values()]))
        targets = [int(one.argmax()) for one in answers]
        several = [explainer.several(p, some, targets, seed=seed) for p in predictors]
        for of_row in zip(*several, strict=True):
            found += of_row
        tell(f"explain {explainer.method}", min(i + _TOGETHER, len(players)), len(players))
    return tuple(found)


def decisions(
    predictors: Sequence[Predictor],
    data: Data,
    rows: Sequence[int],
    *,
    background: Data,
    seed: int = 0,
    choice: Choice = USUAL,
) -> tuple[Decision, ...]:
    """The rows that are explained, with what every predictor says of them."""
    found = []
    for row, players in players_of(data, rows, background, seed, choice).items():
        said = {p.name: p(data.x[row : row + 1])[0] for p in predictors}
        label = int(data.y[row])
        text = None if data.texts is None else str(data.texts[row])
        found.append(
            Decision(
                row,
                data.x[row],
                label,
                players.names,
                players.segments,
                said,
                text,
                () if text is None or data.words is None else _pieces(text, data.words, players),
            )
        )
    return tuple(found)


def _pieces(text: str, words: Words, players: Players) -> tuple[tuple[str, int], ...]:
    """What the text is written of, each piece with its player, -1 for what is none."""
    player = dict(zip(players.x.astype(int).tolist(), players.groups.tolist(), strict=True))
    written = pieces(text, words, players.x)
    return tuple((one, player[index] if index else -1) for one, index in written)


def pick_rows(
    predictors: Sequence[Predictor], data: Data, count: int, *, seed: int = 0
) -> tuple[int, ...]:
    """Rows worth explaining, in order of index.

    A third where the models disagree, then a third where the first is wrong or least sure, the
    rest at random, one class after another; the same for the same seed. Few disagreements and
    mistakes leave more to chance.
    """
    rng = np.random.default_rng(seed)
    answers = [p(data.x) for p in predictors]
    first = answers[0].argmax(axis=1)
    differ = np.zeros(len(data), bool)
    for other in answers[1:]:
        differ |= other.argmax(axis=1) != first
    second, most = np.sort(answers[0], axis=1)[:, -2:].T
    ahead = most - second
    hard = np.lexsort((ahead, first == data.y))
    hard = hard[(first != data.y)[hard] | (ahead[hard] < CLOSE)]
    picked = list(dict.fromkeys(rng.permutation(np.flatnonzero(differ))[: -(-count // 3)].tolist()))
    picked += [int(i) for i in hard if int(i) not in picked][: -(-count // 3)]
    shuffled = rng.permutation(len(data))
    sorted_ = shuffled[np.argsort(data.y[shuffled], kind="stable")]
    ends = np.cumsum(np.bincount(data.y, minlength=len(data.classes)))
    by_class = [rows.tolist() for rows in np.split(sorted_, ends[:-1])]
    for place in range(max(len(rows) for rows in by_class)):
        for rows in by_class:
            if len(picked) < count and place < len(rows) and rows[place] not in picked:
                picked.append(rows[place])
        if len(picked) >= count:
            break
    return tuple(sorted(picked[:count]))


def players_of(
    data: Data,
    rows: Sequence[int],
    background: Data,
    seed: int = 0,
    choice: Choice = USUAL,
) -> dict[int, Players]:
    """The players of each row. Raises DataError for a row that is not there or not finite."""
    for row in rows:
        if not 0 <= row < len(data):
            raise DataError(f"row {row}", f"0 to {len(data) - 1}", "pick a row that is there")
    if background.kind == "image":
        # some rows give the mean picture
        some = background.spread(max(min(_VALUES // math.prod(background.x.shape[1:]), 1000), 50))
        background = replace(some, x=np.asarray(some.x[:]))
    found: dict[int, Players] = {}
    for row in rows:
        if found and background.kind == "tabular":
            # one background for all, by which they are known to belong together
            first = next(iter(found.values()))
            found[row] = replace(first, x=fitting(data.x[row], background))
        else:
            found[row] = chosen(data.x[row], background, choice, seed=seed)
    return found
