"""What would change a model's mind, against every set of players."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from toolkit.explainers import EXPLAINERS
from toolkit.explainers.players import Players
from toolkit.explanation import explain, players_of
from toolkit.flips import flip, flips
from toolkit.predict import predictor
from toolkit.run import from_json, to_json


def hidden_one_by_one(predict, players, hidden):
    """The mean answer with these players hidden, by a loop over the background."""
    shown = []
    for other in players.background:
        x = players.x.copy()
        for player in hidden:
            x[players.groups == player] = other[players.groups == player]
        shown.append(x)
    return predict(np.stack(shown)).astype(np.float64).mean(axis=0)


@pytest.fixture(scope="module")
def asked(wine, tabular):
    """Six rows of wine with their players and attributions."""
    predict = predictor(tabular, "net")
    rows = [0, 7, 12, 20, 31, 40]
    players = players_of(wine.test, rows, wine.fit.train)
    lime = EXPLAINERS["lime"](samples=400)
    found = explain([predict], lime, wine.test, rows, background=wine.fit.train)
    return predict, players, {a.row: a for a in found}


def test_no_smaller_set_of_players_does(asked):
    predict, players, why = asked
    sizes = set()
    for row, them in players.items():
        found = flip(predict, them, why[row].values, row=row)
        own = int(predict(them.x[None])[0].argmax())
        assert (found.subject, found.row) == ("net", row)
        said = hidden_one_by_one(predict, them, found.players)
        assert int(said.argmax()) == found.answer
        assert (found.answer != own) == bool(found.players)
        sizes.add(len(found.players))
        for size in range(1, min(len(found.players), 3)):
            for fewer in itertools.combinations(range(len(them)), size):
                assert int(hidden_one_by_one(predict, them, fewer).argmax()) == own
    assert sizes - {0}


def test_with_few_questions_what_is_found_is_needed_and_not_called_the_fewest(asked):
    predict, players, why = asked
    beyond = 0
    for row, them in players.items():
        found = flip(predict, them, why[row].values, questions=len(them))
        assert found.tried == 1
        if len(found.players) <= 2:
            continue
        beyond += 1
        assert int(hidden_one_by_one(predict, them, found.players).argmax()) == found.answer
        for one in found.players:
            rest = [i for i in found.players if i != one]
            own = int(predict(them.x[None])[0].argmax())
            assert int(hidden_one_by_one(predict, them, rest).argmax()) == own
    least = flip(predict, them, why[row].values, questions=1)
    assert least.tried == 0
    assert beyond or least.players


class Steady:
    """Answers class 1 whatever it is shown."""

    name, classes, shape = "steady", 2, (4,)

    def __call__(self, x):
        return np.tile(np.float32([0.4, 0.6]), (len(x), 1))


def test_a_mind_that_nothing_changes():
    four = Players(
        tuple("abcd"), np.ones(4, np.float32), np.arange(4), np.zeros((3, 4), np.float32)
    )
    for questions, tried in ((4096, 4), (4, 1), (1, 0)):
        found = flip(Steady(), four, np.arange(4.0), questions=questions)
        assert (found.players, found.answer, found.tried) == ((), 1, tried)


def test_a_run_keeps_them(asked, full_run):
    assert len(full_run.flips) == 2 * len(full_run.decisions)
    assert from_json(to_json(full_run)).flips == full_run.flips
    predict, players, why = asked
    twin = replace(why[0], subject="net", method="second", values=-why[0].values)
    both = flips([predict], [why[0], twin], players, [0])
    assert both == flips([predict], [why[0]], players, [0])
