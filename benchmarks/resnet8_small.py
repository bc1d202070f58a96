"""ResNet-8 with a block and channels removed, taught, in integers, against a third of the time.

TOOLKIT_DATA=FOLDER TOOLKIT_MODELS=FOLDER python benchmarks/resnet8_small.py [--quick]
    [--teacher base+FILE.keras] [--out FOLDER] [--more IMAGES.npz]

Data, models, teacher and images as in benchmarks/resnet8.py. The block that keeps its shape goes
first (6 epochs), then channels by eights until 0.47 of the remaining multiplications is gone (1
epoch); what is left is taught (45 epochs), then its weights are rounded to 7 bits (6 epochs).
"""

import argparse
import os
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np
from beside import interleaved, ratio
from lite import RESNET8, peers

from toolkit import compress, load, predictor
from toolkit.metrics import accuracy
from toolkit.passes import PASSES
from toolkit.recipe import Recipe
from toolkit.runtime import session

asked = argparse.ArgumentParser()
asked.add_argument("--quick", action="store_true")
asked.add_argument("--teacher", default="base")
asked.add_argument("--out", type=Path, default=Path(tempfile.gettempdir()) / "resnet8-small")
asked.add_argument("--more", type=Path)
args = asked.parse_args()
start = time.perf_counter()

splits = load(str(Path(os.environ["TOOLKIT_DATA"]) / "cifar10.npz"))
if args.quick:
    small = splits.fit.train.rows(slice(2_000))
    splits = replace(splits, fit=replace(splits.fit, train=small))


def epochs(count):
    return 1 if args.quick else count


def taught(student, count):
    return PASSES["distil"](
        teacher=args.teacher, student=student, temperature=4.0, weight=0.9, epochs=epochs(count)
    )


shallow = taught("base/2", 6)
thin = (
    shallow,
    PASSES["channels"](share=0.47, steps=1, epochs=epochs(1), teacher=args.teacher),
    taught("base", 45),
)
rounded = PASSES["quantise_aware"](epochs=epochs(6), rate=5e-4, teacher=args.teacher, weight=0.9)
recipes = [
    Recipe("shallow-float", (shallow, PASSES["shorten"]())),
    Recipe("thin-float", (*thin, PASSES["shorten"]())),
    Recipe("thin-int8", (*thin, rounded, PASSES["integer_operators"](), PASSES["shorten"]())),
]
model = Path(os.environ["TOOLKIT_MODELS"]) / "pretrainedResnet.h5"
found = compress(model, splits, recipes, out=args.out)
files = {a.name: a.path for a in (found.base, *found.candidates)}

tests = {"1,000 test images": (splits.test.x, splits.test.y)}
if args.more:
    with np.load(args.more, allow_pickle=False) as more:
        x, y = more["x_test"].astype(np.float32), more["y_test"].reshape(-1).astype(np.int64)
        tests[f"{len(x):,} further images"] = (x, y)
row = splits.test.x[:1]
answers, runs, sizes = {}, {}, {}
for name, path in files.items():
    opened = session(path, threads=1)
    answers[name] = predictor(path)
    runs[name] = lambda opened=opened: opened.run(None, {"input": row})
    sizes[name] = path.stat().st_size
for name, peer in peers(model.parent, RESNET8, row).items():
    answers[name], runs[name], sizes[name] = peer
times = interleaved(runs)
print(f"{'file':16} {'bytes':>8}  {'us':>6}  {'x float base':22} right, % of " + ", ".join(tests))
for name in runs:
    value, low, high = ratio(times[name], times["base"])
    right = [accuracy(answers[name](x), y) for x, y in tests.values()]
    print(
        f"{name:16} {sizes[name]:8,}  {1e6 * np.median(times[name]):6.1f}  "
        f"{value:.3f} ({low:.3f} to {high:.3f})  "
        + ", ".join(f"{100 * r.value:.2f} ({100 * r.low:.1f} to {100 * r.high:.1f})" for r in right)
    )
for made in found.candidates:
    for facts in made.facts:
        if "channels" in facts:
            print(f"{made.name}: channels {facts['channels']}, macs {facts['macs']}")
print(f"{time.perf_counter() - start:.0f} s; files in {args.out}", file=sys.stderr)
