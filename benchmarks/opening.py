"""How long a model takes to open, and how often one command opens it.

    python benchmarks/opening.py [--quick]

Prints, for a Keras 3 file, an HDF5 file, a file of Keras 2 that is mended, and an `.onnx`, the
median of repeated openings after TensorFlow is loaded, beside plain keras.models.load_model.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"


def milliseconds(call: Callable[[], object], repeats: int) -> float:
    """The median time of `call`."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(1e3 * (time.perf_counter() - start))
    return median(times)


def main() -> None:
    """Print the table."""
    repeats = 5 if "--quick" in sys.argv else 21
    start = time.perf_counter()
    import keras

    print(f"import of keras with tensorflow: {time.perf_counter() - start:.1f} s")
    import tf_keras

    from toolkit.data import load
    from toolkit.exporting import export
    from toolkit.models import build, open_model
    from toolkit.predict import predictor

    digits = load("digits")
    model = build("cnn", digits.fit.train)
    old = tf_keras.applications.MobileNet((96, 96, 3), 0.25, weights=None, classes=2)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        model.save(folder / "net.keras")
        model.save(folder / "net.h5")
        old.save(folder / "mobilenet.keras2.h5", save_format="h5")
        proto = export(model, digits.fit.validation).model
        (folder / "net.onnx").write_bytes(proto.SerializeToString())
        print(f"{'file':22}{'bytes':>11}{'ours, ms':>12}{'load_model, ms':>17}")
        for path in sorted(folder.iterdir()):
            opened = predictor if path.suffix == ".onnx" else open_model
            ours = milliseconds(lambda p=path, o=opened: o(p), repeats)
            try:
                theirs = f"{milliseconds(lambda p=path: keras.models.load_model(p), repeats):.1f}"
            except Exception as error:  # what Keras says of the file is the figure
                theirs = type(error).__name__
            print(f"{path.name:22}{path.stat().st_size:>11,}{ours:>12.1f}{theirs:>17}")


if __name__ == "__main__":
    main()
