"""Python's random numbers are the caller's: Keras draws a seed for each layer that it makes."""

import random

import numpy as np
import pytest

from toolkit.bridge.back import to_keras
from toolkit.bridge.clustering import clustered
from toolkit.bridge.forward import to_tf_keras
from toolkit.bridge.pruning import pruned
from toolkit.exporting import export
from toolkit.glossary import Data
from toolkit.models.graph import copied, flat
from toolkit.models.keras_predictor import KerasPredictor
from toolkit.models.opening import open_model
from toolkit.models.vocabulary import parted
from toolkit.undisturbed import undisturbed


@pytest.fixture(scope="module")
def net():
    import keras

    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(8, "relu"),
            layers.Dropout(0.2),
            layers.Dense(3, "softmax"),
        ]
    )


@pytest.fixture(scope="module")
def of_text():
    import keras

    layers = keras.layers
    words = layers.TextVectorization(output_sequence_length=4, vocabulary=["good", "day"])
    rest = [layers.Embedding(4, 3), layers.Flatten(), layers.Dense(2, "softmax")]
    first = x = keras.Input((1,), dtype="string")
    for layer in (words, *rest):
        x = layer(x)
    return keras.Model(first, x)


@pytest.fixture(scope="module")
def files(net, tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    for name in ("net.keras", "net.h5"):
        net.save(folder / name)
    return folder


def untrained(model, **_):
    return model, None


WAYS = {
    "open .keras": lambda net, files: open_model(files / "net.keras"),
    "open .h5": lambda net, files: open_model(files / "net.h5"),
    "export": lambda net, _: export(net, rows()),
    "copy": lambda net, _: copied(net),
    "flatten": lambda net, _: flat(net),
    "shuffle": lambda net, _: KerasPredictor(net, "net").shuffled(0),
    "to tf_keras and back": lambda net, _: to_keras(to_tf_keras(net).model),
    "prune": lambda net, _: pruned(net, untrained, sparsity=0.5, pattern="magnitude", steps=9),
    "cluster": lambda net, _: clustered(net, untrained, clusters=4),
}


def rows():
    return Data(np.eye(6, dtype=np.float32), np.arange(6) % 3, ("a", "b", "c"))


@pytest.mark.parametrize("way", WAYS)
def test_the_state_is_given_back(way, net, files):
    WAYS[way](net, files)  # what is loaded for the first time draws names of its own
    before = random.getstate()
    WAYS[way](net, files)
    assert random.getstate() == before


def test_the_state_is_given_back_where_a_text_is_parted(of_text):
    before = random.getstate()
    _, words = parted(of_text)
    assert words.vocabulary[2:] == ("good", "day")
    assert random.getstate() == before


def test_the_state_is_given_back_after_an_error():
    @undisturbed()
    def failing():
        raise KeyError(random.random())

    before = random.getstate()
    with pytest.raises(KeyError):
        failing()
    assert random.getstate() == before
