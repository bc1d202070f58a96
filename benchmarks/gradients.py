"""Gradients and shap's explainers by name, beside shap's GradientExplainer and exact values.

python benchmarks/gradients.py [error] [coverage] [methods]

Nets trained on the spot, seed 0: breast_cancer (30 columns), digits (cnn, 16 patches of 8x8). No
network. error: expected gradients at equal numbers of gradients, mean squared distance from all
background rows times 256 points of a line, over rows and seeds. coverage: how often the 95 %
interval holds that value. methods: every method beside exact Shapley values of the same players and
background: mean cosine, completeness gap, top five shared, rows and gradients asked.
"""

import os
import sys
import warnings

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
warnings.simplefilter("ignore")

import numpy as np
import shap

from toolkit import load, models, training
from toolkit.errors import ToolkitError
from toolkit.explainers import EXPLAINERS
from toolkit.explainers.choices import Choice, chosen
from toolkit.explainers.gradients import Expected, Integrated
from toolkit.metrics import share
from toolkit.models.keras_predictor import KerasPredictor

PARTS = sys.argv[1:] or ["error", "coverage", "methods"]
ROWS, SEEDS = 6, 5


def cases():
    """Name -> net, predictor, players of some rows and the class that each is taken for."""
    for name, kind, epochs in (("breast_cancer", "tabular", 40), ("digits", "cnn", 20)):
        splits = load(name)
        settings = training.Settings(epochs=epochs, batch=32)
        net, _ = training.train(models.build(kind, splits.fit.train), splits.fit, settings)
        predict = KerasPredictor(net, name)
        # pictures are hidden by pictures too, so that every method has the same background
        choice = Choice(hidden="background")
        players = [chosen(splits.test.x[r], splits.fit.train, choice) for r in range(ROWS)]
        answers = predict(splits.test.x)
        right = 100 * (answers.argmax(axis=1) == splits.test.y).mean()
        print(f"{name}: {right:.1f} % right, {len(players[0])} players", flush=True)
        yield name, net, predict, players, answers[:ROWS].argmax(axis=1).tolist()


def lines(predict, players, target, starts):
    """The integral of the gradient along every line, at the middles of equal parts.

    25,600 points in all; nets that bend in steps are no smoother than that.
    """
    many = 25_600 // len(starts)
    far = ((np.arange(many) + 0.5) / many).reshape(-1, *[1] * players.x.ndim)
    total = np.zeros(players.x.shape)
    for start in starts.astype(np.float64):
        line = (start + far * (players.x - start)).astype(np.float32)
        slopes = predict.gradients(line, target).astype(np.float64)
        total += slopes.mean(axis=0) * (players.x - start) / len(starts)
    return players.summed(total.reshape(-1))


def by_shap(net, players, samples, seed):
    """GradientExplainer of shap for the class that the row is taken for."""
    explainer = shap.GradientExplainer(net, players.background)
    found, _ = explainer.shap_values(
        players.x[None], nsamples=samples, ranked_outputs=1, rseed=seed
    )
    return players.summed(np.asarray(found, np.float64).reshape(-1))


def error(case, truth):
    name, net, predict, players, targets = case
    print(f"expected gradients, {name}: mean squared distance at equal numbers of gradients")
    print(f"{'gradients':>10} {'shap':>10} {'toolkit':>10} {'toolkit / shap':>15}")
    for samples in (200, 800, 3200):
        ours, theirs = [], []
        for row, target in enumerate(targets):
            for seed in range(SEEDS):
                mine = Expected(samples=samples)(predict, players[row], target, seed=seed)
                other = by_shap(net, players[row], samples, seed)
                ours.append(((mine.values - truth[row]) ** 2).sum())
                theirs.append(((other - truth[row]) ** 2).sum())
        a, b = np.mean(ours), np.mean(theirs)
        print(f"{samples:10,} {b:10.2e} {a:10.2e} {a / b:15.3f}", flush=True)


def coverage(case, truth):
    name, _, predict, players, targets = case
    starts = [p.background.mean(axis=0, dtype=np.float64).astype(np.float32) for p in players]
    ends = [lines(predict, p, t, s[None]) for p, t, s in zip(players, targets, starts, strict=True)]
    print(f"95 % intervals that hold the value, {name}")
    for way, right in ((Expected, truth), (Integrated, ends)):
        for samples in (400, 1600):
            inside = total = 0
            for row, target in enumerate(targets):
                for seed in range(20):
                    one = way(samples=samples)(predict, players[row], target, seed=seed)
                    low, high = one.interval()
                    # where nothing bends there is no error but that of 32 bits
                    unsure = one.stderr > 1e-7
                    held = (low <= right[row]) & (right[row] <= high)
                    inside, total = inside + int(held[unsure].sum()), total + int(unsure.sum())
            held = share(inside, total)
            print(
                f"{way.method:11} {samples:6,} gradients: {100 * held.value:5.1f} % "
                f"({100 * held.low:.1f} to {100 * held.high:.1f}) of {total:,}",
                flush=True,
            )


def methods(case, _):
    name, _, predict, players, targets = case
    shapley = EXPLAINERS["shapley"](samples=2**14)
    exact = [shapley(predict, p, t) for p, t in zip(players, targets, strict=True)]
    told = np.mean([one.stderr.max() for one in exact])
    print(f"methods at default settings, {name}, beside Shapley values (error {told:.0e})")
    print(f"{'method':12} {'cosine':>7} {'top five':>9} {'gap':>8} {'asked a row':>12}")
    for method, kind in sorted(EXPLAINERS.items()):
        cosines, tops, gaps, asked = [], [], [], []
        for row, target in enumerate(targets):
            try:
                one = kind()(predict, players[row], target)
            except ToolkitError as refused:
                print(f"{method:12} {refused.problem}")
                break
            a, b = one.values, exact[row].values
            cosines.append(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
            first = [set(np.argsort(-np.abs(v), kind="stable")[:5]) for v in (a, b)]
            tops.append(len(first[0] & first[1]) / len(first[0] | first[1]))
            gaps.append(abs(one.base + a.sum() - one.prediction))
            asked.append(one.evaluations)
        if not asked:
            continue
        print(
            f"{method:12} {np.mean(cosines):7.3f} {np.mean(tops):9.2f} {np.mean(gaps):8.4f} "
            f"{np.mean(asked):12,.0f}",
            flush=True,
        )


print(f"shap {shap.__version__}")
for case in cases():
    truth = None
    if set(PARTS) & {"error", "coverage"}:
        *_, predict, players, targets = case
        truth = [lines(predict, p, t, p.background) for p, t in zip(players, targets, strict=True)]
    for part in PARTS:
        {"error": error, "coverage": coverage, "methods": methods}[part](case, truth)
