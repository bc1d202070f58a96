"""ResNet-8 of MLPerf Tiny on CIFAR-10: our files beside the benchmark's own TFLite files.

TOOLKIT_DATA=FOLDER TOOLKIT_MODELS=FOLDER python benchmarks/resnet8.py [--quick]
    [--teacher base+FILE.keras] [--out FOLDER] [--more IMAGES.npz]

TOOLKIT_DATA has cifar10.npz, TOOLKIT_MODELS pretrainedResnet.h5 and its two .tflite files, which
run on ai-edge-litert (without that package the peers are left out). teacher: FILE is what
benchmarks/cifar_teacher.py made, and its answers and the base's are averaged; without it the base
alone teaches. more: further test images, as x_test and y_test. --quick: 2,000 training rows and one
epoch each, to see that all of it runs. In full: 44,000 training rows, 5,000 to choose by, 1,000 to
calibrate; seed 0; 16 epochs of distillation, then 2 for 7 bits and 6 for 4 bits.
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
asked.add_argument("--out", type=Path, default=Path(tempfile.gettempdir()) / "resnet8")
asked.add_argument("--more", type=Path)
args = asked.parse_args()
MODELS = Path(os.environ["TOOLKIT_MODELS"])
start = time.perf_counter()

splits = load(str(Path(os.environ["TOOLKIT_DATA"]) / "cifar10.npz"))
if args.quick:
    small = splits.fit.train.rows(slice(2_000))
    splits = replace(splits, fit=replace(splits.fit, train=small))


def whole(bits, epochs, teacher):
    """Rounded training, and the file of integers that comes of it."""
    epochs = 1 if args.quick else epochs
    tuned = PASSES["quantise_aware"](
        bits=bits, epochs=epochs, rate=5e-4, teacher=teacher, weight=0.9
    )
    packed = (PASSES["pack"](),) if bits == 4 else ()
    return tuned, PASSES["integer_operators"](), *packed, PASSES["shorten"]()


distilled = PASSES["distil"](
    teacher=args.teacher,
    student="base",
    temperature=4.0,
    weight=0.9,
    epochs=1 if args.quick else 16,
)
taught = () if args.teacher == "base" else (distilled,)
recipes = [
    "float16",
    "int8",
    "int8-repair",
    Recipe("distil-int8-qat", (*taught, *whole(7, 2, args.teacher))),
    Recipe("distil-int4-qat", (*taught, *whole(4, 6, args.teacher))),
]
found = compress(MODELS / "pretrainedResnet.h5", splits, recipes, out=args.out)
files = {a.name: a.path for a in (found.base, *found.candidates)}
for name, why in found.misses.items():
    print(f"{name}: {why}")

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
for name, peer in peers(MODELS, RESNET8, row).items():
    answers[name], runs[name], sizes[name] = peer

times = interleaved(runs)
quicker = min((n for n in runs if "TFLite" in n), key=lambda n: np.median(times[n]), default="base")
print(f"times beside base and beside {quicker}; 95 % intervals; one thread, one row")
print(f"{'file':24} {'bytes':>8}  {'us':>6}  {'x base':20} {'x quicker peer':20} right, %")
for name in runs:
    ours, peers = (ratio(times[name], times[other]) for other in ("base", quicker))
    right = [accuracy(answers[name](x), y) for x, y in tests.values()]
    print(
        f"{name:24} {sizes[name]:8,}  {1e6 * np.median(times[name]):6.1f}  "
        + "  ".join(f"{v:.2f} ({low:.2f} to {high:.2f})" for v, low, high in (ours, peers))
        + "  "
        + ", ".join(f"{100 * r.value:.2f} ({100 * r.low:.1f} to {100 * r.high:.1f})" for r in right)
    )
print("right of: " + ", ".join(tests))
print(f"{time.perf_counter() - start:.0f} s; files in {args.out}", file=sys.stderr)
