"""Memory and time of reading a folder of pictures, by their number.

    python benchmarks/streaming.py [--quick]

Each line is a process of its own that loads the folder and reads every picture once in batches
of 64. Random pictures of 32 x 32 in colour.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

CHILD = """
import resource, sys, time
import numpy, PIL.Image
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
start = time.perf_counter()
from toolkit.data import load
splits = load(sys.argv[1])
opened = time.perf_counter() - start
for part in (splits.fit.train, splits.fit.validation, splits.fit.calibration, splits.test):
    for i in range(0, len(part), 64):
        part.x[i:i + 64]
read = time.perf_counter() - start - opened
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
print(f"{opened:9.1f} {read:9.1f} {peak / 1024:10.0f} {splits.facts['streamed']!s:>9}")
"""


def main() -> None:
    """Print the table."""
    counts = (1_000, 10_000) if "--quick" in sys.argv else (1_000, 10_000, 30_000, 100_000)
    rng = np.random.default_rng(0)
    print(f"{'pictures':>9} {'load, s':>9} {'read, s':>9} {'more MB':>10} {'streamed':>9}")
    with tempfile.TemporaryDirectory() as place:
        for name in ("a", "b"):
            (Path(place) / name).mkdir()
        made = 0
        for count in counts:
            for i in range(made, count):
                pixels = rng.integers(0, 256, (32, 32, 3), np.uint8)
                Image.fromarray(pixels).save(Path(place) / "ab"[i % 2] / f"{i:06}.png")
            made = count
            command = [sys.executable, "-c", CHILD, place]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            print(f"{count:>9,} {done.stdout.rstrip()}", flush=True)


if __name__ == "__main__":
    main()
