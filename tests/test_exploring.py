import numpy as np
import pytest

from toolkit.choice import Budget, dearer
from toolkit.errors import RecipeError
from toolkit.exploring import NEAR, Explored, explore, seconds_of
from toolkit.glossary import Artifact, Measurement
from toolkit.jobs import working
from toolkit.making import Made, begun
from toolkit.mixing import Bench
from toolkit.passes import PASSES
from toolkit.progress import listening
from toolkit.recipe import Recipe
from toolkit.search import compress
from toolkit.space import useful
from toolkit.surrogate import Trial

QUICK = [r for r in useful() if r.passes[0].stage == "onnx"] + [
    Recipe(f"int8-{rows}", (PASSES["static_int8"](rows=rows), PASSES["shorten"]()))
    for rows in (20, 40, 80)
]


@pytest.fixture(scope="module")
def bench(tabular, wine, tmp_path_factory):
    from toolkit.cache import Cache

    folder = tmp_path_factory.mktemp("explored")
    cache = Cache(folder / ".cache")
    return Bench(begun(tabular, wine.fit, cache), cache, folder / ".checkpoints")


def names(found):
    return [one.recipe.name for one in found.made]


def test_all_are_tried_where_there_is_time_and_the_frontier_is_kept(bench):
    found = explore(QUICK, bench, Budget(seconds=3600))
    assert sorted(names(found)) == sorted(r.name for r in QUICK)
    assert names(found)[0] == "float16"
    kept = {one.recipe.name for one in found.frontier()}
    # a slower one beats no quicker one: the smallest that is not slower is what is taken
    steps = {n: int(np.floor(np.log(r) / np.log(NEAR))) for n, r in found.ratios.items()}
    trials = {t.recipe.name: (t.nbytes, t.drop, steps[t.recipe.name]) for t in found.trials}
    for name, own in trials.items():
        others = [its for its in trials.values() if its != own]
        beaten = any(all(i <= o for i, o in zip(its, own, strict=True)) for its in others)
        assert not (name in kept and beaten)
        assert beaten or any(trials[k] == own for k in kept)


def test_the_time_is_kept_and_a_second_search_goes_the_same_way(bench):
    whole = explore(QUICK, bench, Budget(seconds=3600))
    took = [one.seconds for one in whole.made]
    half = Budget(seconds=sum(took[:3]) * 0.999)
    found = explore(QUICK, bench, half)
    assert 1 <= len(found.made) <= 3
    # the last to be begun was expected to end in time; what is begun is finished
    assert found.seconds - found.made[-1].seconds < half.seconds
    assert names(explore(QUICK, bench, half)) == names(found)


def test_two_processes_try_two_at_a_time(bench):
    with working(jobs=2):
        found = explore(QUICK[:4], bench, Budget(seconds=3600))
    assert sorted(names(found)) == sorted(r.name for r in QUICK[:4])


def test_a_search_from_end_to_end(tabular, wine, tmp_path, bench):
    told = []
    with listening(lambda task, *_: told.append(task)):
        found = compress(
            tabular, wine, QUICK, budget=Budget(seconds=60), out=tmp_path, cache=bench.cache.folder
        )
    assert "search, seconds" in told
    assert found.run.budget["tried"].startswith(f"{len(QUICK)} of {len(QUICK)} recipes")
    assert 1 <= len(found.candidates) < len(QUICK)
    assert found.chosen in found.candidates


def test_what_more_would_cost():
    made = [Artifact(n, None, "", (), "", size) for n, size in (("s", 100), ("m", 300), ("l", 900))]
    right = [Measurement(n, "accuracy", v, "%", 500) for n, v in (("s", 90), ("m", 93), ("l", 95))]
    more, less = dearer(made[1], made, right)
    assert more.sentence.startswith("2 points more accuracy, as measured on 500 rows, cost 600 byt")
    assert less.sentence.startswith("200 bytes less cost 3 points of accuracy")
    assert (more.subject, less.subject) == ("l", "s")
    assert [f.code for f in dearer(made[0], made, right)] == ["A1"]
    assert [f.code for f in dearer(made[2], made, right)] == ["A2"]
    assert dearer(None, made, right) == ()
    # who wants more has it in fewer bytes
    right[0] = Measurement("s", "accuracy", 96, "%", 500)
    assert [f.code for f in dearer(made[1], made, right)] == ["A2"]


@pytest.mark.parametrize("text", ["10", "m", "-5m", "0s", "ten m", "5d", "²m"])
def test_times_that_are_none(text):
    with pytest.raises(RecipeError, match="90s, 10m or 1h"):
        seconds_of(text)


def test_a_slower_file_beats_no_quicker_one():
    """Smaller and as good, but slower than the base: the quick one is what a limit may ask for."""
    quick, slow, worse = (Recipe(name, (PASSES["float16"](),)) for name in ("q", "s", "w"))
    made = tuple(Made(recipe, b"x") for recipe in (quick, slow, worse))
    trials = tuple(
        Trial(r, size, 0.0, 1.0) for r, size in ((quick, 300), (slow, 100), (worse, 400))
    )
    found = Explored(made, trials, 3, 3.0, {"q": 0.95, "s": 1.2, "w": 0.97})
    assert [one.recipe.name for one in found.frontier()] == ["q", "s"]
