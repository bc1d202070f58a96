"""What zeros and clusters buy: bytes, zipped bytes, accuracy and speed beside the base, on MNIST.

TOOLKIT_DATA=FOLDER_WITH_MNIST_NPZ python benchmarks/sparsity.py [--quick]

The `cnn` of the toolkit (8 and 16 filters). --quick: 3,000 training rows, 2,000 test rows, few
epochs; without it all rows and the usual epochs. Latency: one row a call, one thread, interleaved.
"""

import os
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

from toolkit import artifact, data, models, training
from toolkit.exporting import export
from toolkit.measurement import measure
from toolkit.passes import PASSES, apply
from toolkit.predict import predictor

QUICK = "--quick" in sys.argv
TRAIN, TEST, BASE, TUNED = (3_000, 2_000, 6, 6) if QUICK else (None, None, 5, 0)

start = time.perf_counter()
splits = data.load(str(Path(os.environ["TOOLKIT_DATA"]) / "mnist.npz"))
fit, test = splits.fit, splits.test.rows(slice(TEST))
fit = replace(fit, train=fit.train.rows(slice(TRAIN)))
settings = training.Settings(epochs=BASE, batch=32 if QUICK else 128)
base, _ = training.train(models.build("cnn", fit.train), fit, settings)
fit = replace(fit, base=predictor(base, "base"))
folder = Path(tempfile.mkdtemp())


def prune(**settings):
    return PASSES["prune"](epochs=TUNED, **settings)


CLUSTER = PASSES["cluster"](epochs=TUNED)
CHAINS = {
    "base": (),
    "prune 50 %": (prune(),),
    "prune 80 %": (prune(sparsity=0.8),),
    "2:4": (prune(pattern="2:4"),),
    "cluster 16": (CLUSTER,),
    "prune 50 %, cluster 16": (prune(), CLUSTER),
}
paths, seen = {}, {}
for name, passes in CHAINS.items():
    model = base
    for step in passes:
        done = apply(step, model, fit)
        model, seen[name] = done.model, done.facts.get("sparsity", {})
    plain = export(model, fit.validation).model
    for ending, onnx_passes in (("", ("shorten",)), (", packed", ("pack", "shorten"))):
        small = plain
        for step in onnx_passes:
            small = apply(PASSES[step](), small, fit).model
        if name != "base" or not ending:
            paths[name + ending] = artifact.save(small, f"{len(paths)}", folder).path

found, _ = measure(paths, test)
figures = {(m.subject, m.name): m for m in found}
print(f"{len(fit.train):,} training rows, {len(test):,} test rows; with 95 % intervals")
print(f"{'file':31} {'bytes':>7} {'zipped':>7}  {'accuracy, %':20} {'latency ratio':18} load, ms")
for name in paths:
    right, ratio = figures[name, "accuracy"], figures.get((name, "latency_ratio"))
    speed = f"{ratio.value:.3f} ({ratio.low:.3f}-{ratio.high:.3f})" if ratio else "1"
    print(
        f"{name:31} {figures[name, 'bytes'].value:7,.0f} {figures[name, 'zipped'].value:7,.0f}  "
        f"{right.value:5.2f} ({right.low:.2f}-{right.high:.2f})  {speed:18}"
        f" {figures[name, 'load'].value:5.2f}"
    )
for name, layers in seen.items():
    if layers:
        print(name, "zeros:", ", ".join(f"{k} {v:.3f}" for k, v in layers.items()))
print(f"{time.perf_counter() - start:.0f} s")
