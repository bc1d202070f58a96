"""How long the training of small nets takes beside Keras's own `fit`, on the same rows and net.

python benchmarks/training.py [--quick]

Reference nets on the sets of scikit-learn, batches of 32, seed 0, from a built net to a trained
one: an epoch, nearly all of which TensorFlow traces the step, and twenty. Keras is given
the arrays, the same optimizer, loss and metric, and validates as we do. Interleaved; ratios within
this run with their interval. Ours also copies the net, seeds its layers and keeps a history.
Then the usual nets as they are trained when nothing is said of epochs, beside 10 epochs: the share
of test rows they are right in, three seeds.
"""

import argparse
import os
import time
from statistics import median

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
from beside import ratio

from toolkit import data, models, predictor, training
from toolkit.metrics import accuracy
from toolkit.models.reference import usual

asked = argparse.ArgumentParser()
asked.add_argument("--quick", action="store_true")
QUICK = asked.parse_args().quick


def ours(net, fit, epochs):
    """Seconds of our training."""
    settings = training.Settings(epochs=epochs, batch=32)
    begin = time.perf_counter()
    training.train(net, fit, settings, seed=0)
    return time.perf_counter() - begin


def keras_fit(net, fit, epochs):
    """Seconds of Keras's."""
    begin = time.perf_counter()
    net.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    x, held = (training.shaped(net, part) for part in (fit.train, fit.validation))
    net.fit(
        x,
        fit.train.y,
        batch_size=32,
        epochs=epochs,
        validation_data=(held, fit.validation.y),
        verbose=0,
    )
    return time.perf_counter() - begin


print(f"keras {keras.__version__}; seconds, medians; ratio of ours to Keras's fit (95 %)")
for name, kind in (("wine", "tabular"), ("digits", "mlp"), ("digits", "cnn")):
    fit = data.load(name).fit
    for epochs in (1, 20):
        found = {ours: [], keras_fit: []}
        # the first of each pays for what TensorFlow loads once
        for turn in range(3 if QUICK else 9):
            for way in found:
                took = way(models.build(kind, fit.train, seed=0), fit, epochs)
                found[way] += [took] if turn else []
        middle, low, high = ratio(found[ours], found[keras_fit])
        print(
            f"{name:7} {kind:8} {epochs:2} epochs: ours {median(found[ours]):5.2f}, "
            f"Keras {median(found[keras_fit]):5.2f}, ratio {middle:.2f} ({low:.2f} to {high:.2f})",
            flush=True,
        )

for name in ("digits", "wine", "breast_cancer"):
    splits = data.load(name)
    for epochs in (0, 10):
        settings, right = training.Settings(epochs=epochs), []
        for seed in (0,) if QUICK else (0, 1, 2):
            net = models.build(usual(splits.test.kind)[0], splits.fit.train, seed=seed)
            net, history = training.train(net, splits.fit, settings, seed=seed)
            found = accuracy(predictor(net, name)(splits.test.x), splits.test.y)
            right.append(f"{100 * found.value:.1f}")
        told = f"{history.facts['epochs']} epochs" + ("" if epochs else ", by default")
        print(f"{name:13} {told:22} right in {', '.join(right)} % of {found.n} rows", flush=True)
