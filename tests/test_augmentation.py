"""Which changes of pictures a judge takes for harmless."""

import numpy as np

from toolkit.augmentation import harmless
from toolkit.glossary import Data


def judged(width):
    """Pictures 16x16 with one bright column; a judge that allows it `width` pixels either way."""
    x = np.zeros((40, 16, 16, 1), np.float32)
    x[:, :, 8] = 1
    data = Data(x, np.zeros(40, np.int64), ("middle", "edge"), kind="image")

    def judge(rows):
        off = np.abs(rows[:, 8, :, 0].argmax(axis=1) - 8) > width
        return np.eye(2, dtype=np.float32)[off.astype(int)]

    return data, judge


def test_the_widest_shift_that_costs_nothing():
    assert [harmless(*judged(width)).shift for width in (2, 1, 0)] == [2, 1, 0]


def test_mirroring_is_judged_by_itself():
    # column 8 of 16 mirrored is column 7
    assert harmless(*judged(1)).mirror
    assert not harmless(*judged(0)).mirror
