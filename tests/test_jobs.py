import os
import warnings

import pytest

from toolkit.errors import DeviceError, ModelError
from toolkit.jobs import crew, spread, working
from toolkit.progress import listening


def times(piece, by):
    return piece * by, os.getpid()


def slow_first(piece):
    import time

    time.sleep(0.5 if piece == 0 else 0)
    return piece


def failing(piece):
    if piece == 2:
        raise ModelError("piece 2 is bad", "a good one", "mend it")
    return piece


def growing(piece):
    """Holds what it made, as long as a worker of loky may take before it is looked at again."""
    import time

    if piece > 1:
        kept.append(b"0" * 400_000_000)
    time.sleep(1.1)
    return piece


kept: list[bytes] = []


def factored(seed):
    """What numpy's linear algebra makes of a matrix, bit for bit."""
    import numpy as np

    return np.linalg.svd(np.random.default_rng(seed).normal(size=(300, 200)))[0].tobytes()


def test_alone_in_processes_and_on_a_cluster_the_same_comes_out_in_the_same_order(cluster):
    pieces = list(range(6))
    with working():
        alone = spread(times, pieces, 7)
    assert {pid for _, pid in alone} == {os.getpid()}
    with working(jobs=2):
        processes = spread(times, pieces, 7)
    with working(backend="dask", scheduler=cluster):
        workers = spread(times, pieces, 7)
    for found in (processes, workers):
        assert [value for value, _ in found] == [value for value, _ in alone]
        assert os.getpid() not in {pid for _, pid in found}
    assert len({pid for _, pid in workers}) == 2


def test_the_same_bits_elsewhere(cluster):
    """Those of trainings are compared where a search is spread."""
    with working(jobs=2):
        processes = spread(factored, [0, 1])
    with working(backend="dask", scheduler=cluster):
        workers = spread(factored, [0, 1])
    assert processes == workers == spread(factored, [0, 1])


def test_what_is_done_is_handed_over_at_once():
    order = []
    with working(jobs=2):
        found = spread(slow_first, [0, 1, 2, 3], done=lambda place, _: order.append(place))
    assert found == [0, 1, 2, 3]
    assert sorted(order) == found
    assert order[0] != 0  # a piece that is ready does not wait for those before it


def test_a_worker_that_has_grown_is_replaced_without_a_word():
    with warnings.catch_warnings(record=True) as heard, working(jobs=2):
        warnings.simplefilter("always")
        assert spread(growing, list(range(6))) == list(range(6))
    assert not heard


def test_progress_is_told_for_each_piece():
    told = []
    with listening(lambda *said: told.append(said)), working(jobs=2):
        spread(times, [1, 2, 3], 2, task="rows")
    assert told == [("rows", n, 3) for n in range(4)]


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_error_of_a_piece_is_the_error(jobs):
    with working(jobs=jobs), pytest.raises(ModelError, match="piece 2 is bad; a good one; mend it"):
        spread(failing, [1, 2, 3])


def test_the_block_ends():
    with working(jobs=3):
        assert crew().jobs == 3
    assert crew().alone


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"backend": "desk"}, "did you mean dask"),
        ({"jobs": 0}, "0 jobs"),
        ({"backend": "dask"}, "--scheduler ADDRESS"),
        ({"scheduler": "tcp://127.0.0.1:1"}, "--scheduler ADDRESS"),
        ({"backend": "dask", "scheduler": "nothing at all"}, "no scheduler answers"),
    ],
)
def test_refusals(settings, said):
    with pytest.raises(DeviceError, match=said), working(**settings):
        pass


def test_jobs_and_a_cluster_are_refused_together(cluster):
    with (
        pytest.raises(DeviceError, match="leave --jobs out"),
        working(2, "dask", cluster),
    ):
        pass
