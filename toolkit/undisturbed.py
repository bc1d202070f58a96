"""Python's random state, left to the caller by what draws from it unasked."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def undisturbed() -> Iterator[None]:
    """Give Python's global random state back as it was, for Keras, which draws a seed a layer.

    Numbers drawn inside are those that were drawn without it; so are those of a block of `seeded`.

    >>> random.seed(1)
    >>> with undisturbed():
    ...     first = random.random()
    >>> first == random.random()
    True
    """
    before = random.getstate()
    try:
        yield
    finally:
        random.setstate(before)
