"""Steps are read off trained weights, and not rounded a second time."""

import numpy as np
import pytest

from toolkit.lattice import grid


@pytest.mark.parametrize("order", [range(6), [1, 2, 0, 4, 5, 3], [2, 1, 4, 3, 0, 5]])
def test_one_step_for_all_is_read_as_one(order):
    """A channel of even numbers, one whose numbers doubled others have, and one of zeros."""
    whole = np.random.default_rng(0).integers(-7, 8, (6, 16)).astype(np.float32)
    whole[1], whole[2], whole[3] = [-6, -4, 4, 2] * 4, [3, -3, 1, -1] * 4, 0
    whole = whole[list(order)]
    found, step = grid((whole * np.float32(0.0123)).astype(np.float32), 0)
    assert np.array_equal(found, whole)
    assert np.allclose(step, 0.0123)
    each = np.float32([0.010, 0.021, 0.032, 0.011, 0.017, 0.013])[:, None]
    found, step = grid(whole * each, 0)
    assert len(np.unique(step.round(4))) > 3
    assert np.allclose(found * step[:, None], whole * each, atol=1e-6)
