"""Bytes of files beside the bytes of the weights, biases and steps in them.

[TOOLKIT_DATA=FOLDER TOOLKIT_MODELS=FOLDER] python benchmarks/file_size.py

Nets: the mlp of 784-10-10-10, a convolutional one and one with an LSTM, with random weights, since
only their sizes count here; with TOOLKIT_DATA also ResNet-8 and the MobileNet of visual wake words.
as it comes: of onnxruntime's quantiser, or float with 16 bits. held: all numbers in the short file.
over: what the file has beside them, as a share. same: whether both files answer to the same bits.
"""

import os
import time
from dataclasses import replace

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
import numpy as np
from keras import layers
from onnx import numpy_helper

from toolkit import data, recipe
from toolkit.exporting import export
from toolkit.passes import PASSES, apply
from toolkit.predict import predictor

start = time.perf_counter()


def mlp():
    """784-10-10-10."""
    wide = [layers.Dense(10, "relu"), layers.Dense(10, "relu"), layers.Dense(10, "softmax")]
    return [layers.Input((28, 28, 1)), layers.Flatten(), *wide], 1.0


def cnn():
    """Three convolutions and two dense layers."""
    convolved = [layers.Conv2D(n, 3, strides=2, activation="relu") for n in (16, 32, 64)]
    last = [layers.Dense(128, "relu"), layers.Dense(10, "softmax")]
    return [layers.Input((32, 32, 3)), *convolved, layers.Flatten(), *last], 1.0


def lstm():
    """2,000 words of 32 numbers, an LSTM of 64."""
    words = [layers.Input((30,)), layers.Embedding(2000, 32), layers.LSTM(64)]
    return [*words, layers.Dense(2, "softmax")], 2000.0


def random(make):
    """A net of random weights and rows that fit it."""
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    inside, most = make()
    model = keras.Sequential(inside)
    for weight in model.weights:
        if len(weight.shape) == 1:
            weight.assign(rng.normal(0, 0.1, weight.shape))
    fit = data.load("digits").fit

    def filled(part):
        x = np.floor(rng.uniform(0, most, (len(part), *model.input_shape[1:])) * 256) / 256
        x = np.floor(x) if most > 1 else x
        classes = part.classes[: model.output_shape[-1]]
        return replace(part, x=x.astype(np.float32), y=part.y % len(classes), classes=classes)

    fit = replace(
        fit, **{n: filled(getattr(fit, n)) for n in ("train", "validation", "calibration")}
    )
    return export(model, fit.validation).model, fit


def nets():
    for make in (mlp, cnn, lstm):
        yield make.__name__, *random(make)
    if "TOOLKIT_DATA" in os.environ:
        from nets import mobilenet, resnet8

        for make in (resnet8, mobilenet):
            model, splits = make(64)
            yield make.__name__, model, splits.fit


print(f"{'net':10} {'recipe':13} {'as it comes':>11} {'short':>9} {'held':>9} {'over':>6}  same")
for net, exported, fit in nets():
    for name in ("float16", "int8", "int8-dynamic"):
        plain = exported
        for step in recipe.load(name).passes[:-1]:
            plain = apply(step, plain, fit).model
        first = apply(recipe.load(name).passes[0], exported, fit).model
        short = apply(PASSES["shorten"](), plain, fit).model
        x = fit.validation.x[:64]
        p, q = (predictor(m.SerializeToString())(x) for m in (plain, short))
        held = sum(numpy_helper.to_array(t).nbytes for t in short.graph.initializer)
        size = short.ByteSize()
        print(
            f"{net:10} {name:13} {first.ByteSize():11,} {size:9,} {held:9,} "
            f"{100 * (size / held - 1):5.1f}%  {np.array_equal(p, q)}",
            flush=True,
        )
print(f"{time.perf_counter() - start:.0f} s")
