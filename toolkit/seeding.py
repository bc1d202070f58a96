"""Random seeds that hold inside a block and leave the caller's random state as it was."""

from __future__ import annotations

import functools
import random
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np

_shared_randint = random.randint
_lock = threading.Lock()
_blocks = 0
_ordered, _limits = 0, ExitStack()


class _Own(threading.local):
    """The generator of a thread that is inside `seeded`."""

    dice: random.Random | None = None


_own = _Own()


def _randint(a: int, b: int) -> int:
    return _shared_randint(a, b) if _own.dice is None else _own.dice.randint(a, b)


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


@functools.cache
def _blas() -> Any:
    # scipy brings a BLAS of its own, which a controller that was made before it would not know
    import scipy.linalg.lapack  # noqa: F401
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


@contextmanager
def in_one_order() -> Iterator[None]:
    """Let BLAS add in one order inside: on more threads sums differ in their last bits.

    The limit is one for the process: the first block that is entered sets it, the last ends it.
    """
    global _ordered  # noqa: PLW0603
    with _lock:
        _ordered += 1
        if _ordered == 1:
            _limits.enter_context(_blas().limit(limits=1, user_api="blas"))
    try:
        yield
    finally:
        with _lock:
            _ordered -= 1
            if not _ordered:
                _limits.close()


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed Python, numpy and TensorFlow (through Keras) inside the block.

    TensorFlow's global seed has no public getter, so it stays at `seed` afterwards. Keras takes the
    seed of every layer from `random.randint`, which other threads (those of a Dask worker, for one)
    draw from too: inside the block this thread has a generator of its own there.
    """
    import keras

    with seeded_numpy(seed), _own_dice(seed):
        keras.utils.set_random_seed(seed)
        yield


@contextmanager
def _own_dice(seed: int) -> Iterator[None]:
    global _blocks  # noqa: PLW0603
    before, _own.dice = _own.dice, random.Random(seed)  # noqa: S311  # no secret
    with _lock:
        _blocks += 1
        random.randint = _randint
    try:
        yield
    finally:
        _own.dice = before
        with _lock:
            _blocks -= 1
            if not _blocks:
                random.randint = _shared_randint
