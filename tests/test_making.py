"""What a search makes is kept: found again, side by side the same, and whole after every kill."""

import hashlib
import multiprocessing
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from toolkit.errors import DeviceError
from toolkit.jobs import working
from toolkit.passes import PASSES
from toolkit.progress import listening
from toolkit.recipe import Recipe
from toolkit.run import to_json
from toolkit.search import compress


def short(name, *passes):
    return Recipe(name, (*passes, PASSES["shorten"]()))


def rounding(rows):
    return short(f"int8-{rows}", PASSES["static_int8"](rows=rows))


def listened(*arguments, **settings):
    """A search and the work that it told of."""
    told = []
    with listening(lambda task, done, total: told.append(task)):
        found = compress(*arguments, **settings)
    return found, {task.split(" / ")[-1] for task in told if "/" in task or "measure" in task}


def undated(run):
    return to_json(replace(run, created=""))


@pytest.fixture(scope="module")
def recipes():
    taught = PASSES["distil"](epochs=1, teacher="base", student="base")
    halves = PASSES["float16"]()
    return [short("taught", taught), short("taught-half", taught, halves), short("half", halves)]


@pytest.fixture(scope="module")
def first(tabular, wine, recipes, tmp_path_factory):
    out = tmp_path_factory.mktemp("first")
    found, worked = listened(tabular, wine, recipes, out=out)
    assert "train student" in worked
    return found, out


def test_a_second_run_works_at_nothing_and_gives_the_same(first, tabular, wine, recipes):
    found, out = first
    again, worked = listened(tabular, wine, recipes, out=out)
    assert worked == set()
    assert undated(again.run) == undated(found.run)


def test_another_folder_finds_what_a_shared_cache_holds(first, tabular, wine, recipes, tmp_path):
    found, out = first
    again, worked = listened(tabular, wine, recipes, out=tmp_path, cache=out / ".cache")
    assert worked == set()
    assert [a.sha256 for a in again.candidates] == [a.sha256 for a in found.candidates]
    assert not (tmp_path / ".cache").exists()


def test_a_new_recipe_goes_on_from_what_was_trained(first, tabular, wine, recipes, tmp_path):
    more = short("taught-int8", recipes[0].passes[0], PASSES["static_int8"]())
    _, worked = listened(tabular, wine, [more], out=tmp_path, cache=first[1] / ".cache")
    assert "train student" not in worked
    assert "measure latency" in worked


def test_another_seed_or_other_rows_find_nothing(first, tabular, wine, recipes, tmp_path):
    cache = first[1] / ".cache"
    _, worked = listened(tabular, wine, recipes[:1], out=tmp_path, cache=cache, seed=1)
    assert "train student" in worked
    fewer = replace(wine, fit=replace(wine.fit, train=wine.fit.train.rows(slice(1, None))))
    _, worked = listened(tabular, fewer, recipes[:1], out=tmp_path, cache=cache)
    assert "train student" in worked


def test_processes_give_what_one_alone_gives(first, tabular, wine, recipes, tmp_path):
    with working(jobs=2):
        found = compress(tabular, wine, recipes, out=tmp_path)
    assert [a.name for a in found.candidates] == [r.name for r in recipes]
    for mine, its in zip(found.candidates, first[0].candidates, strict=True):
        assert tensors(mine.path) == tensors(its.path)
    assert not (tmp_path / ".checkpoints").exists()


def tensors(path):
    """The weights of a file; names of nodes count up in a process and are left out."""
    return sorted(
        onnx.numpy_helper.to_array(t).tobytes() for t in onnx.load(path).graph.initializer
    )


def test_a_cluster_gives_what_one_alone_gives(cluster, first, tabular, wine, recipes):
    out = first[1] / "cluster"
    with working(backend="dask", scheduler=cluster):
        found = compress(tabular, wine, recipes, out=out)
    for mine, its in zip(found.candidates, first[0].candidates, strict=True):
        assert tensors(mine.path) == tensors(its.path)
    # what came over the network is kept here
    _, worked = listened(tabular, wine, recipes, out=out)
    assert worked == set()


def test_a_recipe_that_cannot_be_run_stops_no_other_in_any_process(tabular, wine, tmp_path):
    bad = short("bad", PASSES["distil"](epochs=1, teacher=str(tmp_path / "none.keras")))
    with working(jobs=2):
        found = compress(tabular, wine, [bad, short("half", PASSES["float16"]())], out=tmp_path)
    assert [a.name for a in found.candidates] == ["half"]
    assert "none.keras" in found.misses["bad"]


def test_jobs_on_several_devices_are_refused(tabular, wine, tmp_path, monkeypatch):
    from toolkit import making
    from toolkit.devices import Place

    monkeypatch.setattr(making, "here", lambda: Place("2 x CPU", strategy=object()))
    with working(jobs=2), pytest.raises(DeviceError, match="leave --jobs out"):
        compress(tabular, wine, ["float16"], out=tmp_path)


MANY = [rounding(rows) for rows in range(10, 1000, 5)]
"""More than any machine makes between ten kills."""


def searched(model, out):
    """A search in a process of its own; of a graph, so that nothing waits for TensorFlow."""
    from toolkit.data import load

    sys.stderr = None
    compress(Path(model), load("digits"), MANY, out=out)


def entries(out):
    return list((out / ".cache").glob("[!.]*.entry"))


def whole(out):
    """The entries of a cache, each of them proven, and a proof that every model file loads."""
    for path in out.glob("[!.]*.onnx"):
        onnx.checker.check_model(onnx.load(path))
    found = set()
    for path in entries(out):
        told, rest = path.read_bytes().split(b"\n", 1)
        assert hashlib.sha256(rest).hexdigest().encode() == told, path
        found.add(path)
    return found


def test_ten_kills_at_random_moments_lose_nothing_that_was_finished(frontier, digits, tmp_path):
    # a server that has what is needed loaded, and nothing of it running, forks each search
    around = multiprocessing.get_context("forkserver")
    around.set_forkserver_preload(["onnxruntime.quantization", "toolkit.search"])
    base = frontier.base.path
    rng, out = np.random.default_rng(0), tmp_path / "killed"
    kept = set()
    for kill in range(10):
        child = around.Process(target=searched, args=(str(base), str(out)))
        child.start()
        # every second time a candidate more is waited for, so that there is something to lose
        until = time.monotonic() + 120
        while len(entries(out)) < len(kept) + kill % 2 and time.monotonic() < until:
            time.sleep(0.01)
        child.join(rng.uniform(0, 0.2))
        child.kill()
        child.join()
        assert child.exitcode == -signal.SIGKILL
        now = whole(out)
        assert kept <= now
        kept = now
    assert 5 <= len(kept) < 1 + len(MANY)
    # what was kept is used and not made again
    before = {path: path.stat().st_mtime_ns for path in kept}
    found = compress(base, digits, MANY[: len(kept) + 1], out=out)
    assert {path: path.stat().st_mtime_ns for path in kept} == before
    # and it is what an undisturbed search makes
    straight = compress(base, digits, MANY[:5], out=tmp_path / "straight")
    for mine, its in zip(found.candidates, straight.candidates, strict=False):
        assert tensors(mine.path) == tensors(its.path)
    assert not (out / ".checkpoints").exists()
