"""A second way to hide what a row shows, so that no figure rests on one choice of "absent"."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from toolkit.explainers.players import Players, mean_row
from toolkit.glossary import Floats

_BLUR = 8


def hidings(players: Players) -> dict[str, Players]:
    """The players as they are, called "", and hidden in another way.

    " hidden:mean": the mean of the background row instead of each row of it. " hidden:blur": a
    picture blurred by an eighth of its side instead of the mean picture. " hidden:colour": its mean
    colour instead of the blurred picture. " hidden:filling": the
    filling of a text, but for one unknown word, instead of unknown words; a text hidden by it
    already has one way alone.

    >>> x = np.ones(2, np.float32)
    >>> both = hidings(Players(("a", "b"), x, np.arange(2), np.float32([[0, 0], [4, 2]])))
    >>> {name: p.background.tolist() for name, p in both.items()}
    {'': [[0.0, 0.0], [4.0, 2.0]], ' hidden:mean': [[2.0, 1.0]]}
    """
    if players.segments is not None:
        blur = blurred(players)
        if np.array_equal(players.background, blur[None]):
            colour = players.x.mean(axis=(0, 1), dtype=np.float64)
            return _with(players, "colour", np.broadcast_to(colour, players.x.shape))
        return _with(players, "blur", blur)
    if len(players.background) > 1:
        return _with(players, "mean", mean_row(players.background, players.categories))
    filling = np.zeros_like(players.x)
    if players.table is not None or np.array_equal(players.background[0], filling):
        return {"": players}
    # one unknown word stays: many nets average over the words, and of none they make NaN
    first = int(np.argmax(players.background[0] != 0))
    filling[first] = players.background[0][first]
    return _with(players, "filling", filling)


def blurred(players: Players) -> Floats:
    """A picture blurred by an eighth of its side, f32 (h, w, c)."""
    from skimage.filters import gaussian

    side = min(players.x.shape[:2])
    found = gaussian(players.x, sigma=side / _BLUR, channel_axis=-1, preserve_range=True)
    return np.asarray(found, np.float32)


def _with(players: Players, name: str, hidden: np.ndarray) -> dict[str, Players]:
    background = np.asarray(hidden, np.float32)[None]
    return {"": players, f" hidden:{name}": replace(players, background=background)}
