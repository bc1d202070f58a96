"""How much of what trying every recipe finds is found in a quarter of the trials.

python benchmarks/search.py [--quick] [--drawn] [--cache FOLDER]

Every recipe of `space.useful()` is made once from nets for scikit-learn's sets, seed 0. Then the
search is replayed on what each came to, eight seeds of its draws: by trials, and stopped after a
quarter of them; and as `compress --budget` goes, by time, with a quarter of what all take. Beside
each, in the same run, the peer: recipes drawn at random, 1,000 times, until as many or as long.
Two figures.
Room: the hypervolume of (log bytes, points lost on validation rows) below (the base, 5 points), as
a share of that of all recipes. Bytes: the smallest file that loses at most one point on validation
rows, beside the smallest of all recipes. --quick: one net and the recipes that train at most once.
--drawn: no nets, but 30 landscapes that are drawn: effects of beginnings and endings that add up,
and chance of 3 % of the bytes and 0.15 points; in every second one endings also hurt what has lost
already, and the file has a part that nothing makes smaller. One seed each.
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
from toolkit.surrogate import Trial, expected_seconds, ranked

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


def hurried(trials, worst, allowed, seed):
    """The trials of a search that has so many seconds, as `toolkit.exploring` goes about it."""
    known = {t.recipe.name: t for t in trials}
    done, rest, spent = [], [t.recipe for t in trials], 0.0
    while rest and spent < allowed:
        order = ranked(done, rest, worst, hurried=True, seed=seed)
        if done:
            took = dict(zip((r.name for r in rest), expected_seconds(done, rest), strict=True))
            order = [r for r in order if spent + took[r.name] <= allowed]
        if not order:
            break
        rest.remove(order[0])
        done.append(known[order[0].name])
        spent += done[-1].seconds
    return done


def while_there_is_time(trials, allowed):
    """The first of the trials, the last of which begins before the time is over."""
    begins = np.cumsum([0.0] + [t.seconds for t in trials[:-1]])
    return [t for t, begin in zip(trials, begins, strict=True) if begin < allowed]


def room(trials, worst):
    points = np.array([[np.log(t.nbytes), t.drop] for t in trials])
    return hypervolume(points, (np.log(worst[0]), worst[1]))


def smallest(trials):
    return min((t.nbytes for t in trials if t.drop <= LOST), default=np.inf)


def drawn(seed):
    """What each recipe comes to in a drawn landscape, and the bytes of its base."""
    rng = np.random.default_rng(seed)
    base, fixed = rng.choice([20_000, 80_000, 300_000]), 0
    worse = seed % 2 * 0.5
    if worse:
        fixed = rng.choice([300, 2_000, 6_000])
    harm = {"int8": 0.6, "int8-dynamic": 0.3, "int8-qat": 0.2, "int4-qat": 1.0, "int4-weights": 0.8}
    harm = {name: rng.exponential(mean) for name, mean in harm.items()} | {"float16": 0.0, "": 0.0}
    left = {"": 1, "float16": 0.5, "int8": 0.27, "int8-dynamic": 0.3, "int8-qat": 0.26}
    left |= {"int4-qat": 0.15, "int4-weights": 0.17}
    steep, begun, trials = rng.exponential(2.5), {}, []
    for recipe in useful():
        ends = [e for e in left if e and f"-{recipe.name}".endswith(f"-{e}")]
        end = max(ends, key=len, default="")
        start = recipe.name.removesuffix(end).rstrip("-")
        if start not in begun:
            width = {"25": 0.25, "50": 0.5, "75": 0.75}.get(start.split("-")[-1], 1.0)
            share = width**2 if start.startswith("distil") else width
            begun[start] = (share, steep * (1 - width) ** 2 + bool(start) * rng.normal(0, 0.3))
        share, lost = begun[start]
        nbytes = fixed + base * share * left[end] * rng.uniform(0.97, 1.03)
        lost += harm[end] * (1 + worse * max(lost, 0)) + rng.normal(0, 0.15)
        trials.append(Trial(recipe, int(nbytes), float(lost), 1.0))
    return trials, int(base + fixed)


def spread(values):
    low, middle, high = np.quantile(values, [0.05, 0.5, 0.95])
    return f"{middle:.3f} ({low:.3f} to {high:.3f})"


start = time.perf_counter()
print("| net | recipes | trials | | room, share of all | smallest within 1 point, x all |")
print("|---|---|---|---|---|---|")
if "--drawn" in sys.argv:
    found = {"search": [], "random": []}
    for seed in range(30):
        trials, nbytes = drawn(seed)
        worst, count, rng = (float(nbytes), REACH), len(trials) // 4, np.random.default_rng(seed)
        whole, least = room(trials, worst), smallest(trials)
        random = [[trials[i] for i in rng.permutation(len(trials))[:count]] for _ in range(30)]
        for name, many in (("search", [replayed(trials, worst, count, seed)]), ("random", random)):
            found[name] += [(room(m, worst) / whole, smallest(m) / least) for m in many]
    for name, pairs in found.items():
        shares, sizes = (spread(values) for values in zip(*pairs, strict=True))
        print(f"| drawn | {len(trials)} | {count} | {name} | {shares} | {sizes} |", flush=True)
    sys.exit()
NETS = (
    {"mlp": "digits"} if QUICK else {"mlp": "digits", "cnn": "digits", "tabular": "breast_cancer"}
)
for net, data in NETS.items():
    splits = load(data)
    recipes = [r for r in useful() if not QUICK or sum(p.stage == "keras" for p in r.passes) < 2]
    trials, nbytes = tried(net, splits, recipes)
    worst, count, rng = (float(nbytes), REACH), len(trials) // 4, np.random.default_rng(0)
    whole, least = room(trials, worst), smallest(trials)
    total = sum(t.seconds for t in trials)
    dealt = [[trials[i] for i in rng.permutation(len(trials))] for _ in range(DRAWS)]
    found = {
        "search": [replayed(trials, worst, count, seed) for seed in range(SEEDS)],
        "random": [one[:count] for one in dealt],
        "search, by time": [hurried(trials, worst, total / 4, seed) for seed in range(SEEDS)],
        "random, by time": [while_there_is_time(one, total / 4) for one in dealt],
    }
    for name, many in found.items():
        shares = spread([room(one, worst) / whole for one in many])
        sizes = spread([smallest(one) / least for one in many])
        tries = sorted({len(one) for one in many})
        tries = f"{tries[0]} to {tries[-1]}" if tries[1:] else tries[0]
        print(f"| {net} | {len(trials)} | {tries} | {name} | {shares} | {sizes} |", flush=True)
        seconds = [sum(t.seconds for t in one) for one in many]
        print(f"{net}, {name}: {np.median(seconds):.0f} of {total:.0f} s", file=sys.stderr)
    print(f"{net}: {[t.recipe.name for t in found['search'][0]]}", file=sys.stderr)
    best = min((t for t in trials if t.drop <= LOST), key=lambda t: t.nbytes)
    print(f"{net}: smallest of all {best.recipe.name}, {best.nbytes:,} B", file=sys.stderr)
print(f"{time.perf_counter() - start:.0f} s", file=sys.stderr)
