"""Bytes of onnxruntime's quantised files as they come, and after our shortening; same outputs.

python benchmarks/file_size.py
"""

import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np

from toolkit import data, models, training
from toolkit.exporting import export
from toolkit.passes import PASSES, apply
from toolkit.predict import predictor

splits = data.load("digits")
print(
    f"{'net':5} {'pass':13} {'as it comes':>12} {'shortened':>10} {'ratio':>6}  largest difference"
)
for net in ("mlp", "cnn"):
    start = models.build(net, splits.fit.train)
    model, _ = training.train(start, splits.fit, training.Settings(epochs=5, batch=32))
    exported = export(model, splits.fit.validation).model
    for name in ("float16", "dynamic_int8", "static_int8"):
        plain = apply(PASSES[name](), exported, splits.fit).model
        short = apply(PASSES["shorten"](), plain, splits.fit).model
        p, q = (predictor(m.SerializeToString())(splits.test.x) for m in (plain, short))
        before, after = plain.ByteSize(), short.ByteSize()
        print(
            f"{net:5} {name:13} {before:12,} {after:10,} {after / before:6.2f}  "
            f"{np.abs(p - q).max():g}"
        )
