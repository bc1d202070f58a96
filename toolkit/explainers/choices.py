"""Choices: who the players of a row are, and what stands in for those that are hidden."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from toolkit.errors import DataError, RecipeError, near
from toolkit.explainers import players as kinds
from toolkit.explainers.hidings import blurred
from toolkit.explainers.onehot import onehot
from toolkit.explainers.players import Players, mean_row
from toolkit.glossary import Data, Floats, Kind

PLAYERS: dict[str, Kind] = {
    "features": "tabular",
    "groups": "tabular",
    "grid": "image",
    "superpixels": "image",
    "pixels": "image",
    "words": "text",
}
"""What `players` may be, and of which data."""

HIDDEN: dict[str, tuple[Kind, ...]] = {
    "background": ("tabular", "image"),
    "mean": ("tabular", "image"),
    "blur": ("image",),
    "colour": ("image",),
    "mask": ("text",),
}
"""What `hidden` may be, and of which data."""

_MOST = 4096
"""Parts of a picture: nobody can wait for more."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """players, hidden: keys of `PLAYERS` and `HIDDEN`; "" is what suits the data.

    groups: names and their columns, ("job", ("job=a", "job=b")); columns of no group are players of
    their own. patches: about how many a picture is cut into. colour: of hidden pixels, a value for
    all channels or one each; the mean of the background where it is not given. rows: how many rows
    of the background of a table stand for what is hidden, 100 if None.

    >>> Choice(players="grid", patches=9).patches
    9
    """

    players: str = ""
    hidden: str = ""
    groups: tuple[tuple[str, tuple[str, ...]], ...] = ()
    patches: int = kinds.PATCHES
    colour: tuple[float, ...] = ()
    rows: int | None = None

    def __post_init__(self) -> None:
        """Refuse what is no choice."""
        if self.players and self.players not in PLAYERS:
            raise RecipeError(f"players '{self.players}'", near(self.players, PLAYERS))
        if self.hidden and self.hidden not in HIDDEN:
            raise RecipeError(f"hidden '{self.hidden}'", near(self.hidden, HIDDEN))
        if self.groups and self.players not in ("", "groups"):
            raise RecipeError(
                f"groups of columns and players '{self.players}'", "players groups", "leave one out"
            )
        if not 1 <= self.patches <= _MOST:
            raise RecipeError(f"{self.patches} patches", f"1 to {_MOST}", "16 is a fair number")
        if self.rows is not None and self.rows < 1:
            raise RecipeError(f"{self.rows} background rows", "1 or more", "100 is a fair number")
        if self.colour and self.hidden != "colour":
            raise RecipeError(f"a colour and hidden '{self.hidden}'", "hidden colour", "")

    @classmethod
    def told(cls, settings: Mapping[str, object]) -> Choice:
        """The choice whose fields a Run holds as plain data."""
        plain = dict(settings)
        groups: Sequence[tuple[str, Sequence[str]]] = plain.pop("groups", ())  # type: ignore[assignment]
        colour: Sequence[float] = plain.pop("colour", ())  # type: ignore[assignment]
        named = tuple((name, tuple(columns)) for name, columns in groups)
        return cls(groups=named, colour=tuple(colour), **plain)  # type: ignore[arg-type]

    def fitting(self, kind: Kind) -> None:
        """Raise RecipeError for players or a way of hiding that such data do not have."""
        wanted = "groups" if self.groups else self.players
        if wanted and PLAYERS[wanted] != kind:
            raise RecipeError(
                f"players {wanted} of {kind} data",
                ", ".join(name for name, of in PLAYERS.items() if of == kind),
                "choose one of these",
            )
        if self.rows is not None and (kind != "tabular" or self.hidden == "mean"):
            raise RecipeError(
                f"{self.rows} background rows for {kind} data"
                + (f" hidden by {self.hidden}" if self.hidden else ""),
                "a table hidden by its background",
                "leave it out",
            )
        if self.patches != kinds.PATCHES and (kind != "image" or wanted == "pixels"):
            raise RecipeError(
                f"{self.patches} patches of {kind} data" + (f" by {wanted}" if wanted else ""),
                "a picture that is cut by grid or superpixels",
                "leave it out",
            )
        if self.hidden and kind not in HIDDEN[self.hidden]:
            raise RecipeError(
                f"hidden {self.hidden} of {kind} data",
                ", ".join(name for name, of in HIDDEN.items() if kind in of),
                "choose one of these",
            )


USUAL = Choice()
"""What suits the data."""


def chosen(x: Floats, background: Data, choice: Choice, *, seed: int = 0) -> Players:
    """The players of a row, and what hides them, as chosen.

    Raises RecipeError for what such data do not have, DataError for a row that does not fit.
    """
    choice.fitting(background.kind)
    usual = kinds.players_for(x, background, seed=seed)
    if choice.rows is not None:
        if choice.rows > len(background):
            raise RecipeError(
                f"{choice.rows} background rows", f"1 to {len(background)}", "correct it"
            )
        usual = kinds.features(usual.x, background, rows=choice.rows, seed=seed)
    return _hidden(_players(usual, background, choice), background, choice)


def _players(usual: Players, background: Data, choice: Choice) -> Players:
    if choice.groups or choice.players == "groups":
        return grouped(usual, background, _distinct(choice.groups))
    if background.kind != "image":
        return usual
    h, w = usual.x.shape[:2]
    if choice.players == "pixels":
        if h * w > _MOST:
            raise RecipeError(
                f"{h * w} pixels as players", f"at most {_MOST}", "take grid or superpixels"
            )
        return kinds.recut(usual, np.arange(h * w).reshape(h, w), "pixel")
    way = choice.players or kinds.usual_cut(usual.x)
    return kinds.recut(usual, kinds.CUTS[way](usual.x, choice.patches))


def _distinct(
    groups: Sequence[tuple[str, Sequence[str]]],
) -> Mapping[str, Sequence[str]]:
    named: dict[str, Sequence[str]] = {}
    for name, columns in groups:
        if name in named:
            raise RecipeError(
                f"group {name} is given twice",
                "all its columns in one",
                f"write --group {name}={','.join((*named[name], *columns))}",
            )
        named[name] = columns
    return named


def grouped(usual: Players, background: Data, given: Mapping[str, Sequence[str]]) -> Players:
    """Columns of a table in groups: those given, those found by `onehot`, each other by itself.

    Raises DataError for a column that is not there or stands in two groups.
    """
    names = list(usual.names)
    groups: dict[str, list[int]] = {}
    taken: set[int] = set()
    for group, columns in given.items():
        for name in columns:
            if name not in names:
                raise DataError(f"group {group} of column '{name}'", near(name, names), "")
            if names.index(name) in taken:
                raise DataError(
                    f"column '{name}' in group {group} and another", "one group a column", ""
                )
            taken.add(names.index(name))
            groups.setdefault(group, []).append(names.index(name))
    for group, places in groups.items():
        if group in names and places != [names.index(group)]:
            # else what the group is worth would stand beside what the column held
            raise DataError(
                f"group {group}, and a column of that name", "another name", "rename the group"
            )
    for group, found in onehot(background).items():
        if group not in groups and group not in names and not taken & set(found):
            groups[group] = list(found)
            taken |= set(found)
    # a group stands where its first column does
    own = {min(places): (group, places) for group, places in groups.items()}
    own |= {i: (name, [i]) for i, name in enumerate(names) if i not in taken}
    place = np.zeros(len(names), np.int64)
    ordered = [own[i] for i in sorted(own)]
    for player, (_, places) in enumerate(ordered):
        place[places] = player
    return replace(
        usual,
        names=tuple(name for name, _ in ordered),
        groups=place,
        columns=len(ordered) == len(names),
    )


def _hidden(players: Players, background: Data, choice: Choice) -> Players:
    """The players with what is chosen in place of the hidden ones."""
    way: Callable[[Players, Data, Choice], tuple[Floats, str]] | None = {
        ("background", "image"): _drawn,
        ("mean", "tabular"): _mean,
        ("blur", "image"): _blur,
        ("colour", "image"): _colour,
    }.get((choice.hidden, background.kind))
    if way is None:
        return players
    stand_in, said = way(players, background, choice)
    return replace(players, background=stand_in, hidden=said, drawn=None)


def _drawn(players: Players, _: Data, __: Choice) -> tuple[Floats, str]:
    rows = players.background if players.drawn is None else players.drawn
    return rows, f"{len(rows)} rows of the background"


def _mean(_: Players, background: Data, __: Choice) -> tuple[Floats, str]:
    """The mean of numbers; the commonest value of a column of categories, which have no mean."""
    return mean_row(background.x, background.categories)[None], "the mean row"


def _blur(players: Players, _: Data, __: Choice) -> tuple[Floats, str]:
    return blurred(players)[None], "the blurred picture"


def _colour(players: Players, background: Data, choice: Choice) -> tuple[Floats, str]:
    channels = players.x.shape[2]
    if choice.colour and len(choice.colour) not in (1, channels):
        raise RecipeError(
            f"a colour of {len(choice.colour)} values",
            f"1, or {channels}, one a channel",
            "correct it",
        )
    given = choice.colour or background.x.mean(axis=(0, 1, 2), dtype=np.float64)
    colour = np.broadcast_to(np.asarray(given, np.float32), players.x.shape)
    return np.array(colour)[None], "one colour"
