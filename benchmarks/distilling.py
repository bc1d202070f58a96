"""The same student on the same rows for the same epochs, by labels alone and by a teacher.

python benchmarks/distilling.py [--data cifar10.npz | mnist.npz] [--seeds 5] [--rows N] [--quick]

The data lies in the folder that TOOLKIT_DATA names. cifar10: a teacher with residual blocks of 16,
32 and 64 channels, trained on 20,000 rows, and a student of half the width. mnist: cnn-large and
the 784-10-10-10 net. The students see 3,000 or 10,000 rows, others for each seed; they are tested
on rows that neither saw. Two students stand against the distilled one: "labels" is trained as one
is without a teacher; "moved" sees the same moved and mirrored pictures as the distilled one does.
"""

import argparse
import os
import time
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import keras
import numpy as np

from toolkit import data, models
from toolkit.glossary import Fit
from toolkit.passes.distil import RATE, TEMPERATURE, WEIGHT
from toolkit.passes.tuning import tune
from toolkit.predict import predictor
from toolkit.seeding import seeded
from toolkit.training import Settings

# two-sided 95 % points of Student's t by degrees of freedom
T = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262}


def residual(width, seed):
    """32x32x3 -> 10: a stem and three residual blocks of width, 2 width and 4 width channels."""
    layers = keras.layers

    def conv(x, filters, stride=1, size=3):
        x = layers.Conv2D(filters, size, stride, padding="same", use_bias=False)(x)
        return layers.BatchNormalization()(x)

    with seeded(seed):
        start = layers.Input((32, 32, 3))
        x = layers.ReLU()(conv(layers.Rescaling(1 / 255)(start), width))
        for filters, stride in ((width, 1), (2 * width, 2), (4 * width, 2)):
            y = conv(layers.ReLU()(conv(x, filters, stride)), filters)
            x = layers.ReLU()(layers.Add()([conv(x, filters, stride, 1) if stride > 1 else x, y]))
        x = layers.GlobalAveragePooling2D()(x)
        return keras.Model(start, layers.Dense(10, "softmax")(x))


def answered(model, held):
    return 100 * float((predictor(model)(held.x).argmax(axis=1) == held.y).mean())


def shown(name, differences):
    d = np.array(differences)
    half = T[len(d) - 1] * d.std(ddof=1) / np.sqrt(len(d)) if len(d) > 1 else np.nan
    print(
        f"distilled - {name}: {d.mean():+.2f} points, 95 % interval "
        f"{d.mean() - half:+.2f} to {d.mean() + half:+.2f} over {len(d)} seeds"
    )


asked = argparse.ArgumentParser()
asked.add_argument("--data", default="cifar10.npz")
asked.add_argument("--seeds", type=int, default=5)
asked.add_argument("--rows", type=int)
asked.add_argument("--epochs", type=int)
asked.add_argument("--temperature", type=float, default=TEMPERATURE)
asked.add_argument("--weight", type=float, default=WEIGHT)
asked.add_argument("--quick", action="store_true")
o = asked.parse_args()

began = time.time()
splits = data.load(Path(os.environ.get("TOOLKIT_DATA", ".")) / o.data)
grey = splits.test.x.shape[1] == 28
rows = o.rows or (1_000 if o.quick else 10_000 if grey else 3_000)
epochs = o.epochs or (6 if o.quick else 30)
seeds = min(o.seeds, 2) if o.quick else o.seeds
teacher_rows, teacher_epochs = (2_000, 4) if o.quick else (20_000, 5 if grey else 12)

every = splits.fit.train
order = np.random.default_rng(0).permutation(len(every))
held = every.rows(order[-(1_000 if o.quick else 4_000) :])
some = splits.fit.validation.rows(slice(0, 500))
fit = Fit(every.rows(order[:teacher_rows]), some, splits.fit.calibration)
build = (
    (lambda seed: models.build("mlp", every, seed=seed))
    if grey
    else (lambda seed: residual(8, seed))
)
start = models.build("cnn-large", every) if grey else residual(16, 0)
settings = Settings(epochs=teacher_epochs, batch=64, learning_rate=RATE)
teacher, _ = tune(start, fit, settings, teacher=None, subject="teacher")
ask = predictor(teacher, "teacher")
print(
    f"{o.data}: teacher of {teacher.count_params():,} parameters on {teacher_rows:,} rows: "
    f"{answered(teacher, held):.2f} %; student of {build(0).count_params():,} on {rows:,} rows, "
    f"{epochs} epochs, temperature {o.temperature:g}, weight {o.weight:g}"
)
ways = {"labels": (None, 0.0), "moved": (ask, 0.0), "distilled": (ask, o.weight)}
got = {name: [] for name in ways}
settings = Settings(epochs=epochs, batch=32 if rows < 5_000 else 128, learning_rate=RATE)
for seed in range(seeds):
    pick = np.random.default_rng(seed + 1).permutation(order[:teacher_rows])[:rows]
    fit = Fit(every.rows(pick), some, splits.fit.calibration)
    for name, (by, weight) in ways.items():
        student, _ = tune(
            build(seed),
            fit,
            settings,
            teacher=by,
            temperature=o.temperature,
            weight=weight,
            subject="student",
            seed=seed,
        )
        got[name].append(answered(student, held))
    print(f"seed {seed}: " + ", ".join(f"{name} {got[name][-1]:.2f}" for name in ways), flush=True)
for name in ("labels", "moved"):
    shown(name, np.subtract(got["distilled"], got[name]))
print(f"{time.time() - began:.0f} s")
