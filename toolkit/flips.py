"""What would change a model's mind: the fewest players that, hidden, flip its answer."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence

import numpy as np

from toolkit.explainers.players import Coalitions, Players
from toolkit.glossary import Attribution, Doubles, Flip, Predictor
from toolkit.progress import tell

QUESTIONS = 4096
"""Sets of players that are tried at most, one size after another: SHAP asks as many."""


def flips(
    predictors: Sequence[Predictor],
    attributions: Sequence[Attribution],
    players: Mapping[int, Players],
    rows: Sequence[int],
    *,
    questions: int = QUESTIONS,
) -> tuple[Flip, ...]:
    """For each row and model the fewest players to hide for another answer.

    players: of each row. attributions: the first of a model and row says in which order players
    are hidden where too many sets would have to be tried.
    """
    first: dict[tuple[str, int], Attribution] = {}
    for a in attributions:
        first.setdefault((a.subject, a.row), a)
    found = []
    for done, row in enumerate(rows):
        for predict in predictors:
            why = first[predict.name, row]
            found.append(flip(predict, players[row], why.values, row=row, questions=questions))
        tell("change its mind", done + 1, len(rows))
    return tuple(found)


def flip(
    predict: Predictor,
    players: Players,
    values: Doubles,
    *,
    row: int = 0,
    questions: int = QUESTIONS,
) -> Flip:
    """The fewest players that, hidden as explainers hide them, change the answer to one row.

    All sets of one player are tried, then all of two, while there are at most `questions` of them;
    of those that flip the answer the one that does so most clearly is taken. Beyond that size,
    players are hidden one more at a time in the order of `values`, f64 (p,), and those that were
    not needed are shown again: that many suffice, and whether fewer do is not known.

    >>> from toolkit.glossary import Data
    >>> from toolkit.explainers.players import features
    >>> class Either:
    ...     name, classes, shape = "either", 2, (3,)
    ...     def __call__(self, x):
    ...         p = np.where(x[:, 0] + x[:, 1] > 0, 0.9, 0.1)
    ...         return np.stack([1 - p, p], axis=1).astype(np.float32)
    >>> table = Data(np.zeros((4, 3), np.float32), np.zeros(4, int), ("no", "yes"))
    >>> flip(Either(), features(np.ones(3, np.float32), table), np.array([0.4, 0.4, 0.0]))
    Flip(subject='either', row=0, players=(0, 1), answer=0, tried=2)
    """
    p = len(players)
    own = int(players.answers(predict, np.ones((1, p), bool))[0].argmax())
    asked = tried = 0
    for size in range(1, p + 1):
        asked += math.comb(p, size)
        if asked > questions:
            break
        hidden = np.array(list(itertools.combinations(range(p), size)))
        said = players.answers(predict, _without(hidden, p))
        tried = size
        lead = _lead(said, own)
        if lead.max() > 0:
            best = int(lead.argmax())
            them = tuple(int(i) for i in hidden[best])
            return Flip(predict.name, row, them, int(said[best].argmax()), tried)
    if tried == p:
        return Flip(predict.name, row, (), own, tried)
    order = np.argsort(-values, kind="stable").tolist()
    needed = _one_by_one(predict, players, order, own)
    answer = int(players.answers(predict, _without(np.array([needed], int), p))[0].argmax())
    return Flip(predict.name, row, tuple(sorted(needed)), answer, tried)


def _one_by_one(predict: Predictor, players: Players, order: list[int], own: int) -> list[int]:
    """Players that together flip the answer, each of them needed for it; none where none do."""
    p = len(players)
    leaving = np.tril(np.ones((p, p), bool))
    there = np.ones((p, p), bool)
    there[:, order] = ~leaving
    leads = _lead(players.answers(predict, there), own)
    if leads.max() <= 0:
        return []
    them = order[: int(np.flatnonzero(leads > 0)[0]) + 1]
    while len(them) > 1:
        # without one of them each; the last to go counts least
        fewer = [[i for i in them if i != one] for one in reversed(them)]
        leads = _lead(players.answers(predict, _without(np.array(fewer), p)), own)
        if leads.max() <= 0:
            break
        them = fewer[int(np.flatnonzero(leads > 0)[0])]
    return them


def _lead(said: Doubles, own: int) -> Doubles:
    """By how much another class is ahead of `own`: f64 (m,)."""
    others = said.copy()
    others[:, own] = -np.inf
    return np.asarray(others.max(axis=1) - said[:, own])


def _without(hidden: np.ndarray, p: int) -> Coalitions:
    """Everyone but those in each row of `hidden`, i64 (m, s): bool (m, p)."""
    there = np.ones((len(hidden), p), bool)
    np.put_along_axis(there, hidden, values=False, axis=1)
    return there
