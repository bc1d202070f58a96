"""Learning from inside a teacher: which layers are joined, what is learnt, what is left behind."""

import keras
import numpy as np
import pytest
from keras import layers

from toolkit.errors import ModelError, RecipeError
from toolkit.models.derived import derived
from toolkit.passes.distil_features import DistilFeatures
from toolkit.passes.hints import hint_of


@pytest.fixture(scope="module")
def step(cnn, digits):
    return DistilFeatures(teacher="base", student="base*0.5", epochs=4)(cnn, digits.fit)


def test_the_features_come_nearer_and_the_adapter_is_gone(step, cnn):
    facts = step.facts
    series = facts["history"]["features"]
    assert series[-1] < 0.7 * series[0]
    assert facts["history"]["val_features"][-1] < facts["history"]["val_features"][0]
    fresh = derived(cnn, width=0.5)
    assert [w.shape for w in step.model.weights] == [w.shape for w in fresh.weights]
    assert not any("hint" in layer.name for layer in step.model.layers)
    assert step.model.outputs[0].shape == cnn.outputs[0].shape


def test_the_layers_are_named(step):
    facts = step.facts
    assert facts["features"] == "map"
    assert facts["teacher_layer"] == facts["student_layer"] == "pool_2"
    assert facts["teacher_shape"] == [2, 2, 16]
    assert facts["student_shape"] == [2, 2, 8]
    assert facts["adapter_parameters"] == 8 * 16 + 16


def test_the_weight_of_features_moves_the_student(step, cnn, digits):
    """Without weight they are not learnt: the difference stays larger."""
    without = DistilFeatures(teacher="base", student="base*0.5", epochs=4, features=0.0)
    last = without(cnn, digits.fit).facts["history"]["val_features"][-1]
    assert step.facts["history"]["val_features"][-1] < 0.8 * last


def net(*inner, shape=(8, 8, 1)):
    return keras.Sequential([layers.Input(shape), *inner, layers.Dense(10, "softmax")])


def test_the_teachers_features_by_hand(digits):
    """Maps of 8x8 and 4x4: the larger is pooled; each channel at mean 0, deviation 1."""
    teacher = net(layers.Conv2D(6, 3, padding="same"), layers.Flatten())
    student = net(layers.Conv2D(3, 3, 2, padding="same"), layers.GlobalAveragePooling2D())
    x = digits.fit.train.x[:300]
    hint = hint_of(teacher, student, x, 1.0)
    assert hint.facts["compared_shape"] == [4, 4, 6]
    answers, features = hint.ask(x)
    assert np.allclose(answers, np.asarray(teacher(x)), atol=1e-5)
    maps = np.asarray(teacher.layers[0](x)).reshape(300, 4, 2, 4, 2, 6).mean(axis=(2, 4))
    by_hand = (maps - maps.mean(axis=(0, 1, 2))) / maps.std(axis=(0, 1, 2))
    assert np.allclose(features, by_hand.reshape(300, -1), atol=1e-3)
    assert hint.joined(x[:2]).shape == (2, 10 + 4 * 4 * 6)


def test_sizes_that_leave_a_rest_are_compared_by_their_means(digits):
    teacher = net(layers.Conv2D(6, 3), layers.Flatten())
    student = net(layers.Conv2D(3, 3, 2, padding="same"), layers.Flatten())
    hint = hint_of(teacher, student, digits.fit.train.x, 1.0)
    assert hint.facts["compared_shape"] == [1, 1, 6]


def test_nets_without_maps_are_joined_before_their_last_layer(mlp, digits):
    student = net(layers.Rescaling(1 / 16), layers.Flatten(), layers.Dense(5, "relu", name="own"))
    hint = hint_of(mlp, student, digits.fit.train.x, 1.0)
    assert hint.facts["features"] == "vector"
    assert (hint.facts["teacher_layer"], hint.facts["student_layer"]) == ("dense_2", "own")
    assert hint.facts["compared_shape"] == [10]


def test_what_has_no_inside_is_refused(mlp, digits):
    with pytest.raises(ModelError, match="no layer inside"):
        hint_of(mlp, net(layers.Rescaling(1 / 16), layers.Flatten()), digits.fit.train.x, 1.0)
    for wrong in ("base+cnn-large", "small.onnx"):
        with pytest.raises(RecipeError, match="look inside"):
            DistilFeatures(teacher=wrong)
    with pytest.raises(RecipeError):
        DistilFeatures(features=-1.0)
