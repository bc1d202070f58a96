"""The nets that benchmarks of rounding share, as float ONNX with their data."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import skimage.color
import skimage.data
import skimage.io
import skimage.transform

from toolkit import Settings, build, load, train
from toolkit.exporting import export
from toolkit.glossary import Data, Fit, Splits
from toolkit.models import open_model
from toolkit.predict import predictor

DATA = Path(os.environ["TOOLKIT_DATA"])
MODELS = Path(os.environ.get("TOOLKIT_MODELS", "."))


def resnet8(rows):
    """ResNet-8 of MLPerf Tiny on CIFAR-10, `rows` test pictures."""
    splits = load(str(DATA / "cifar10.npz"))
    model = export(open_model(MODELS / "pretrainedResnet.h5"), splits.fit.validation).model
    return model, replace(splits, test=splits.test.rows(slice(rows)))


FITTED, TESTED = ("camera", "chelsea", "coffee", "rocket"), ("astronaut", "motorcycle_left")
"""Photographs of scikit-image; in the first of either is a person."""


def mobilenet(rows):
    """The MobileNet of visual wake words on random squares of photographs, others for each part.

    Nobody labelled these: their labels are the float net's own answers, so that `accuracy` is
    agreement with it. Squares of one photograph overlap.
    """
    keras_model = open_model(MODELS / "vww_96.h5")
    whole = predictor(keras_model)
    folder = Path(skimage.data.__file__).parent
    rng = np.random.default_rng(0)

    def square(picture):
        side = int(rng.uniform(0.25, 1.0) * min(picture.shape[:2]))
        top, left = (rng.integers(0, most - side + 1) for most in picture.shape[:2])
        part = picture[top : top + side, left : left + side]
        part = part if part.ndim == 3 else skimage.color.gray2rgb(part)
        return skimage.transform.resize(part / 255, (96, 96), anti_aliasing=True)

    def drawn(names, count):
        files = [next(folder.glob(f"{name}.*")) for name in names]
        photographs = [skimage.io.imread(file) for file in files]
        x = np.stack([square(photographs[i % len(names)]) for i in range(count)])
        x = x.astype(np.float32)
        y = whole(x).argmax(axis=1).astype(np.int64)
        return Data(x, y, ("no person", "person"), kind="image")

    fit = Fit(*(drawn(FITTED, count) for count in (64, 256, 256)))
    test = drawn(TESTED, rows)
    print(f"{test.y.mean():.0%} of the test squares have a person, as the float net sees it")
    return export(keras_model, fit.validation).model, Splits("photographs", fit, test, "")


def trained(spec, build_net, settings, rows, most=8_000):
    """A net trained here on at most so many rows of a file, seed 0."""
    splits = load(spec)
    fit = replace(splits.fit, train=splits.fit.train.rows(slice(most)))
    model, _ = train(build_net(fit.train), fit, settings)
    test = splits.test.rows(slice(rows))
    return export(model, fit.validation).model, replace(splits, fit=fit, test=test)


def depthwise(rows):
    """Depthwise convolutions with BatchNormalization, as in MobileNet, on MNIST."""
    import keras
    from keras import layers

    def net(_):
        keras.utils.set_random_seed(0)
        x = first = keras.Input((28, 28, 1))
        x = layers.Rescaling(1 / 255)(x)
        x = layers.ReLU(6.0)(
            layers.BatchNormalization(momentum=0.9)(layers.Conv2D(16, 3, 2, use_bias=False)(x))
        )
        for width, stride in ((32, 1), (64, 2), (64, 1)):
            x = layers.DepthwiseConv2D(3, stride, padding="same", use_bias=False)(x)
            x = layers.ReLU(6.0)(layers.BatchNormalization(momentum=0.9)(x))
            x = layers.Conv2D(width, 1, use_bias=False)(x)
            x = layers.ReLU(6.0)(layers.BatchNormalization(momentum=0.9)(x))
        x = layers.GlobalAveragePooling2D()(x)
        return keras.Model(first, layers.Dense(10, activation="softmax")(x))

    return trained(str(DATA / "mnist.npz"), net, Settings(epochs=3, batch=64), rows)


def mnist(rows):
    """The small reference net of convolutions on MNIST."""
    settings = Settings(epochs=3, batch=64)
    return trained(str(DATA / "mnist.npz"), lambda data: build("cnn", data), settings, rows)


def adult(rows):
    """The reference net for tables on the census of Adult."""
    settings = Settings(epochs=3, batch=64)
    return trained(str(DATA / "adult.data"), lambda data: build("tabular", data), settings, rows)


def lstm(rows):
    """An LSTM over words, on sentences of film reviews."""
    import keras
    from keras import layers

    def net(data):
        keras.utils.set_random_seed(0)
        words = len(data.words.vocabulary)
        inside = [layers.Embedding(words, 16), layers.LSTM(32), layers.Dense(2, "softmax")]
        return keras.Sequential([layers.Input(data.x.shape[1:]), *inside])

    spec = ",".join(str(DATA / f"rt-polarity.{end}") for end in ("pos", "neg"))
    return trained(spec, net, Settings(epochs=3, batch=64), rows)
