"""What an explainer net learns from: many rows, each with a cheap unbiased estimate of its reasons.

What chance draws for a label, it draws anew for every group of rows, so that what is wrong with one
label is not wrong with others, and the net learns their mean.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from toolkit.errors import RecipeError
from toolkit.explainers import Players
from toolkit.explainers.base import FEWEST
from toolkit.explainers.choices import Choice
from toolkit.explainers.shapley import Shapley
from toolkit.explanation import players_of
from toolkit.glossary import Data, Doubles, Floats, Ints, Predictor
from toolkit.progress import tell

GROUP = 128
"""Rows that share the background rows or coalitions of their labels."""

PAIRS = 16
"""Pairs of walks for a label, where there are fewer background rows."""

_MIXED = 0.3


def asked(train: Data, choice: Choice, seed: int) -> Players:
    """The players of any row: columns of a table or their groups, or a picture cut in a grid.

    Raises RecipeError for players or hidden values that are others in each row.
    """
    choice.fitting(train.kind)
    kind, named = train.kind, {choice.players, choice.hidden}
    if kind == "text" or named & {"superpixels", "blur"}:
        raise RecipeError(
            f"an explainer net of {kind} data" + "".join(f", {n}" for n in sorted(named) if n),
            "the same players in every row, and the same that hides them",
            "explain such rows by explain itself",
        )
    if kind == "image" and not choice.players:
        choice = replace(choice, players="grid")
    first = replace(train.rows(slice(1)), texts=None)
    first = replace(first, x=np.asarray(first.x, np.float32))
    return players_of(first, [0], train, seed, choice)[0]


def rows_of(train: Data, count: int, seed: int) -> Floats:
    """`count` rows of a table or pictures, drawn without repeating any as long as there are more.

    Of a table that has fewer, further rows are made: each takes some columns from another row, as
    a hidden column does.
    """
    rng = np.random.default_rng([seed, 1])
    picked = np.sort(rng.permutation(len(train))[:count])
    x = np.asarray(train.rows(picked).x, np.float32)
    if len(x) == count:
        return x
    more = x[rng.integers(len(x), size=count - len(x))]
    if train.kind == "tabular":
        other = x[rng.integers(len(x), size=len(more))]
        more = np.where(rng.random(more.shape) < _MIXED, other, more)
    return np.concatenate([x, more])


def labels_of(
    predict: Predictor,
    players: Players,
    x: Floats,
    targets: Ints,
    *,
    evaluations: int | None = None,
    seed: int = 0,
) -> Doubles:
    """A label of each row for its target, f64 (n, p), of about `evaluations` answers each.

    Players enter one by one, in a random order and in its reverse (antithetic permutations,
    Mitchell et al. 2022). Each such pair is walked against one background row, since what differs
    most between two estimates is the background rows they saw: as many as there are of these, and
    `PAIRS` at least, where evaluations is None. The rows of a group share orders and rivals.
    """
    found = np.empty((len(x), len(players)))
    for number, i in enumerate(range(0, len(x), GROUP)):
        some = slice(i, i + GROUP)
        rng = np.random.default_rng([seed, 2, number])
        found[some] = _walked(
            predict, players, x[some], targets[some], rng, evaluations=evaluations
        )
        tell("label rows", min(i + GROUP, len(x)), len(x))
    return found


def _walked(
    predict: Predictor,
    players: Players,
    x: Floats,
    targets: Ints,
    rng: np.random.Generator,
    *,
    evaluations: int | None,
) -> Doubles:
    """Labels of the rows of one group."""
    p, b = len(players), len(players.background)
    pairs = max(b, PAIRS)
    if evaluations is not None:
        pairs = max(evaluations // max(2 * (p - 1), 1), 1)
    rounds = [rng.permutation(b) for _ in range(-(-pairs // b))]
    rivals = np.tile(np.concatenate(rounds)[:pairs], 2)
    order = np.argsort(rng.random((pairs, p)), axis=1)
    order = np.concatenate([order, order[:, ::-1]])
    # bool (walks, p - 1, p): who is there after each step but the last
    there = np.argsort(order, axis=1)[:, None] <= np.arange(p - 1)[:, None]
    shown = there[:, :, players.groups.reshape(-1)]
    other = players.background.reshape(b, -1)[rivals][:, None]
    flat = x.reshape(len(x), -1)
    everyone, nobody = predict(x), predict(players.background)
    found = np.zeros((len(x), p))
    for r, target in enumerate(targets.tolist()):
        asked = np.where(shown, flat[r], other).reshape(-1, *x.shape[1:])
        said = predict(asked)[:, target].astype(np.float64).reshape(len(order), p - 1)
        ends = np.full(len(order), everyone[r, target], np.float64)
        steps = np.column_stack([nobody[rivals, target], said, ends])
        np.add.at(found[r], order, np.diff(steps, axis=1))
    return found / len(order)


def exact(
    predict: Predictor, players: Players, x: Floats, targets: Ints, seed: int
) -> tuple[Doubles, bool]:
    """Shapley values of rows for their targets, f64 (n, p); whether all are exact."""
    found = []
    explainer = reference(len(players))
    for i, (row, target) in enumerate(zip(x, targets.tolist(), strict=True)):
        found.append(explainer(predict, replace(players, x=row), target, row=i, seed=seed))
        tell("exact values", i + 1, len(x))
    return np.array([a.values for a in found]), all(a.facts["exact"] for a in found)


def reference(players: int) -> Shapley:
    """What is exact as far as that can be computed, and a good estimate beyond."""
    return Shapley(samples=max(2**players, FEWEST)) if players <= _EXACT else Shapley()


_EXACT = 16
