import numpy as np
import pytest

from toolkit.explainers import EXPLAINERS
from toolkit.explainers.choices import Choice, chosen
from toolkit.glossary import Data
from toolkit.quality import FIGURES, quality
from toolkit.quality.segmentation import _otherwise, likeness, spread


class Bright:
    """The chance of "yes" grows with the brightness of the upper left quarter."""

    name, classes, shape = "bright", 2, (8, 8, 1)

    def __call__(self, x):
        p = 1 / (1 + np.exp(4 - 16 * x[:, :4, :4].mean(axis=(1, 2, 3)).astype(np.float64)))
        return np.stack([1 - p, p], axis=1)


def test_a_part_shares_its_value_among_its_pixels():
    segments = np.array([[0, 0, 1], [0, 0, 1]])
    shared = spread(np.array([0.4, 0.1]), segments)
    assert shared.tolist() == [[0.1, 0.1, 0.05]] * 2
    assert shared.sum() == pytest.approx(0.5)
    assert likeness(shared, 3 * shared) == pytest.approx(1)
    assert likeness(shared, -shared) == pytest.approx(-1)
    assert likeness(shared, 0 * shared) == 0
    assert likeness(0 * shared, 0 * shared) == 1


@pytest.mark.parametrize("cut", ["grid", "superpixels"])
def test_two_cuts_of_a_picture_are_compared(cut):
    """What lies in one quarter is found there however the picture is cut."""
    rng = np.random.default_rng(0)
    x = 0.2 * rng.random((6, 8, 8, 1)).astype(np.float32)
    x[:, :4, :4] += 0.7
    data = Data(x, np.arange(6) % 2, ("no", "yes"), kind="image")
    dark = Data(x * 0, data.y, data.classes, kind="image")
    players = {r: chosen(x[r], dark, Choice(players=cut, patches=16)) for r in range(4)}
    shapley = EXPLAINERS["shapley"]()
    found = [shapley(Bright(), p, 1, row=r) for r, p in players.items()]
    told = quality(Bright(), [shapley], found, players, figures=["segmentation"])
    figures = {m.name: m for m in told}
    assert figures["segmentation shapley"].value > 0.8
    assert figures["segmentation random"].value < 0.7
    assert figures["segmentation shapley"].n == 4
    assert "segmentation" in FIGURES


@pytest.mark.parametrize("side", [4, 28])
@pytest.mark.parametrize("cut", ["grid", "superpixels"])
def test_a_picture_without_regions_is_not_compared_with_itself(cut, side):
    """Noise has no regions of like colour: SLIC gives a grid, and a grid it was."""
    x = np.random.default_rng(1).random((4, side, side, 1)).astype(np.float32)
    data = Data(x, np.arange(4) % 2, ("no", "yes"), kind="image")
    own = chosen(x[0], data, Choice(players=cut, patches=16))
    other = _otherwise(x[0], own.segments, len(own))
    assert not np.array_equal(own.segments, other)
    assert 8 <= other.max() + 1 <= 32


def test_a_table_is_not_cut():
    data = Data(np.eye(3, dtype=np.float32), np.arange(3) % 2, ("no", "yes"))

    class Flat:
        name, classes, shape = "flat", 2, (3,)

        def __call__(self, x):
            return np.full((len(x), 2), 0.5, np.float32)

    players = {0: chosen(data.x[0], data, Choice())}
    shapley = EXPLAINERS["shapley"]()
    found = [shapley(Flat(), players[0], 1)]
    assert quality(Flat(), [shapley], found, players, figures=["segmentation"]) == ()
