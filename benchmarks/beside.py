"""Timing several things beside each other: interleaved bursts, ratios within one run."""

import time
from statistics import median


def interleaved(runs, rounds=40, calls=25):
    """The median seconds of a call in each burst: name -> [one a round].

    runs: name -> a function without arguments. Each round times a burst of every one.
    """
    found = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            run()  # the caches belong to the one before
            times = []
            for _ in range(calls):
                start = time.perf_counter()
                run()
                times.append(time.perf_counter() - start)
            found[name].append(median(times))
    return found


def ratio(mine, its):
    """The median of paired ratios with its 95 % interval from order statistics."""
    paired = sorted(a / b for a, b in zip(mine, its, strict=True))
    n = len(paired)
    away = round(0.98 * n**0.5)
    return median(paired), paired[max(n // 2 - away, 0)], paired[min(n // 2 + away, n - 1)]
