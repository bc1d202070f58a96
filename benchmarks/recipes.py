"""What each recipe saves and costs: bytes, zipped bytes, time and accuracy beside the base.

TOOLKIT_DATA=FOLDER_WITH_MNIST_NPZ python benchmarks/recipes.py [--quick] [RECIPE ...]

The `cnn` and the `mlp` of the toolkit on 10,000 rows of MNIST, every recipe that comes with it or
those that are named, seed 0, 3,000 test rows. --quick: the `mlp` alone, every eighth recipe, 500
training and 1,000 test rows. 95 % intervals; one row a call, one thread, interleaved with the base.
"""

import os
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

from toolkit import Settings, build, compress, load, train
from toolkit.recipe import known

QUICK = "--quick" in sys.argv
NAMED = [name for name in sys.argv[1:] if not name.startswith("-")]
start = time.perf_counter()
splits = load(str(Path(os.environ["TOOLKIT_DATA"]) / "mnist.npz"))
train_rows, test_rows = (500, 1_000) if QUICK else (10_000, 3_000)
fit = replace(splits.fit, train=splits.fit.train.rows(slice(train_rows)))
splits = replace(splits, fit=fit, test=splits.test.rows(slice(test_rows)))

for net in ("mlp",) if QUICK else ("cnn", "mlp"):
    settings = Settings(epochs=20 if QUICK else 10)
    model, _ = train(build(net, splits.fit.train), splits.fit, settings)
    recipes = NAMED or known()[:: 8 if QUICK else 1]
    found = compress(model, splits, recipes, out=Path(tempfile.mkdtemp()))
    figures = {(m.subject, m.name): m for m in found.run.measurements}
    print(f"\n{net}: {len(splits.fit.train):,} training rows, {len(splits.test):,} test rows")
    print("| recipe | bytes | zipped | time, x base | right, % | points lost |")
    print("|---|---|---|---|---|---|")
    for made in (found.base, *found.candidates):
        size, zipped = (figures[made.name, n].value for n in ("bytes", "zipped"))
        right = figures[made.name, "accuracy"].value
        ratio, lost = (figures.get((made.name, n)) for n in ("latency_ratio", "accuracy_drop"))
        said = [f"{m.value:.2f} ({m.low:.2f} to {m.high:.2f})" if m else "" for m in (ratio, lost)]
        cells = (made.name, f"{size:,.0f}", f"{zipped:,.0f}", said[0], f"{right:.1f}", said[1])
        print(f"| {' | '.join(cells)} |", flush=True)
    for name, why in found.misses.items():
        print(f"{name}: {why}", file=sys.stderr)
print(f"{time.perf_counter() - start:.0f} s", file=sys.stderr)
