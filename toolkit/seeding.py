"""Random seeds that hold inside a block and leave the caller's random state as it was."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed Python, numpy and TensorFlow (through Keras) inside the block.

    Python's and numpy's states come back afterwards; TensorFlow's global seed has no public
    getter, so it stays at `seed`.
    """
    import keras

    python, numbers = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        keras.utils.set_random_seed(seed)
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numbers)  # noqa: NPY002
