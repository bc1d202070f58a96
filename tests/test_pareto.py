import numpy as np
import pytest

from toolkit.pareto import front, hypervolume, improvement


def counted(points, worst, cells=200):
    """The same room by counting the cells of a fine grid."""
    axis = (np.arange(cells) + 0.5) / cells
    grid = np.stack(np.meshgrid(axis * worst[0], axis * worst[1], indexing="ij"), axis=-1)
    covered = np.zeros(grid.shape[:2], bool)
    for p in points:
        covered |= (grid >= p).all(axis=-1)
    return covered.mean() * worst[0] * worst[1]


@pytest.mark.parametrize("seed", range(5))
def test_the_room_is_what_counting_gives(seed):
    rng = np.random.default_rng(seed)
    points, worst = rng.uniform(0, 1.2, (8, 2)), (1.0, 1.0)
    # an edge of a point goes through at most 2 cells of each row and column
    assert hypervolume(points, worst) == pytest.approx(counted(points, worst), abs=2 * 8 / 200)
    assert hypervolume(points[::-1], worst) == pytest.approx(hypervolume(points, worst))


def test_what_a_point_adds_is_the_difference_of_two_rooms():
    rng = np.random.default_rng(9)
    known, more, worst = rng.uniform(-1, 1, (6, 2)), rng.uniform(-1, 1, (4, 3, 2)), (0.8, 0.9)
    added = improvement(more, known, worst)
    assert added.shape == (4, 3)
    for i in np.ndindex(4, 3):
        whole = hypervolume(np.vstack([known, more[i]]), worst)
        assert added[i] == pytest.approx(whole - hypervolume(known, worst))


def test_the_front_is_what_nothing_beats():
    rng = np.random.default_rng(3)
    points = rng.integers(0, 6, (30, 2)).astype(float)
    found = front(points)
    for i, p in enumerate(points):
        beaten = any((q <= p).all() and (q < p).any() for q in points)
        equal_before = any((points[j] == p).all() for j in range(i))
        assert (i in found) == (not beaten and not equal_before)


def test_nothing_known_and_nothing_within():
    none = np.zeros((0, 2))
    assert hypervolume(none, (1, 1)) == 0
    assert improvement(np.array([[0.5, 0.5], [2, 0]]), none, (1, 1)).tolist() == [0.25, 0]
