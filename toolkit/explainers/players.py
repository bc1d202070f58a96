"""Players: what can be hidden together in a row, and what stands there when it is hidden."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from toolkit.errors import DataError
from toolkit.glossary import Data, Doubles, Floats, Ints, Predictor

Coalitions = NDArray[np.bool_]
"""bool (m, p): in each of m coalitions, which of the p players are present."""

ROWS = 100
"""Background rows of a table: the mean over them stands for "absent"."""

PATCHES = 16
"""Players of a picture: more of them cannot be told apart reliably on a CPU."""

_SMALL = 64
_VALUES = 2**22


@dataclass(frozen=True, eq=False)
class Players:
    """One row and its p players.

    x: f32 (...). groups: i64 (...), the player of each value. background: f32 (b, ...), what
    stands in for hidden values; with b above 1 the answers are averaged. segments: i64 (h, w) of a
    picture, else None. categories: columns that hold codes of categories. columns: whether every
    column is a player of its own, so that x has a place in the background's distribution.
    hidden: what stands in for hidden values, in words. drawn: f32 (m, ...), rows of the background
    as they are, where `background` is made of them. worded: whether values are indices of words.
    codes: column -> the names of its values, of a table with categories.
    """

    names: tuple[str, ...]
    x: Floats
    groups: Ints
    background: Floats
    segments: Ints | None = None
    categories: tuple[int, ...] = ()
    columns: bool = False
    table: Data | None = None
    hidden: str = "the background"
    drawn: Floats | None = None
    worded: bool = False
    codes: dict[int, tuple[str, ...]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.names)

    def shown(self) -> Doubles:
        """What each player has in this row: f64 (p,), its value or the mean of its values.

        Of a text the filling does not count.

        >>> Players(("a", "b"), np.float32([1, 2, 4]), np.array([0, 1, 1]), None).shown().tolist()
        [1.0, 3.0]
        """
        values = self.x.reshape(-1).astype(np.float64)
        counted = np.where(self.worded, values != 0, 1.0)
        return self.summed(values) / np.maximum(self.summed(counted), 1)

    def written(self) -> tuple[str, ...]:
        """The category of each player that is a column of them, "" of others; none without any.

        >>> row, place = np.float32([1, 5]), np.arange(2)
        >>> Players(("town", "pay"), row, place, None, codes={0: ("Rome", "Oslo")}).written()
        ('Oslo', '')
        """
        if not self.codes:
            return ()
        values, place = self.x.reshape(-1).tolist(), self.groups.reshape(-1).tolist()
        found = [""] * len(self)
        for column, names in self.codes.items():
            code, player = values[column], place[column]
            if 0 <= code < len(names) and code == int(code) and place.count(player) == 1:
                found[player] = names[int(code)]
        return tuple(found)

    def rows(self) -> tuple[Floats, str]:
        """Rows of the background as they are, f32 (m, ...), and what they are in words.

        Where another way to hide was chosen, what hides.
        """
        if self.drawn is None:
            return self.background, self.hidden
        return self.drawn, f"{len(self.drawn)} rows of the background"

    def summed(self, values: Doubles) -> Doubles:
        """What values of the row, f64 (values,), come to for each player: f64 (p,)."""
        places = self.groups.reshape(-1)
        return np.asarray(np.bincount(places, values, len(self)), np.float64)

    def differing(self) -> NDArray[np.bool_]:
        """Which players differ from what hides them, in any row of it: bool (p,).

        >>> row, other = np.float32([1, 2]), np.float32([[1, 5]])
        >>> Players(("a", "b"), row, np.arange(2), other).differing().tolist()
        [False, True]
        """
        differs = (self.x != self.background).any(axis=0).reshape(-1)
        return self.summed(differs.astype(np.float64)) > 0

    def hide(self, coalitions: Coalitions) -> Floats:
        """The row with the absent players hidden: f32 (m, b, ...), one picture a background row."""
        seen = coalitions[:, self.groups][:, None]
        return np.where(seen, self.x, self.background).astype(np.float32)

    def value(self, predict: Predictor, coalitions: Coalitions, target: int) -> Doubles:
        """The mean probability of `target` over the background: f64 (m,), in bounded memory."""
        parts = [p[:, :, target].mean(axis=1) for p in self._asked(predict, coalitions)]
        return np.concatenate(parts) if parts else np.zeros(0)

    def answers(self, predict: Predictor, coalitions: Coalitions) -> Doubles:
        """Mean probabilities of all classes: f64 (m, k), m not 0."""
        return np.concatenate([p.mean(axis=1) for p in self._asked(predict, coalitions)])

    def _asked(self, predict: Predictor, coalitions: Coalitions) -> Iterator[Doubles]:
        """Probabilities beside each background row: f64 (some, b, k) at a time."""
        step = max(_VALUES // max(self.background.size, 1), 1)
        for i in range(0, len(coalitions), step):
            shown = self.hide(coalitions[i : i + step])
            m, b = shown.shape[:2]
            p = predict(shown.reshape(m * b, *self.x.shape))
            yield p.astype(np.float64).reshape(m, b, -1)


def among(differs: NDArray[np.bool_], values: Doubles) -> Doubles:
    """Values f64 (..., d) of the players that differ, and 0 of the others: f64 (..., p).

    >>> among(np.array([True, False, True]), np.array([0.5, 0.25])).tolist()
    [0.5, 0.0, 0.25]
    """
    every = np.zeros((*values.shape[:-1], len(differs)))
    every[..., differs] = values
    return every


def mean_row(rows: Floats, categories: Iterable[int]) -> Floats:
    """The mean of rows (n, ...), f32; of columns of categories, which have none, the commonest.

    >>> mean_row(np.float32([[0, 1], [2, 2], [2, 6]]), [0]).tolist()
    [2.0, 3.0]
    """
    row: Floats = rows.mean(axis=0, dtype=np.float64).astype(np.float32)
    for column in categories:
        values, counts = np.unique(rows[:, column], return_counts=True)
        row[column] = values[counts.argmax()]
    return row


def features(x: Floats, background: Data, *, rows: int = ROWS, seed: int = 0) -> Players:
    """Each column is a player; `rows` rows of the background stand for absent values.

    >>> table = Data(np.eye(3, dtype=np.float32), np.arange(3), ("a", "b", "c"), ("u", "v", "w"))
    >>> players = features(table.x[0], table)
    >>> players.names, players.background.shape
    (('u', 'v', 'w'), (3, 3))
    """
    rng = np.random.default_rng(seed)
    picked = rng.permutation(len(background))[:rows]
    names = background.features or tuple(f"feature {i}" for i in range(x.size))
    codes = tuple(sorted(background.categories))
    rows_of = background.x[np.sort(picked)]
    return Players(
        names,
        x,
        np.arange(x.size),
        rows_of,
        categories=codes,
        columns=True,
        table=background,
        codes=background.categories,
        hidden=f"{len(rows_of)} rows of the background",
    )


def grid(x: Floats, background: Data, *, patches: int = PATCHES) -> Players:
    """Rectangles of a picture are players; the mean picture of the background hides them."""
    return _picture(x, background, squares(x, patches))


def superpixels(x: Floats, background: Data, *, patches: int = PATCHES) -> Players:
    """Regions of like colour are players; the mean picture of the background hides them."""
    return _picture(x, background, regions(x, patches))


def squares(x: Floats, patches: int = PATCHES) -> Ints:
    """The player of each pixel of a picture, i64 (h, w), in a grid of about `patches`."""
    h, w = x.shape[:2]
    side = round(patches**0.5)
    down = np.minimum(np.arange(h) * min(side, h) // h, side - 1)
    across = np.minimum(np.arange(w) * min(side, w) // w, side - 1)
    segments: Ints = down[:, None] * min(side, w) + across[None, :]
    return segments.astype(np.int64)


def regions(x: Floats, patches: int = PATCHES) -> Ints:
    """The same by regions of like colour (SLIC, Achanta et al. 2012), about `patches` of them.

    A grid where none stand out.
    """
    from skimage.segmentation import slic

    low, high = float(x.min()), float(x.max())
    shown = (x - low) / (high - low) if high > low else np.zeros_like(x)
    found = slic(shown, n_segments=patches, compactness=20, start_label=0, channel_axis=-1)
    names, segments = np.unique(found, return_inverse=True)
    if len(names) < patches // 4:
        # noise or a blank: no regions to find
        return squares(x, patches)
    return segments.reshape(x.shape[:2]).astype(np.int64)


CUTS: dict[str, Callable[[Floats, int], Ints]] = {"grid": squares, "superpixels": regions}
"""How pictures are cut, by the name that `--players` takes."""


def recut(players: Players, segments: Ints, name: str = "patch") -> Players:
    """The same picture in other parts."""
    names = tuple(f"{name} {i + 1}" for i in range(int(segments.max()) + 1))
    groups = np.broadcast_to(segments[..., None], players.x.shape)
    return replace(players, names=names, groups=groups, segments=segments)


def words(x: Floats, background: Data) -> Players:
    """Each distinct word is a player, at all its places; the unknown word stands for it.

    Where the vocabulary has none, the filling does.
    """
    vocabulary = background.words
    hidden = (vocabulary.unknown if vocabulary else None) or 0
    # the filling is never hidden: it moves with whichever word comes first, onto itself
    found = [int(i) for i in dict.fromkeys(x.tolist()) if i != 0] or [0]
    place = {index: player for player, index in enumerate(found)}
    groups = np.array([place.get(int(i), 0) for i in x], np.int64)
    stand_in = np.where(x == 0, 0, hidden).astype(np.float32)
    named = vocabulary.vocabulary if vocabulary else ()
    names = tuple(named[i] if 0 < i < len(named) else f"word {i}" for i in found)
    said = "the unknown word" if hidden else "nothing"
    return Players(names, x, groups, stand_in[None], hidden=said, worded=True)


def players_for(x: Floats, background: Data, *, seed: int = 0) -> Players:
    """The players that suit the kind of data: columns, patches of a small picture, superpixels.

    Raises DataError for NaN or infinities in the row, or a row unlike the background's.
    """
    x = fitting(x, background)
    if background.kind == "text":
        return words(x, background)
    if background.kind == "tabular":
        return features(x, background, seed=seed)
    return _picture(x, background, CUTS[usual_cut(x)](x, PATCHES))


def fitting(x: Floats, background: Data) -> Floats:
    """The row as f32 (...). Raises DataError where it is not finite or unlike the background."""
    x = np.asarray(x, np.float32)
    if not np.isfinite(x).all():
        raise DataError("the row has NaN or infinite values", "finite numbers", "pick another row")
    if x.shape != background.x.shape[1:] or len(background) == 0:
        raise DataError(
            f"a row of shape {x.shape} and a background of shape {background.x.shape}",
            "a background of at least one row of the same shape",
            "give rows of the same data set",
        )
    return x


def usual_cut(x: Floats) -> str:
    """How a picture is cut where nothing else is chosen: a small one by a grid."""
    return "grid" if min(x.shape[:2]) < _SMALL else "superpixels"


def _picture(x: Floats, background: Data, segments: Ints) -> Players:
    mean = background.x.mean(axis=0, dtype=np.float64).astype(np.float32)
    drawn = np.asarray(background.spread(ROWS).x[:])
    whole = Players((), x, segments, mean[None], hidden="the mean picture", drawn=drawn)
    return recut(whole, segments)
