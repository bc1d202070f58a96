"""MNIST: the 784-10-10-10 net taught and rounded in training, and a pruned and rounded small CNN.

TOOLKIT_DATA=FOLDER_WITH_MNIST_NPZ python benchmarks/mnist.py [--quick]

20,000 training rows, 3,000 test rows, 3 seeds (--quick: 2,000 rows, few epochs, 1 seed). Against
the net that was trained plainly on the same rows: bytes, and points lost with the one-sided 95 %
bound over rows, each row's loss being the mean over the seeds. Then zipped bytes of the CNN, PQAT
beside int8 after training.
"""

import os
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np

from toolkit import Settings, build, compress, load, predictor, train
from toolkit.metrics import Z_ONE_SIDED
from toolkit.passes import PASSES
from toolkit.recipe import Recipe

QUICK = "--quick" in sys.argv
ROWS, SEEDS, LONG, SHORT = (2_000, 1, 3, 1) if QUICK else (20_000, 3, 40, 8)
start = time.perf_counter()
splits = load(str(Path(os.environ["TOOLKIT_DATA"]) / "mnist.npz"))
splits = replace(splits, fit=replace(splits.fit, train=splits.fit.train.rows(slice(ROWS))))
folder, y = Path(tempfile.mkdtemp()), splits.test.y
ENDING = (PASSES["integer_operators"](), PASSES["pack"](), PASSES["shorten"]())


def trained(name, epochs, seed=0):
    """A net trained on labels alone."""
    settings = Settings(epochs=epochs, batch=64)
    return train(build(name, splits.fit.train, seed=seed), splits.fit, settings, seed=seed)[0]


def hits(path):
    return predictor(path)(splits.test.x).argmax(axis=1) == y


trained("cnn-large", max(LONG // 4, 2)).save(folder / "teacher.keras")
teacher = str(folder / "teacher.keras")
print(f"{ROWS:,} rows; the teacher is right in {100 * hits(teacher).mean():.2f} %")

lost, sizes = {}, {}
for seed in range(SEEDS):
    base = trained("mlp", LONG, seed)
    taught = PASSES["distil"](teacher=teacher, student="base", epochs=LONG)
    recipes = [
        Recipe(
            f"distil-{bits}-bit",
            (
                taught,
                PASSES["quantise_aware"](
                    bits=bits, epochs=SHORT, rate=1e-3, teacher=teacher, weight=0.9
                ),
                *ENDING,
            ),
        )
        for bits in (7, 4)
    ]
    found = compress(base, splits, recipes, out=folder / str(seed), seed=seed)
    right = hits(found.base.path)
    for made in found.candidates:
        mine = hits(made.path)
        lost.setdefault(made.name, []).append(100.0 * right - 100.0 * mine)
        sizes.setdefault(made.name, []).append(made.nbytes)
        print(
            f"seed {seed}: {made.name} {made.nbytes:,} B, {100 * mine.mean():.2f} % "
            f"beside {100 * right.mean():.2f} %",
            flush=True,
        )
for name, by_seed in lost.items():
    rows = np.mean(by_seed, axis=0)
    bound = rows.mean() + Z_ONE_SIDED * rows.std(ddof=1) / np.sqrt(len(rows))
    print(
        f"{name}: at most {max(sizes[name]):,} B, {rows.mean():+.2f} points lost, at most "
        f"{bound:+.2f} (one-sided 95 %)"
    )

base = trained("cnn", 3 if QUICK else 15)
recipes = [
    Recipe("int8", (PASSES["static_int8"](), PASSES["integer_operators"](), PASSES["shorten"]())),
    Recipe(
        "pqat",
        (
            PASSES["prune"](sparsity=0.8, epochs=2 if QUICK else 20),
            PASSES["quantise_aware"](epochs=SHORT, rate=5e-4),
            PASSES["integer_operators"](),
            PASSES["shorten"](),
        ),
    ),
]
found = compress(base, splits, recipes, out=folder / "cnn")
figures = {(m.subject, m.name): m for m in found.run.measurements}
plain = figures["int8", "zipped"].value
for name in ("int8", "pqat"):
    drop, zipped = figures[name, "accuracy_drop"], figures[name, "zipped"].value
    print(
        f"cnn, {name}: {zipped:,.0f} B zipped ({100 * (1 - zipped / plain):.0f} % fewer), "
        f"{figures[name, 'accuracy'].value:.2f} % right, {drop.value:+.2f} points lost "
        f"({drop.low:+.2f} to {drop.high:+.2f})"
    )
print(f"{time.perf_counter() - start:.0f} s", file=sys.stderr)
