"""SHAP as people call it against ours, by error from exact values and by time, in one run.

Exact values by every coalition; wine, 13 columns, 100 background rows, 5 rows, 3 seeds.

python benchmarks/explaining.py
"""

import os
import time
import warnings

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
warnings.simplefilter("ignore")

import tempfile
from itertools import product
from math import factorial
from pathlib import Path

import numpy as np
import shap

from toolkit import artifact, data, models, training
from toolkit.explainers import EXPLAINERS
from toolkit.explanation import players_of
from toolkit.exporting import export
from toolkit.predict import OnnxPredictor

splits = data.load("wine")
start = models.build("tabular", splits.fit.train)
model, _ = training.train(start, splits.fit, training.Settings(epochs=20, batch=16))
folder = Path(tempfile.mkdtemp())
path = artifact.save(export(model, splits.fit.validation).model, "base", folder).path
onnx = OnnxPredictor(path, "base")
rows = range(5)
players = players_of(splits.test, rows, splits.fit.train)
p = 13
every = np.array(list(product([False, True], repeat=p)))
size = every.sum(axis=1)
target = {r: int(onnx(splits.test.x[[r]]).argmax()) for r in rows}


def exact(row):
    """Shapley's formula over all coalitions."""
    value = players[row].value(onnx, every, target[row])
    place = {tuple(c): i for i, c in enumerate(every)}
    values = np.zeros(p)
    for i, coalition in enumerate(every):
        for j in np.flatnonzero(~coalition):
            joined = coalition.copy()
            joined[j] = True
            weight = factorial(size[i]) * factorial(p - size[i] - 1) / factorial(p)
            values[j] += weight * (value[place[tuple(joined)]] - value[i])
    return values


def common(row, predict, **settings):
    """KernelExplainer over the raw row, as its documentation calls it."""
    explainer = shap.KernelExplainer(predict, players[row].background)
    found = explainer.shap_values(splits.test.x[row], silent=True, **settings)
    return found[..., target[row]]


def keras_predict(x):
    return model.predict(x.astype(np.float32), verbose=0)


WAYS = {
    "shap, keras, default": lambda row, seed: common(row, keras_predict),
    "shap, onnx, default": lambda row, seed: common(row, onnx),
    "shap, onnx, l1 off": lambda row, seed: common(row, onnx, l1_reg=False),
    "toolkit shapley": lambda row, seed: (
        EXPLAINERS["shapley"]()(onnx, players[row], target[row], seed=seed).values
    ),
}

truth = {row: exact(row) for row in rows}
print(f"{'way':22} {'error L2':>9} {'ms a row':>9} {'same again':>11} {'zeroed':>7}")
for name, way in WAYS.items():
    seeds = (0,) if "keras" in name else (0, 1, 2)
    errors, times, zeros = [], [], []
    for seed in seeds:
        for row in rows:
            begin = time.perf_counter()
            found = way(row, seed)
            times.append(time.perf_counter() - begin)
            errors.append(np.linalg.norm(found - truth[row]))
            zeros.append(int((found == 0).sum()))
    same = np.array_equal(way(0, 0), way(0, 0))
    print(
        f"{name:22} {np.mean(errors):9.5f} {1e3 * np.median(times):9.1f} {same!s:>11} "
        f"{np.mean(zeros):7.1f}"
    )
scale = np.mean([np.linalg.norm(t) for t in truth.values()])
print(f"mean length of the exact vectors {scale:.3f}; rows and background the same for all")
