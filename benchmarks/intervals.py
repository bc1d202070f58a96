"""How often 95 % intervals of a mean over few rows hold it, and how often they lie above it.

python benchmarks/intervals.py [--quick]

Likenesses of four shapes: 1 less an exponential of mean 0.1, Beta(8, 1), a normal of 0.5 and 0.1,
and 1 (less at most 0.002) but for a tenth of the rows, which have 0; and squares of normal values,
as infidelities are. 2,000 samples of each size, seed 0; --quick:
200. Beside ours (bootstrap-t of toolkit.means) percentiles of the same resamples, and Student's.
"""

import argparse
import sys
import time

import numpy as np

from toolkit.means import averaged, mean_error, resamples

SHAPES = {
    "exponential": (lambda rng, n: 1 - rng.exponential(0.1, n), 0.9),
    "beta": (lambda rng, n: rng.beta(8, 1, n), 8 / 9),
    "normal": (lambda rng, n: rng.normal(0.5, 0.1, n), 0.5),
    "a tenth": (lambda rng, n: (rng.random(n) > 0.1) * rng.uniform(0.998, 1, n), 0.8991),
    "squares": (lambda rng, n: rng.normal(size=n) ** 2, 1.0),
}


def ours(values):
    found = averaged("", "", values)
    return found.low, found.high


def percentiles(values):
    return np.quantile(values[resamples(len(values), 0)].mean(axis=1), (0.025, 0.975))


def student(values):
    half = float(mean_error(values))
    return values.mean() - half, values.mean() + half


asked = argparse.ArgumentParser()
asked.add_argument("--quick", action="store_true")
trials = 200 if asked.parse_args().quick else 2_000
start = time.perf_counter()
print(f"of {trials:,} intervals, %: hold the mean; lie above it (2.5 if they err alike)")
ways = (ours, percentiles, student)
print(f"{'shape':12} {'rows':>4}  " + "  ".join(f"{way.__name__:>13}" for way in ways))
for shape, (draw, truth) in SHAPES.items():
    for n in (5, 8, 12, 24, 29, 59):
        rng = np.random.default_rng(0)
        samples = [draw(rng, n) for _ in range(trials)]
        told = []
        for interval in ways:
            ends = np.array([interval(values) for values in samples])
            held = 100 * np.mean((ends[:, 0] <= truth) & (truth <= ends[:, 1]))
            told.append(f"{held:5.1f}; {100 * np.mean(ends[:, 0] > truth):5.1f}")
        print(f"{shape:12} {n:4}  " + "  ".join(f"{t:>13}" for t in told), flush=True)
print(f"{time.perf_counter() - start:.0f} s", file=sys.stderr)
