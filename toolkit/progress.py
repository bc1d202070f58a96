"""Progress of long work, told to whoever listens in this context and to nobody else.

Work calls `tell(task, done, total)`; a caller that wants to see it wraps the work in
`listening(callback)`. Library calls therefore never print, and passes and explainers need
no extra argument for it.

>>> seen = []
>>> with listening(lambda task, done, total: seen.append((task, done, total))):
...     tell("training", 1, 10)
>>> tell("training", 2, 10)  # nobody listens any more
>>> seen
[('training', 1, 10)]
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Listener = Callable[[str, int, int], None]

HEARD = "raised by who listens to the progress of the work"
"""The note on an error of a listener, which stops the work: it may be how somebody cancels."""

_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)
_places: ContextVar[tuple[str, ...]] = ContextVar("places", default=())


def tell(task: str, done: int, total: int) -> None:
    """Tell the listener that `done` of `total` steps of `task` are finished."""
    listener = _listener.get()
    if listener is not None:
        try:
            listener(" / ".join((*_places.get(), task)), done, total)
        except Exception as error:
            error.add_note(HEARD)
            raise


@contextmanager
def under(place: str) -> Iterator[None]:
    """Name the work inside the block by where it belongs, such as a recipe and its pass.

    >>> with listening(lambda task, done, total: print(task)), under("int8"), under("tune"):
    ...     tell("train student", 1, 10)
    int8 / tune / train student
    """
    token = _places.set((*_places.get(), place))
    try:
        yield
    finally:
        _places.reset(token)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Send every `tell` made inside the block to `listener`."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


@contextmanager
def also(listener: Listener) -> Iterator[None]:
    """Send every `tell` made inside the block to `listener`, then to who listens already.

    >>> with listening(lambda *told: print(told)), also(lambda *told: print("first")):
    ...     tell("training", 1, 10)
    first
    ('training', 1, 10)
    """
    outer = _listener.get()

    def both(task: str, done: int, total: int) -> None:
        listener(task, done, total)
        if outer is not None:
            outer(task, done, total)

    with listening(both):
        yield
