"""How long the commands take before they work: help below 0.5 s, import below 0.3 s.

python benchmarks/startup.py
"""

import statistics
import subprocess
import sys
import time
from pathlib import Path

BIN = Path(sys.executable).parent
CASES = {
    "python -c pass": ([sys.executable, "-c", "pass"], None),
    "import toolkit": ([sys.executable, "-c", "import toolkit"], 0.3),
    "compress --help": ([BIN / "compress", "--help"], 0.5),
    "explain --help": ([BIN / "explain", "--help"], 0.5),
}

for name, (command, bar) in CASES.items():
    times = []
    for _ in range(9):
        start = time.perf_counter()
        subprocess.run(command, capture_output=True, check=True)
        times.append(time.perf_counter() - start)
    said = "" if bar is None else f"  bar {bar} s  {'met' if max(times) < bar else 'MISSED'}"
    print(f"{name:16} median {statistics.median(times):.3f} s  worst {max(times):.3f} s{said}")
