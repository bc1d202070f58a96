"""The nets that benchmarks of rounding share, as float ONNX with their data."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from toolkit import load
from toolkit.exporting import export
from toolkit.models import open_model
from toolkit.predict import predictor

DATA = Path(os.environ["TOOLKIT_DATA"])
MODELS = Path(os.environ.get("TOOLKIT_MODELS", "."))


def resnet8(rows):
    """ResNet-8 of MLPerf Tiny on CIFAR-10, `rows` test pictures."""
    splits = load(str(DATA / "cifar10.npz"))
    model = export(open_model(MODELS / "pretrainedResnet.h5"), splits.fit.validation).model
    return model, replace(splits, test=splits.test.rows(slice(rows)))


def mobilenet(rows):
    """The MobileNet of visual wake words on pictures of CIFAR-10 made three times as large.

    It never learnt these: their labels are the float net's own answers, so that `accuracy` is
    agreement with it.
    """
    splits = load(str(DATA / "cifar10.npz"))
    keras_model = open_model(MODELS / "vww_96.h5")
    whole = predictor(keras_model)

    def large(part, most):
        x = part.x[:most] / np.float32(255)
        x = np.repeat(np.repeat(x, 3, axis=1), 3, axis=2)
        y = whole(x).argmax(axis=1).astype(np.int64)
        return replace(part, x=x, y=y, classes=("no person", "person"))

    fit = splits.fit
    fit = replace(
        fit,
        train=large(fit.train, 64),
        validation=large(fit.validation, 256),
        calibration=large(fit.calibration, 256),
    )
    splits = replace(splits, fit=fit, test=large(splits.test, rows))
    return export(keras_model, fit.validation).model, splits
