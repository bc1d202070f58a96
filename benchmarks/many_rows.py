"""Explaining many rows: time a row, memory of all processes together, one and two jobs.

    TOOLKIT_DATA=FOLDER python benchmarks/many_rows.py [--rows 100000 1000000] [--rounds 5]

Adult, 12 columns, a net of two layers of 64 (games.py), exact Shapley values against 2 background
rows, so that a million rows end within the hour. Rows are drawn from the test part into a .parquet
file. Each line is the command `explain`, a process of its own. Memory: the largest sum of the
resident memory of the command and its workers, looked at ten times a second; what they share counts
twice. Then jobs beside each other: ratios of interleaved rounds over 10,000 rows.
"""

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np
import pandas as pd
import psutil
from beside import ratio
from games import made_once

BACKGROUND = 2
asked = argparse.ArgumentParser()
asked.add_argument("--quick", action="store_true")
asked.add_argument("--rows", nargs="*", type=int, default=[100_000, 1_000_000])
asked.add_argument("--rounds", type=int, default=5)
args = asked.parse_args()
if args.quick:
    args.rows, args.rounds = [4096, 8192], 2


def written(folder):
    """The model, the training rows, and a function that writes so many rows to explain."""
    splits, _, onnx = made_once("adult")
    train, test = splits.fit.train, splits.test
    (folder / "model.onnx").write_bytes(onnx._model.SerializeToString())
    np.savez(
        folder / "data.npz",
        x_train=train.x,
        y_train=train.y,
        x_test=test.x[:100],
        y_test=test.y[:100],
        class_names=np.array(train.classes),
        feature_names=np.array(train.features),
    )

    def rows(count):
        rng = np.random.default_rng(0)
        picked = test.x[rng.integers(len(test), size=count)]
        path = folder / f"{count}.parquet"
        pd.DataFrame(picked, columns=list(test.features)).to_parquet(path, index=False)
        return path

    return rows


def explained(folder, rows, jobs):
    """Seconds and the most MB of a run of the command, and the digest of its table."""
    out = folder / "why.parquet"
    command = [folder / "model.onnx", "--data", folder / "data.npz", "--rows", rows, "--out", out]
    command += ["--background", BACKGROUND, "--jobs", jobs]
    code = "import sys; from toolkit.cli import explain; explain()"
    start, most = time.perf_counter(), 0
    run = subprocess.Popen(
        [sys.executable, "-c", code, *(str(c) for c in command)], stdout=subprocess.DEVNULL
    )
    watched = psutil.Process(run.pid)
    while run.poll() is None:
        total = 0
        for process in (watched, *children(watched)):
            try:
                total += process.memory_info().rss
            except psutil.NoSuchProcess:
                continue
        most = max(most, total)
        time.sleep(0.1)
    seconds = time.perf_counter() - start
    if run.returncode:
        raise SystemExit(f"explain ended with {run.returncode}")
    told = hashlib.sha256(out.read_bytes()).hexdigest()[:12], out.stat().st_size
    out.unlink()
    return seconds, most / 2**20, *told


def children(process):
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def main():
    """Print the tables."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        rows = written(folder)
        print(f"\n{'rows':>9} {'jobs':>4} {'ms/row':>7} {'peak MB':>8} {'table MB':>9}  sha256")
        for count in args.rows:
            path = rows(count)
            for jobs in (1, 2):
                seconds, most, digest, size = explained(folder, path, jobs)
                print(
                    f"{count:>9,} {jobs:>4} {1e3 * seconds / count:>7.2f} {most:>8,.0f} "
                    f"{size / 2**20:>9.1f}  {digest}",
                    flush=True,
                )
        path = rows(1000 if args.quick else 10_000)
        times = {1: [], 2: []}
        for _ in range(args.rounds):
            for jobs, found in times.items():
                found.append(explained(folder, path, jobs)[0])
        middle, low, high = ratio(times[1], times[2])
        print(
            f"\n2 jobs beside 1, start included: {middle:.2f} times as quick "
            f"({low:.2f} to {high:.2f}, {args.rounds} rounds)"
        )


if __name__ == "__main__":
    main()
