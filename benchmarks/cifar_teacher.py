"""A teacher for CIFAR-10: a residual net, trained on images that are moved and mirrored.

TOOLKIT_DATA=FOLDER_WITH_CIFAR10_NPZ python benchmarks/cifar_teacher.py [--quick] [--out FILE.keras]

All 50,000 training images, 11 epochs, seed 0; the learning rate rises and falls once (Smith 2018).
--quick: 2,000 images, one epoch. Prints the accuracy on the 1,000 test images after each epoch. A
run that was stopped goes on with the epoch it was in; its images come in another order then.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
import numpy as np
from keras import layers

from toolkit.augmentation import Augmentation

BATCH, DECAY, PEAK = 256, 5e-4, 0.4

asked = argparse.ArgumentParser()
asked.add_argument("--quick", action="store_true")
asked.add_argument("--out", type=Path, default=Path(tempfile.gettempdir()) / "teacher.keras")
args = asked.parse_args()
epochs = 1 if args.quick else 11
keras.utils.set_random_seed(0)
with np.load(Path(os.environ["TOOLKIT_DATA"]) / "cifar10.npz", allow_pickle=False) as held:
    x, y = held["x_train"], held["y_train"].reshape(-1)
    x_test, y_test = held["x_test"].astype(np.float32), held["y_test"].reshape(-1)
if args.quick:
    x, y = x[:2_000], y[:2_000]


def block(tensor, filters):
    """A 3x3 convolution, normalised, with a ReLU."""
    tensor = layers.Conv2D(filters, 3, padding="same", use_bias=False)(tensor)
    return layers.ReLU()(layers.BatchNormalization(momentum=0.9)(tensor))


first = keras.Input((32, 32, 3))
h = block(layers.Rescaling(1 / 64, -2.0)(first), 32)
h = block(layers.MaxPooling2D()(h), 64)
h = layers.Add()([h, block(block(h, 64), 64)])
h = layers.MaxPooling2D()(block(h, 128))
h = layers.MaxPooling2D()(block(h, 256))
h = layers.Add()([h, block(block(h, 256), 256)])
h = layers.Dense(10, use_bias=False)(layers.GlobalMaxPooling2D()(h))
teacher = keras.Model(first, layers.Softmax()(layers.Rescaling(1 / 8)(h)))
steps = epochs * (len(x) // BATCH)


class OneCycle(keras.optimizers.schedules.LearningRateSchedule):
    """Up to `PEAK` in the first fifth of all steps, then down to 0."""

    def __call__(self, step):
        share = keras.ops.cast(step, "float32") / steps
        return PEAK * keras.ops.minimum(share / 0.2, (1 - share) / 0.8)

    def get_config(self):
        return {}


class Score(keras.callbacks.Callback):
    """The score after each epoch."""

    def on_epoch_end(self, epoch, logs=None):
        p = self.model.predict(x_test, batch_size=500, verbose=0)
        right = 100 * (p.argmax(axis=1) == y_test).mean()
        passed = time.perf_counter() - start
        print(f"epoch {epoch + 1} of {epochs}: {right:.1f} % right, {passed:.0f} s", flush=True)


def batches():
    """Images moved by up to 4 pixels and mirrored by chance, in a new order each epoch."""
    rng, change = np.random.default_rng(0), Augmentation(mirror=True, shift=4)
    while True:
        order = rng.permutation(len(x))
        for i in range(0, len(x) - BATCH + 1, BATCH):
            rows = order[i : i + BATCH]
            yield change(x[rows].astype(np.float32), rng), y[rows]


start = time.perf_counter()
sgd = keras.optimizers.SGD(OneCycle(), momentum=0.9, nesterov=True, weight_decay=DECAY)
sgd.exclude_from_weight_decay(var_names=["gamma", "beta"])
# its wide layers are quicker when compiled
teacher.compile(sgd, keras.losses.SparseCategoricalCrossentropy(), jit_compile=True)
teacher.fit(
    batches(),
    steps_per_epoch=len(x) // BATCH,
    epochs=epochs,
    callbacks=[Score(), keras.callbacks.BackupAndRestore(args.out.with_suffix(".going"))],
    shuffle=False,
    verbose=0,
)
keras.Model(first, teacher.outputs).save(args.out)  # without what it was trained with
print(f"{teacher.count_params():,} parameters: {args.out}")
