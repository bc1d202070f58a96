"""LIME here beside the lime package, in one run: how alike two seeds are, and how long it takes.

TOOLKIT_DATA=FOLDER python benchmarks/lime_beside.py [rows] [pictures] [time] [--quick]

rows: a net of adult.data, 40 rows, 5 seeds; the mean Jaccard index of the five foremost columns
over all pairs of seeds, with a 95 % bootstrap interval over rows. pictures: a CNN of MNIST, 20
pictures in about 58 superpixels, where chance rules at lime's 1,000 samples; stable mode beside it.
time: the 784-10-10-10 net, 100 pictures, 1,000 samples each, lime over model.predict as it is
called, and over onnxruntime in one batch. Ratios are of medians of interleaved repeats.
--quick: 12 rows, 6 pictures, 4 timed pictures.
"""

import os
import sys
import tempfile
import time
import warnings
from dataclasses import replace
from itertools import combinations
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
warnings.simplefilter("ignore")

import numpy as np
from lime import lime_image
from lime.lime_tabular import LimeTabularExplainer

from toolkit import artifact, data, models, training
from toolkit.explainers.lime import Lime
from toolkit.explainers.players import superpixels
from toolkit.explainers.surrogate import foremost, jaccard
from toolkit.explanation import players_of
from toolkit.exporting import export
from toolkit.predict import OnnxPredictor

QUICK = "--quick" in sys.argv
PARTS = [a for a in sys.argv[1:] if not a.startswith("-")] or ["rows", "pictures", "time"]
ROWS, PICTURES, TIMED, SEEDS = (12, 6, 4, 4) if QUICK else (40, 20, 100, 5)
folder, here = Path(tempfile.mkdtemp()), Path(os.environ["TOOLKIT_DATA"])
lime_image.tqdm = iter


def trained(splits, kind, epochs):
    start = models.build(kind, splits.fit.train)
    model, _ = training.train(start, splits.fit, training.Settings(epochs=epochs, batch=256))
    made = export(model, splits.fit.validation).model
    return model, OnnxPredictor(artifact.save(made, kind, folder).path, kind)


def alike(tops):
    """Jaccard index of each row over all pairs of seeds: mean and interval over rows."""
    rows = np.array([np.mean([jaccard(a, b) for a, b in combinations(t, 2)]) for t in tops])
    drawn = rows[np.random.default_rng(0).integers(0, len(rows), (2000, len(rows)))].mean(axis=1)
    low, high = np.quantile(drawn, (0.025, 0.975))
    return f"{rows.mean():.3f} [{low:.3f}, {high:.3f}]", rows


def timed(work, *arguments, **named):
    begin = time.perf_counter()
    found = work(*arguments, **named)
    return found, time.perf_counter() - begin


def rows():
    splits = data.load(here / "adult.data")
    _, net = trained(splits, "tabular", 3)
    train, test = splits.fit.train, splits.test
    right = (net(test.x).argmax(axis=1) == test.y).mean()
    picked = np.random.default_rng(0).permutation(len(test))[:ROWS].tolist()
    players = players_of(test, picked, train)
    targets = [int(net(test.x[[r]]).argmax()) for r in picked]
    print(f"rows: {len(train):,} training rows, {100 * right:.1f} % right, {ROWS} rows explained")

    def theirs(row, seed, target, samples):
        explainer = LimeTabularExplainer(
            train.x.astype(np.float64), categorical_features=list(train.categories),
            random_state=seed,
        )  # fmt: skip
        found, seconds = timed(
            explainer.explain_instance, test.x[row].astype(np.float64),
            lambda x: net(x.astype(np.float32)),
            labels=(target,), num_features=5, num_samples=samples,
        )  # fmt: skip
        return frozenset(player for player, _ in found.local_exp[target]), seconds

    ways = {
        "lime, 5,000 samples": lambda r, s, t: theirs(r, s, t, 5000),
        "lime, 20,000 samples": lambda r, s, t: theirs(r, s, t, 20_000),
        "toolkit, 5,000 samples": (Lime(samples=5000),),
        "toolkit, default": (Lime(),),
        "toolkit, stable": (Lime(stable=True),),
        "toolkit, numbers kept": (Lime(bins=0),),
    }
    tops = {name: [[] for _ in picked] for name in ways}
    heavy = {name: [[] for _ in picked] for name in ways}
    times = {name: [] for name in ways}
    marks = {name: [] for name in ways}
    for seed in range(SEEDS):
        for i, (row, target) in enumerate(zip(picked, targets, strict=True)):
            for name, way in ways.items():
                if callable(way):
                    top, seconds = way(row, seed, target)
                    weighed = top
                else:
                    found, seconds = timed(way[0], net, players[row], target, seed=seed)
                    top = foremost(found.values, 5)
                    weighed = foremost(np.array(found.facts["weights"]), 5)
                    marks[name].append(found.facts["stable"])
                tops[name][i].append(top)
                heavy[name][i].append(weighed)
                times[name].append(seconds)
    print(f"{'way':24} {'by value':22} {'by weight':22} {'ms a row':>9} {'stable':>7}")
    for name in ways:
        share = f"{100 * np.mean(marks[name]):6.0f}%" if marks[name] else ""
        print(
            f"{name:24} {alike(tops[name])[0]:22} {alike(heavy[name])[0]:22} "
            f"{1e3 * np.median(times[name]):9.1f} {share:>7}"
        )
    several = {r: players[r] for r in picked}
    one, other = [], []
    for seed in range(3):
        one.append(timed(Lime().several, net, several, targets, seed=seed)[1])
        work = [(r, seed, t, 5000) for r, t in zip(picked, targets, strict=True)]
        other.append(timed(lambda all_of_it: [theirs(*one) for one in all_of_it], work)[1])
    print(
        f"all rows together, sharing samples: {1e3 * np.median(one) / ROWS:.1f} ms a row; "
        f"lime at 5,000, with making its explainer, {1e3 * np.median(other) / ROWS:.1f} ms a row"
    )


def mnist():
    splits = data.load(here / "mnist.npz")
    some = splits.fit.train.rows(slice(10_000 if QUICK else 20_000))
    return replace(splits, fit=replace(splits.fit, train=some))


def lime_of(players, net, target, settings):
    samples, seed, batch = settings
    return lime_image.LimeImageExplainer(random_state=seed).explain_instance(
        players.x, net, labels=(target,), top_labels=None, hide_color=players.background[0],
        num_features=len(players), num_samples=samples, batch_size=batch,
        segmentation_fn=lambda _: players.segments, random_seed=seed,
    )  # fmt: skip


def pictures():
    splits = mnist()
    _, net = trained(splits, "cnn", 2)
    train = splits.fit.train.rows(slice(2000))
    picked = np.random.default_rng(0).permutation(len(splits.test))[:PICTURES]
    x = splits.test.x[picked]
    # asked for more than there will be: SLIC joins small regions
    players = [superpixels(one, train, patches=80) for one in x]
    targets = net(x).argmax(axis=1).tolist()
    sizes = [len(p) for p in players]
    print(f"pictures: {PICTURES} of MNIST in {np.mean(sizes):.0f} superpixels on average")
    ways = {
        "lime, 1,000 samples": 1000,
        "toolkit, 1,000 samples": Lime(samples=1000),
        "toolkit, default": Lime(),
        "toolkit, stable": Lime(stable=True),
    }
    print(f"{'way':24} {'Jaccard of two seeds':22} {'samples':>8} {'s a picture':>11}")
    for name, way in ways.items():
        tops, times, asked, marks = [[] for _ in x], [], [], []
        for seed in range(SEEDS):
            for i, (one, target) in enumerate(zip(players, targets, strict=True)):
                if isinstance(way, int):
                    found, seconds = timed(lime_of, one, net, target, (way, seed, 1024))
                    top = frozenset(player for player, _ in found.local_exp[target][:5])
                    asked.append(way)
                else:
                    found, seconds = timed(way, net, one, target, seed=seed)
                    top = foremost(found.values, 5)
                    asked.append(found.facts["samples"])
                    marks.append(found.facts["stable"])
                tops[i].append(top)
                times.append(seconds)
        text, of_row = alike(tops)
        print(f"{name:24} {text:22} {np.mean(asked):8,.0f} {np.median(times):11.2f}")
        if marks and (isinstance(way, Lime) and way.stable):
            sure = np.array(marks).reshape(SEEDS, -1).mean(axis=0)
            for label, where in (("stable", sure > 0.5), ("unstable", sure <= 0.5)):
                told = f"{of_row[where].mean():.3f}" if where.any() else "none"
                print(f"  marked {label} (most seeds): {where.sum()} pictures, Jaccard {told}")


def spent():
    splits = mnist()
    model, net = trained(splits, "mlp", 2)
    picked = range(TIMED)
    players = players_of(splits.test, picked, splits.fit.train.rows(slice(2000)))
    targets = net(splits.test.x[:TIMED]).argmax(axis=1).tolist()
    ways = {
        "lime over model.predict": lambda p, t: lime_of(
            p, lambda x: model.predict(x.astype(np.float32), verbose=0), t, (1000, 0, 10)
        ),
        "lime over onnxruntime": lambda p, t: lime_of(
            p, lambda x: net(x.astype(np.float32)), t, (1000, 0, 1024)
        ),
        "toolkit over onnxruntime": lambda p, t: Lime(samples=1000)(net, p, t),
    }
    times = {name: [] for name in ways}
    for row, target in zip(picked, targets, strict=True):
        for name, way in ways.items():
            times[name].append(timed(way, players[row], target)[1])
    print(f"time: {TIMED} pictures of 28x28 in 16 patches, 1,000 samples, the 784-10-10-10 net")
    ours = np.median(times["toolkit over onnxruntime"])
    for name, seconds in times.items():
        middle = np.median(seconds)
        print(f"{name:26} {1e3 * middle:9.1f} ms a picture, {middle / ours:7.1f} times ours")


for part in PARTS:
    {"rows": rows, "pictures": pictures, "time": spent}[part]()
