"""How much of what trying every recipe finds is found in a quarter of the trials.

python benchmarks/search.py [--quick] [--cache FOLDER]

Every recipe of `space.useful()` is made once from nets for scikit-learn's digits, seed 0. Then the
search is replayed on what each came to, and stopped after a quarter: eight seeds of its draws.
Beside it, in the same run, the peer: as many recipes drawn at random, 1,000 times. Two figures.
Room: the hypervolume of (log bytes, points lost on validation rows) below (the base, 5 points), as
a share of that of all recipes. Bytes: the smallest file that loses at most one point on validation
rows, beside the smallest of all recipes. --quick: one net and the recipes that train at most once.
--cache: a folder in which a run that was stopped goes on.
"""

import os
import sys
import time
from pathlib import Path
from tempfile import mkdtemp

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np

from toolkit import Settings, build, load, metrics, predictor, train
from toolkit.cache import Cache
from toolkit.making import begun, make
from toolkit.pareto import hypervolume
from toolkit.space import useful
from toolkit.surrogate import Trial, ranked

QUICK = "--quick" in sys.argv
SEEDS, DRAWS, LOST, REACH = 8, 1000, 1.0, 5.0
kept = Path(sys.argv[sys.argv.index("--cache") + 1] if "--cache" in sys.argv else mkdtemp())


def tried(net, splits, recipes):
    """What each recipe comes to, on validation rows, and the bytes of the base."""
    model, _ = train(build(net, splits.fit.train), splits.fit, Settings(epochs=30, batch=32))
    cache, rows = Cache(kept / net), splits.fit.validation
    source = begun(model, splits.fit, cache)
    base = predictor(source.base.content, "base")(rows.x)
    trials = []
    for recipe in recipes:
        (made,) = make([recipe], source, cache, kept / net)
        if made.error is None:
            answers = predictor(made.content, recipe.name)(rows.x)
            drop = 100 * metrics.accuracy_drop(base, answers, rows.y).value
            trials.append(Trial(recipe, len(made.content), drop, made.seconds))
        print(f"{net}: {recipe.name} {made.seconds:.0f} s {made.error or ''}", file=sys.stderr)
    return trials, len(source.base.content)


def replayed(trials, worst, count, seed):
    """The first `count` trials of a search."""
    known = {t.recipe.name: t for t in trials}
    done, rest = [], [t.recipe for t in trials]
    while len(done) < count:
        now = ranked(done, rest, worst, seed=seed)[0]
        rest.remove(now)
        done.append(known[now.name])
    return done


def room(trials, worst):
    points = np.array([[np.log(t.nbytes), t.drop] for t in trials])
    return hypervolume(points, (np.log(worst[0]), worst[1]))


def smallest(trials):
    return min((t.nbytes for t in trials if t.drop <= LOST), default=np.inf)


def spread(values):
    low, middle, high = np.quantile(values, [0.05, 0.5, 0.95])
    return f"{middle:.3f} ({low:.3f} to {high:.3f})"


start = time.perf_counter()
splits = load("digits")
print("| net | recipes | trials | | room, share of all | smallest within 1 point, x all |")
print("|---|---|---|---|---|---|")
for net in ("mlp",) if QUICK else ("mlp", "cnn"):
    recipes = [r for r in useful() if not QUICK or sum(p.stage == "keras" for p in r.passes) < 2]
    trials, nbytes = tried(net, splits, recipes)
    worst, count, rng = (float(nbytes), REACH), len(trials) // 4, np.random.default_rng(0)
    whole, least = room(trials, worst), smallest(trials)
    some = [replayed(trials, worst, count, seed) for seed in range(SEEDS)]
    random = [[trials[i] for i in rng.permutation(len(trials))[:count]] for _ in range(DRAWS)]
    for name, many in (("search", some), ("random", random)):
        shares = spread([room(one, worst) / whole for one in many])
        sizes = spread([smallest(one) / least for one in many])
        print(f"| {net} | {len(trials)} | {count} | {name} | {shares} | {sizes} |", flush=True)
    seconds = [sum(t.seconds for t in one) for one in some]
    total = sum(t.seconds for t in trials)
    print(f"{net}: {np.median(seconds):.0f} of {total:.0f} s of passes", file=sys.stderr)
    print(f"{net}: {[t.recipe.name for t in some[0]]}", file=sys.stderr)
    best = min((t for t in trials if t.drop <= LOST), key=lambda t: t.nbytes)
    print(f"{net}: smallest of all {best.recipe.name}, {best.nbytes:,} B", file=sys.stderr)
print(f"{time.perf_counter() - start:.0f} s", file=sys.stderr)
