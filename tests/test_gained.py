"""An input that a model has come to lean on is named, and no other."""

import numpy as np
import pytest

from tests.test_fidelity import made
from toolkit.explainers import Players
from toolkit.fidelity.gained import gained

P = 6
ROW = Players(tuple("abcdef"), np.ones(P, np.float32), np.arange(P), np.zeros((1, P), np.float32))


def both(planted=0.0, rows=24, seed=0):
    rng = np.random.default_rng(seed)
    ours = [made(rng.normal(size=P), row) for row in range(rows)]
    theirs = [
        made(a.values + 0.1 * rng.normal(size=P) + planted * np.eye(P)[4], a.row, "small")
        for a in ours
    ]
    return [*ours, *theirs]


def told(attributions, players=None):
    return gained(attributions, "base", "small", players or dict.fromkeys(range(99), ROW))


def test_the_planted_player_is_named_with_its_shares():
    attributions = both(planted=3.0)
    (m,), (said,) = told(attributions)
    assert (said.code, said.subject) == ("G1", "small")
    assert "'e' carries" in said.sentence
    shares = [
        np.mean([abs(a.values[4]) / np.abs(a.values).sum() for a in attributions if a.subject == s])
        for s in ("base", "small")
    ]
    assert m.value == pytest.approx(shares[1] - shares[0])
    assert f"{100 * shares[1]:.0f} %" in said.sentence


def test_chance_names_nobody():
    assert [told(both(seed=seed))[1] for seed in range(100)] == [()] * 100


def test_the_interval_holds_for_all_players_at_once():
    """Nothing rises for sure where both models are noise around the same reasons."""
    lows = [told(both(seed=seed))[0][0].low for seed in range(200)]
    # 2.5 % at most; 3 standard errors above it for 200 trials, and the normal's tails for 24 rows
    assert np.mean(np.array(lows) > 0) <= 0.06


def test_players_that_are_others_in_each_row_are_not_compared():
    other = Players(ROW.names, ROW.x, ROW.groups[::-1].copy(), ROW.background)
    players = {row: ROW if row % 2 else other for row in range(99)}
    assert told(both(planted=3.0), players) == ((), ())


def test_few_rows_say_nothing():
    assert told(both(planted=3.0, rows=4)) == ((), ())


def test_rounding_is_no_rise():
    """Values that float32 cannot tell from nothing are nobody's share."""
    rng = np.random.default_rng(0)
    found = [made(1e-8 * rng.normal(size=P), row) for row in range(24)]
    found += [made(1e-7 * np.eye(P)[4], row, "small") for row in range(24)]
    (m,), said = told(found)
    assert m.value == 0
    assert not said
