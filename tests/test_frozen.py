"""Layers that were frozen when the model was made are trained where a pass has changed them."""

import keras
import numpy as np
import pytest
from keras import layers

from toolkit.passes import PASSES
from toolkit.training import Settings, train

PASSES_OF_IT = {
    "channels": {"share": 0.5, "steps": 1, "epochs": 2},
    "low_rank": {"energy": 0.5, "epochs": 2},
    "prune": {"sparsity": 0.5, "epochs": 2},
    "cluster": {"clusters": 4, "epochs": 2},
    "quantise_aware": {"epochs": 2},
    "distil": {"teacher": "base", "student": "base", "epochs": 2},
    "distil_features": {"teacher": "base", "student": "base", "epochs": 2},
}


@pytest.fixture(scope="module")
def trained(wine):
    keras.utils.set_random_seed(3)
    scale = layers.Normalization()
    scale.adapt(wine.fit.train.x)
    hidden = [layers.Dense(32, "relu", name=f"dense_{i}") for i in range(2)]
    made = keras.Sequential(
        [layers.Input((13,)), scale, *hidden, layers.Dense(3, "softmax", name="last")]
    )
    return train(made, wine.fit, Settings(epochs=5))[0]


def copied(net):
    made = keras.models.clone_model(net)
    made.set_weights(net.get_weights())
    return made


@pytest.mark.parametrize("name", PASSES_OF_IT)
def test_a_pass_does_to_a_frozen_net_what_it_does_to_another(name, trained, wine):
    free, frozen = copied(trained), copied(trained)
    for layer in frozen.layers[:-1]:
        layer.trainable = False
    found = [PASSES[name](**PASSES_OF_IT[name])(m, wine.fit) for m in (free, frozen)]
    one, two = (step.model.get_weights() for step in found)
    assert all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))
    if name in (
        "channels",
        "low_rank",
        "distil",
        "distil_features",
    ):  # the others train in tf_keras, which has no say
        assert len(found[1].facts["training"]["thawed"]) >= 2
        assert "thawed" not in found[0].facts["training"]
    # what was given stays as it was
    assert [layer.trainable for layer in frozen.layers] == [False] * 3 + [True]


def test_training_leaves_frozen_what_was_frozen(trained, wine):
    """A backbone that somebody froze stays as it is in the training of the base."""
    frozen = copied(trained)
    frozen.layers[1].trainable = False
    after = train(frozen, wine.fit, Settings(epochs=1))[0]
    assert np.array_equal(after.layers[1].kernel, frozen.layers[1].kernel)
    assert not np.array_equal(after.layers[-1].kernel, frozen.layers[-1].kernel)
