"""Shapley values beside shap's and shapiq's: error, time, error bars, and the same again.

TOOLKIT_DATA=FOLDER python benchmarks/shapley.py [--quick] [--only PART ...]

Models and rows: games.py. Background: 100 training rows, for pictures their mean. shapiq is a peer
where it is installed. Every peer asks the same onnxruntime session in large batches, but for the
row that says keras. Errors are squared distances from exact values, summed over players, mean over
rows and seeds, less the error of what stands for exact values where these cannot be had. Games:
cifar10 where TOOLKIT_MODELS is given. --games, --peers: only these (OddSHAP takes minutes a
picture). --only: parts, exact, beyond, clock, again, coverage, outside. --quick: less of all.
"""

import argparse
import os
import sys
import time
import warnings
from functools import partial
from importlib.metadata import version
from statistics import median

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
warnings.simplefilter("ignore")

import numpy as np
import shap
from beside import ratio
from estimators import PEERS, by_shapiq, by_us, coalition_game, shapiq
from games import QUICK, games, made_once

from toolkit.errors import RecipeError
from toolkit.explainers.shapley import Shapley
from toolkit.metrics import share

PARTS = ("exact", "beyond", "clock", "again", "coverage", "outside")
CASES = {
    "adult one-hot": ((20_000, 51_200, 204_800), 51_200),
    "breast_cancer": ((20_000, 51_200, 204_800), 51_200),
    "mnist": ((500, 1000, 2000), 1000),
    "cifar10": ((500, 1000, 2000), 1000),
}
if "TOOLKIT_MODELS" not in os.environ:
    del CASES["cifar10"]
asked = argparse.ArgumentParser()
asked.add_argument("--quick", action="store_true")
asked.add_argument("--only", nargs="*", default=PARTS, choices=PARTS)
asked.add_argument("--games", nargs="*", default=list(CASES), choices=list(CASES))
asked.add_argument("--peers", nargs="*", default=list(PEERS), choices=list(PEERS))
args = asked.parse_args()
CASES = {name: CASES[name] for name in args.games}
PEERS = {name: PEERS[name] for name in args.peers}


def error(found, truth):
    """The squared distance."""
    return float(((found - truth) ** 2).sum())


def exact_part():
    """Adult, 12 columns: time a row and error, against what people call."""
    _, net, onnx = made_once("adult")
    rows = 5
    _, all_games = games("adult", rows)
    background = all_games[0][0].background
    truth = [by_coalitions(onnx, *one) for one in all_games]

    def keras_predict(x):
        return net.predict(x.astype(np.float32), verbose=0)

    def onnx32(x):
        return onnx(np.asarray(x, np.float32))

    def kernel(predict, samples):
        def run(row):
            players, target = all_games[row]
            explainer = shap.KernelExplainer(predict, background)
            found = explainer.shap_values(players.x, nsamples=samples, l1_reg=False, silent=True)
            return found[:, target]

        return run

    def exact(row):
        players, target = all_games[row]
        explainer = shap.explainers.Exact(lambda x: onnx32(x)[:, target], background)
        return explainer(players.x[None], silent=True).values[0]

    def permutation(row):
        players, target = all_games[row]
        explainer = shap.explainers.Permutation(lambda x: onnx32(x)[:, target], background, seed=0)
        return explainer(players.x[None], max_evals=1000, silent=True).values[0]

    def ours(row):
        players, target = all_games[row]
        return Shapley()(onnx, players, target).values

    ways = {"ours": ours}
    ways["shap Kernel, onnxruntime, 512"] = kernel(onnx32, 512)
    ways["shap Kernel, onnxruntime, 2048"] = kernel(onnx32, 2048)
    ways["shap Exact, onnxruntime"] = exact
    ways["shap Permutation, onnxruntime, 1000"] = permutation
    if shapiq:
        for n in (512, 2048):
            ways[f"shapiq KernelSHAP, onnxruntime, {n}"] = lambda row, n=n: by_shapiq(
                "KernelSHAP", pairing_trick=True
            )(onnx, *all_games[row], n * 100, 0)
        ways["shapiq Exact, onnxruntime"] = lambda row: by_shapiq_exactly(onnx, *all_games[row])
    times = {name: [] for name in ways}
    errors = {name: [] for name in ways}
    for row in list(range(rows)) * (1 if QUICK else 3):
        for name, way in ways.items():
            begin = time.perf_counter()
            found = way(row)
            times[name].append(time.perf_counter() - begin)
            errors[name].append(error(found, truth[row]) ** 0.5)
    name = "shap Kernel, keras.predict, 2048"
    times[name], errors[name] = [], []
    for row in range(1 if QUICK else 3):
        ours(row)
        begin = time.perf_counter()
        found = kernel(keras_predict, 2048)(row)
        times[name].append(time.perf_counter() - begin)
        errors[name].append(error(found, truth[row]) ** 0.5)
    print(f"\nexact values: adult, 12 columns, {rows} rows one by one (distance, not squared)")
    print(f"{'way':38} {'error':>9} {'ms a row':>9} {'times ours':>11}  interval of the ratio")
    for name in ways | {"shap Kernel, keras.predict, 2048": None}:
        n = len(times[name])
        middle, low, high = ratio(times[name], times["ours"][:n])
        print(
            f"{name:38} {np.mean(errors[name]):9.1e} {1e3 * median(times[name]):9.2f} "
            f"{middle:11.1f}  {low:.1f} to {high:.1f}"
        )
    many_rows()


def many_rows():
    """The same, all rows at once."""
    onnx, more = games("adult", 100 if QUICK else 500)
    many = len(more)
    at_once = {row: players for row, (players, _) in enumerate(more)}
    targets = [target for _, target in more]
    begin = time.perf_counter()
    Shapley().several(onnx, at_once, targets)
    print(f"ours, {many} rows at once: {1e3 * (time.perf_counter() - begin) / many:.2f} ms a row")


def by_coalitions(onnx, players, target):
    """Shapley's formula over all coalitions of all players, written out."""
    from math import factorial

    p = len(players)
    every = (np.arange(2**p)[:, None] >> np.arange(p) & 1).astype(bool)
    value, size = players.value(onnx, every, target), every.sum(1)
    weight = np.array([factorial(s) * factorial(p - s - 1) / factorial(p) for s in range(p)])
    found = np.zeros(p)
    for j in range(p):
        without = np.flatnonzero(~every[:, j])
        found[j] = (weight[size[without]] * (value[without + 2**j] - value[without])).sum()
    return found


def by_shapiq_exactly(onnx, players, target):
    """ExactComputer of shapiq, built once for a row."""
    p, value = len(players), coalition_game(onnx, players, target)
    nobody = float(value(np.zeros((1, p)))[0])
    computer = shapiq.ExactComputer(n_players=p, game=lambda z: value(z) - nobody)
    found = computer("SV")
    return np.array([found[(i,)] for i in range(p)])


def truths(name, rows):
    """Exact values where they can be had, else those of a long run, and its own mean error."""
    onnx, found = games(name, rows)
    most = {"adult one-hot": 20_000_000, "breast_cancer": 3_000_000}.get(name, 24_000)
    if QUICK:
        most //= 4
    several = []
    for players, target in found:
        one = Shapley(evaluations=most)(onnx, players, target, seed=99)
        several.append(one)
    mean = float(np.mean([(one.stderr**2).sum() for one in several]))
    exact = sum(bool(one.facts["exact"]) for one in several)
    print(
        f"{name}: truth by {most:,} evaluations, exact for {exact} of {rows} rows, "
        f"its own squared error {mean:.1e}",
        flush=True,
    )
    return onnx, found, [one.values for one in several], mean


def beyond_part():
    """Squared error at equal evaluations."""
    rows, seeds = (2, 1) if QUICK else (4, 3)
    for name, (budgets, _) in CASES.items():
        onnx, found, truth, own = truths(name, rows)
        print(f"squared error at equal evaluations: {name}, {len(found[0][0])} players")
        print(f"{'way':20}" + "".join(f" {b:>11,}" for b in budgets))
        table = {}
        for way, run in ({"ours": by_us} | PEERS).items():
            table[way] = [
                np.mean(
                    [
                        error(run(onnx, *found[row], budget, seed), truth[row])
                        for row in range(rows)
                        for seed in range(seeds)
                    ]
                )
                - own
                for budget in (budgets[:1] if QUICK else budgets)
            ]
            print(f"{way:20}" + "".join(f" {e:11.2e}" for e in table[way]), flush=True)
        peers = np.min([table[way] for way in PEERS], axis=0)
        shares = table["ours"] / peers
        print(f"{'ours / best peer':20}" + "".join(f" {s:11.4f}" for s in shares))


def clock_part():
    """Squared error at equal wall time: ours is given what the quickest good peer takes."""
    rows = 2 if QUICK else 4
    for name, (_, budget) in CASES.items():
        onnx, found, truth, own = truths(name, rows)
        print(f"squared error and ms a row: {name}; ours at several numbers of evaluations")
        for way, run in ({"ours": by_us} | PEERS).items():
            for part in (1 / 8, 1 / 4, 1 / 2, 1) if way == "ours" else (1,):
                label = f"{way}, {int(part * budget):,}"
                times, errors = [], []
                for row in range(rows):
                    for seed in (7, 7):
                        # a first call makes the design; people explain more than a row
                        begin = time.perf_counter()
                        try:
                            said = run(onnx, *found[row], int(part * budget), seed)
                        except RecipeError as few:  # a row has more players than so few can tell
                            said = few
                        last = time.perf_counter() - begin
                    if isinstance(said, RecipeError):
                        print(f"{label:28} row {row}: {said.problem}, {said.allowed}")
                        break
                    times.append(last)
                    errors.append(error(said, truth[row]))
                else:
                    print(
                        f"{label:28} {np.mean(errors) - own:9.2e} {1e3 * median(times):9.1f}",
                        flush=True,
                    )


def again_part():
    """Top five of two seeds at default settings."""
    rows = 5 if QUICK else 20
    print("top five of two seeds, mean Jaccard index, default settings")
    cases = [("adult", 0), ("adult one-hot", 0), ("breast_cancer", 0), ("mnist", 16), ("mnist", 49)]
    for name, patches in cases:
        onnx, found = games(name, rows, patches or 49)
        shared, worst = [], []
        for players, target in found:
            one, two = (Shapley()(onnx, players, target, seed=s) for s in (0, 1))
            a, b = (set(np.argsort(-np.abs(x.values), kind="stable")[:5]) for x in (one, two))
            shared.append(len(a & b) / len(a | b))
            worst.append(float(one.stderr.max()))
        print(
            f"{name:14} {len(found[0][0]):3} players: {np.mean(shared):.3f} over {rows} rows, "
            f"largest standard error {max(worst):.1e}",
            flush=True,
        )


def coverage_part():
    """How often the 95 % interval holds the exact value."""
    print("\n95 % intervals that hold the exact value (of values that are not exact themselves)")
    seeds = range(3 if QUICK else 20)
    cases = (
        ("adult one-hot", 0, (10_000, 20_000, 80_000), 20_000_000),
        ("wine", 0, (6000, 20_000, 80_000), 20_000_000),
        ("mnist", 16, (300, 1000, 4000), 200_000),
    )
    for name, patches, budgets, most in cases:
        onnx, found = games(name, 4 if QUICK else 10, patches or 49)
        truth = []
        for players, target in found:
            exact = Shapley(evaluations=most)(onnx, players, target)
            truth.append(exact.values if exact.facts["exact"] else None)
        for budget in budgets:
            inside = total = 0
            for (players, target), values in zip(found, truth, strict=True):
                if values is None:
                    continue
                for seed in seeds:
                    one = Shapley(evaluations=budget)(onnx, players, target, seed=seed)
                    low, high = one.interval()
                    unsure = one.stderr > 1e-7
                    inside += int(((low <= values) & (values <= high))[unsure].sum())
                    total += int(unsure.sum())
            held = share(inside, total)
            print(
                f"{name:14} {budget:7,} evaluations: {100 * held.value:5.1f} % "
                f"({100 * held.low:.1f} to {100 * held.high:.1f}) of {total:,}",
                flush=True,
            )


class Timed:
    """A session of onnxruntime that adds up the time of its runs."""

    def __init__(self, session):
        self.session, self.seconds = session, 0.0

    def run(self, *asked):
        begin = time.perf_counter()
        found = self.session.run(*asked)
        self.seconds += time.perf_counter() - begin
        return found


class Made:
    """A predictor that wants to see every row."""

    def __init__(self, onnx):
        self.onnx = onnx
        self.name, self.classes, self.shape = onnx.name, onnx.classes, onnx.shape

    def __call__(self, x, /):
        return self.onnx(x)


def told_ratio(one, other):
    """Of interleaved times, with its interval."""
    value, low, high = ratio(one, other)
    return f"{value:.2f} ({low:.2f} to {high:.2f})"


def outside_part():
    """The share of the time that is not spent in runs of onnxruntime; and where rows are made."""
    print("\ntime outside onnxruntime, share of the whole, default settings, median of 10 rows")
    cases = [("adult", 0), ("adult one-hot", 0), ("breast_cancer", 0), ("mnist", 16), ("mnist", 49)]
    cases += [("cifar10", 49)] if "cifar10" in CASES else []
    for name, patches in cases:
        onnx, found = games(name, 10, patches or 49)
        shares, whole, made = [], [], []
        Shapley()(onnx, *found[0])
        # what is behind a dense first layer has a session of its own
        first, behind = onnx.parted or (None, onnx.session)
        timed = [Timed(s) for s in dict.fromkeys((onnx.session, behind))]
        onnx.session, onnx.parted = timed[0], first and (first, timed[-1])

        def share_of(ask, timed=timed):
            begin, inside = time.perf_counter(), sum(t.seconds for t in timed)
            ask()
            taken = time.perf_counter() - begin
            return 1 - (sum(t.seconds for t in timed) - inside) / taken, taken

        for one in found:
            share, taken = share_of(partial(Shapley(), onnx, *one))
            shares.append(share)
            whole.append(taken)
            made.append(share_of(partial(Shapley(), Made(onnx), *one))[1])
        rows = {i: players for i, (players, _) in enumerate(found)}
        together = share_of(partial(Shapley().several, onnx, rows, [t for _, t in found]))
        onnx.session, onnx.parted = timed[0].session, first and (first, behind)
        print(
            f"{name:14} {len(found[0][0]):3} players: {100 * median(shares):5.1f} % "
            f"of {1e3 * median(whole):.1f} ms a row (10 at once: {100 * together[0]:.1f} % of "
            f"{1e2 * together[1]:.1f}); x rows made: {told_ratio(whole, made)}",
            flush=True,
        )


print(f"shap {shap.__version__}, shapiq {version('shapiq') if shapiq else 'not installed'}")
begun = time.perf_counter()
for part in args.only:
    globals()[f"{part}_part"]()
print(f"\n{time.perf_counter() - begun:.0f} s", file=sys.stderr)
