"""Random seeds that hold inside a block and leave the caller's random state as it was."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np


@contextmanager
def seeded_numpy(seed: int) -> Iterator[None]:
    """Seed Python's and numpy's global generators inside the block, for libraries that use them.

    >>> before = np.random.get_state()[1].copy()
    >>> with seeded_numpy(1):
    ...     first = np.random.rand()
    >>> with seeded_numpy(1):
    ...     bool(first == np.random.rand()), bool((np.random.get_state()[1] == before).all())
    (True, False)
    >>> bool((np.random.get_state()[1] == before).all())
    True
    """
    python, numbers = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numbers)  # noqa: NPY002


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed Python, numpy and TensorFlow (through Keras) inside the block.

    TensorFlow's global seed has no public getter, so it stays at `seed` afterwards.
    """
    import keras

    with seeded_numpy(seed):
        keras.utils.set_random_seed(seed)
        yield
