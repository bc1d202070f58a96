"""Independent pieces of work: one after the other, in several processes, or on a cluster.

`working(...)` says how, once, for everything inside the block; `spread(...)` runs the pieces. What
comes out is the same whichever way, in the order of the pieces.

>>> spread(pow, [2, 3, 4], 2)
[4, 9, 16]
>>> with working(jobs=2):
...     spread(pow, [2, 3, 4], 2)
[4, 9, 16]
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TypeVar

from toolkit.errors import DeviceError, near
from toolkit.progress import tell

P = TypeVar("P")
R = TypeVar("R")

BACKENDS = ("processes", "dask")
SECONDS = 10
"""How long a scheduler may take to answer before it counts as not there."""

_TELLING = (
    "CUDA_VISIBLE_DEVICES",
    "KERAS_BACKEND",
    "TF_CPP_MIN_LOG_LEVEL",
    "TF_ENABLE_ONEDNN_OPTS",
)
"""What decides how the frameworks compute, and must be set before they are imported."""


@dataclass(frozen=True, eq=False)
class Crew:
    """Who works: this process alone, `jobs` processes, or the workers of a Dask client."""

    jobs: int = 1
    client: Any = None

    @property
    def alone(self) -> bool:
        """Whether pieces run here, one after the other."""
        return self.jobs == 1 and self.client is None

    @property
    def width(self) -> int:
        """How many pieces run at once."""
        return self.jobs if self.client is None else len(self.client.nthreads())

    @property
    def near(self) -> bool:
        """Whether all pieces see the files of this machine."""
        return self.client is None


_crew: ContextVar[Crew] = ContextVar("crew", default=Crew())  # noqa: B039  # it is frozen


def crew() -> Crew:
    """Who works in this context."""
    return _crew.get()


@contextmanager
def working(jobs: int = 1, backend: str = "processes", scheduler: str = "") -> Iterator[None]:
    """Let every `spread` inside the block run its pieces side by side.

    processes: `jobs` of them on this machine; 1 is one piece after the other, here. dask: the
    workers of the cluster whose scheduler listens at `scheduler`, such as tcp://10.0.0.5:8786,
    each of one thread. Raises DeviceError for what is not there.
    """
    if backend not in BACKENDS:
        raise DeviceError(f"unknown backend '{backend}'", near(backend, BACKENDS))
    if jobs < 1:
        raise DeviceError(f"{jobs} jobs", "1 or more", "correct it")
    if (backend == "dask") != bool(scheduler):
        raise DeviceError(
            f"backend {backend} " + (f"with scheduler {scheduler}" if scheduler else "alone"),
            "dask with the address of its scheduler, processes without one",
            "give --backend dask --scheduler ADDRESS, or neither",
        )
    if scheduler and jobs > 1:
        raise DeviceError(
            f"{jobs} jobs on a cluster", "its workers say how many run", "leave --jobs out"
        )
    client = _client(scheduler) if scheduler else None
    token = _crew.set(Crew(jobs, client))
    try:
        yield
    finally:
        _crew.reset(token)
        if client is not None:
            client.close()


def spread(
    work: Callable[..., R],
    pieces: Sequence[P],
    *common: Any,
    task: str = "",
    done: Callable[[int, R], object] | None = None,
) -> list[R]:
    """`work(piece, *common)` of every piece, in the order of `pieces`.

    work, pieces and what comes back must pickle when they leave this process. task: what progress
    is told as, a step a piece. done: called here with the place and the result of a piece as soon
    as it is there, in any order. An error of a piece is raised and ends the others.
    """
    found: dict[int, R] = {}
    _tell_of(task, 0, len(pieces))
    for place, result in _results(work, pieces, common):
        found[place] = result
        if done is not None:
            done(place, result)
        _tell_of(task, len(found), len(pieces))
    return [found[place] for place in range(len(pieces))]


def _tell_of(task: str, done: int, total: int) -> None:
    """Tell progress of a named task; work without a name is silent."""
    if task:
        tell(task, done, total)


def _results(
    work: Callable[..., R], pieces: Sequence[P], common: tuple[Any, ...]
) -> Iterator[tuple[int, R]]:
    now = crew()
    if now.alone or (len(pieces) < 2 and now.near):
        for place, piece in enumerate(pieces):
            yield place, work(piece, *common)
        return
    import joblib

    settings = {name: os.environ[name] for name in _TELLING if name in os.environ}
    threads = os.cpu_count() or 1
    if now.client is None:
        pool = joblib.parallel_config("loky", n_jobs=now.jobs, inner_max_num_threads=threads)
    else:
        pool = joblib.parallel_config(backend="dask", client=now.client)
    with pool, warnings.catch_warnings():
        # a worker that has grown or rested long is replaced, which is no news; where warnings are
        # errors this one would end loky's own thread, and no piece would ever come back
        warnings.filterwarnings("ignore", "A worker stopped while some jobs", UserWarning)
        # memory maps would be another type to whoever tells arrays by their content
        run = joblib.Parallel(
            return_as="generator_unordered", pre_dispatch="n_jobs", batch_size=1, max_nbytes=None
        )
        yield from run(
            joblib.delayed(_piece)(place, settings, threads, work, piece, *common)
            for place, piece in enumerate(pieces)
        )


def _piece(
    place: int,
    settings: dict[str, str],
    threads: int,
    work: Callable[..., R],
    piece: Any,
    *common: Any,
) -> tuple[int, R]:
    """One piece, in the process that does it."""
    import threadpoolctl

    for name, value in settings.items():
        os.environ.setdefault(name, value)
    # with another number of threads, products would be added up in another order
    with threadpoolctl.threadpool_limits(threads):
        return place, work(piece, *common)


def _client(scheduler: str) -> Any:
    """The client of a cluster whose workers compute as one process alone does."""
    try:
        import distributed
    except ImportError as error:
        raise DeviceError(
            "dask is not installed", "the package distributed", "pip install distributed"
        ) from error
    connect: Any = distributed.Client
    try:
        client = connect(scheduler, timeout=SECONDS, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        raise DeviceError(
            f"no scheduler answers at {scheduler} ({str(error)[:100]})",
            "an address such as tcp://10.0.0.5:8786",
            "start dask scheduler there",
        ) from error
    threads = client.nthreads()
    if threads and set(threads.values()) == {1}:
        return client
    client.close()
    raise DeviceError(
        f"workers at {scheduler} with {sorted(threads.values())} threads",
        "one worker or more, each of one thread, since seeds hold for a process",
        "start dask worker --nthreads 1",
    )
