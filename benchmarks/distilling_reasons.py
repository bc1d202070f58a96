"""What learning on rows with parts hidden buys in reasons, and what it costs in accuracy.

[TOOLKIT_DATA=FOLDER] python benchmarks/distilling_reasons.py [--quick] [--seeds 5] [--hidden 0.5]

The same student, from the same start, for the same epochs, by `distil` and by `distil_reasons`.
digits and breast_cancer of scikit-learn; with TOOLKIT_DATA also 10,000 rows of mnist.npz and of
adult.data. The teacher is the reference net for the data (`cnn`, `tabular-large`), the student
`mlp` or `tabular`. Reasons by Shapley values over 40 rows of the test part, the teacher's class;
differences are paired by seed, with Student's 95 % interval. --quick: two seeds, digits alone.
"""

import argparse
import os
import time
from dataclasses import replace
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import numpy as np
from scipy.stats import t

from toolkit import data, models
from toolkit.explainers import EXPLAINERS
from toolkit.passes import PASSES, apply
from toolkit.predict import predictor
from toolkit.studying import study
from toolkit.training import Settings, train

asked = argparse.ArgumentParser()
asked.add_argument("--quick", action="store_true")
asked.add_argument("--seeds", type=int, default=5)
asked.add_argument("--hidden", type=float, default=0.5)
asked.add_argument("--samples", type=int, default=1024)
asked.add_argument("--only", default="")
o = asked.parse_args()
SEEDS = 2 if o.quick else o.seeds
FOLDER = None if o.quick else os.environ.get("TOOLKIT_DATA")
METHOD = EXPLAINERS["shapley"](samples=o.samples)
FIGURES = ("agreement", "reason_place shapley", "reason_cosine shapley", "reason_drift shapley")
began = time.time()


def jobs():
    yield "digits", data.load("digits"), "cnn", "mlp", Settings(epochs=20, batch=32)
    if o.quick:
        return
    table = data.load("breast_cancer")
    yield "breast_cancer", table, "tabular-large", "tabular", Settings(epochs=20, batch=16)
    for name, large, small in (
        ("mnist.npz", "cnn", "mlp"),
        ("adult.data", "tabular-large", "tabular"),
    ):
        if FOLDER:
            found = data.load(Path(FOLDER) / name)
            fit = replace(found.fit, train=found.fit.train.rows(slice(10_000)))
            yield name, replace(found, fit=fit), large, small, Settings(epochs=4, batch=64)


def one(splits, teacher, student, seed):
    """Figures of both students beside their teacher, {name: accuracy and FIGURES}."""
    found = {}
    asked = [predictor(teacher, "teacher")]
    fit = replace(splits.fit, base=asked[0])
    for name, more in (("distil", {}), ("distil_reasons", {"hidden": o.hidden})):
        step = PASSES[name](teacher="base", student=student, **more)
        asked.append(predictor(apply(step, teacher, fit, seed).model, name))
    run = study(asked, splits, methods=[METHOD], rows=1, sample=40, seed=seed)
    for name in ("distil", "distil_reasons"):
        figures = [run.measured(name, "accuracy"), *(run.measured(name, f) for f in FIGURES)]
        found[name] = [m.value for m in figures]
    return found


for title, splits, large, small, settings in jobs():
    if o.only not in title:
        continue
    rows = []
    for seed in range(SEEDS):
        teacher, _ = train(
            models.build(large, splits.fit.train, seed=seed), splits.fit, settings, seed=seed
        )
        rows.append(one(splits, teacher, small, seed))
    print(f"{title}: {large} teaches {small}, {SEEDS} seeds")
    print(f"  {'':16}{'right %':>9}{'same %':>9}{'place':>9}{'cosine':>9}{'drift':>9}")
    values = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    for name, its in values.items():
        print(f"  {name:16}" + "".join(f"{v:9.3f}" for v in its.mean(axis=0)))
    gain = values["distil_reasons"] - values["distil"]
    half = t.ppf(0.975, SEEDS - 1) * gain.std(axis=0, ddof=1) / SEEDS**0.5
    for i, name in enumerate(
        ("points of accuracy", "answers as the teacher, points", "place", "cosine", "drift")
    ):
        m = gain[:, i].mean()
        print(f"  {name}: {m:+.3f} (95 %: {m - half[i]:+.3f} to {m + half[i]:+.3f})", flush=True)
print(f"{time.time() - began:.0f} s")
