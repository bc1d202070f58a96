"""Data sets by name: scikit-learn's own need no network, those of keras.datasets are downloaded."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from toolkit.data.splits import Raw
from toolkit.errors import DataError

_FASHION = (
    "T-shirt",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
_CIFAR10 = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)


def _digits() -> Raw:
    from sklearn.datasets import load_digits

    found: Any = load_digits()
    return Raw("digits", found.images, found.target)


def _table(name: str) -> Raw:
    from sklearn import datasets

    found = getattr(datasets, f"load_{name}")()
    classes = tuple(str(c) for c in found.target_names)
    features = tuple(str(f) for f in found.feature_names)
    return Raw(name, found.data, found.target, classes=classes, features=features)


def _downloaded(name: str, classes: tuple[str, ...] = ()) -> Raw:
    import keras

    try:
        (x, y), (x_test, y_test) = getattr(keras.datasets, name).load_data()
    except Exception as error:  # urllib, OSError or keras' own: all mean it is not to be had
        raise DataError(
            f"cannot download {name} ({error})",
            "a network connection, once",
            "or give a local file: --data PATH.npz",
        ) from error
    return Raw(name, x, y, x_test, y_test, classes=classes)


SETS: dict[str, Callable[[], Raw]] = {
    "breast_cancer": partial(_table, "breast_cancer"),
    "cifar10": partial(_downloaded, "cifar10", _CIFAR10),
    "digits": _digits,
    "fashion_mnist": partial(_downloaded, "fashion_mnist", _FASHION),
    "mnist": partial(_downloaded, "mnist"),
    "wine": partial(_table, "wine"),
}
