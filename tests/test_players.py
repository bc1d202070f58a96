import numpy as np
import pytest

from toolkit.errors import DataError
from toolkit.explainers.players import features, grid, players_for, superpixels, words
from toolkit.glossary import Data

CLASSES = ("a", "b")


def table(n=5, p=3):
    x = np.arange(n * p, dtype=np.float32).reshape(n, p)
    return Data(x, np.arange(n) % 2, CLASSES, tuple("uvwxyz"[:p]))


def pictures(side=8, channels=1):
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 1, (6, side, side, channels)).astype(np.float32)
    return Data(x, np.arange(6) % 2, CLASSES, kind="image")


def test_hidden_columns_take_each_background_row():
    data = table()
    players = features(data.x[0], data)
    shown = players.hide(np.array([[True, False, True], [True, True, True]]))
    assert shown.shape == (2, 5, 3)
    assert shown.dtype == np.float32
    assert (shown[0, :, 0] == 0).all()
    assert np.array_equal(shown[0, :, 1], data.x[:, 1])
    assert (shown[1] == data.x[0]).all()


def test_patches_cover_the_picture_and_hide_to_the_mean():
    data = pictures()
    players = grid(data.x[0], data)
    assert sorted(np.unique(players.segments)) == list(range(16))
    nobody = players.hide(np.zeros((1, 16), bool))[0, 0]
    assert np.allclose(nobody, data.x.mean(axis=0), atol=1e-6)


@pytest.mark.parametrize("side", [2, 3, 7, 28])
def test_a_grid_of_any_size(side):
    data = pictures(side)
    players = grid(data.x[0], data)
    assert len(np.unique(players.segments)) == len(players) == min(side, 4) ** 2


def smooth():
    """Coloured waves, in which regions can be told apart."""
    at = np.linspace(0, 6, 72)
    x = np.stack([np.sin(at)[:, None] * np.cos(at + i)[None] for i in range(3)], axis=-1)
    return Data(np.float32([x, -x]), np.array([0, 1]), CLASSES, kind="image")


def test_a_blank_picture_gets_a_grid():
    data = smooth()
    assert len(superpixels(np.zeros((72, 72, 3), np.float32), data)) == 16


def test_superpixels_are_numbered_from_zero_without_gaps():
    data = smooth()
    players = superpixels(data.x[0], data)
    assert sorted(np.unique(players.segments)) == list(range(len(players)))
    assert 4 <= len(players) <= 30


def test_large_pictures_get_superpixels_and_small_ones_a_grid():
    assert len(players_for(pictures(8).x[0], pictures(8))) == 16
    big = smooth()
    found = players_for(big.x[0], big)
    assert np.array_equal(found.segments, superpixels(big.x[0], big).segments)


def test_memory_is_bounded_and_the_mean_is_right():
    data = table(50, 3)
    players = features(data.x[1], data)
    asked = []

    class Sum:
        name, classes, shape = "sum", 2, (3,)

        def __call__(self, x):
            asked.append(x.size)
            p = 1 / (1 + np.exp(-0.01 * x.sum(axis=1)))
            return np.stack([1 - p, p], axis=1).astype(np.float32)

    coalitions = np.random.default_rng(0).integers(0, 2, (40_000, 3)).astype(bool)
    values = players.value(Sum(), coalitions, 1)
    assert max(asked) <= 2**22
    assert len(asked) > 1
    for i in (0, 39_999):
        by_hand = np.mean(
            [Sum()(np.where(coalitions[i], data.x[1], b)[None])[0, 1] for b in data.x]
        )
        assert values[i] == pytest.approx(by_hand, abs=1e-6)


def test_rows_that_cannot_be_explained():
    data = table()
    with pytest.raises(DataError, match="NaN"):
        players_for(np.float32([1, np.nan, 2]), data)
    with pytest.raises(DataError, match="shape"):
        players_for(np.float32([1, 2]), data)


def test_background_rows_of_pictures_are_from_all_over():
    """A folder is sorted by class: the first hundred of 180 rows are of the first class."""
    x = np.zeros((180, 8, 8, 1), np.float32)
    x[90:] = 1
    data = Data(x, (np.arange(180) >= 90).astype(np.int64), CLASSES, kind="image")
    drawn = grid(x[0], data).drawn
    assert len(drawn) == 100
    assert drawn.mean() == 0.5


def test_the_filling_of_a_text_is_no_part_of_its_first_word():
    data = Data(np.zeros((1, 8), np.float32), np.zeros(1, np.int64), CLASSES, kind="text")
    players = words(np.float32([2, 5, 2, 0, 0, 0, 0, 0]), data)
    assert players.shown().tolist() == [2.0, 5.0]
    assert words(np.zeros(8, np.float32), data).shown().tolist() == [0.0]
