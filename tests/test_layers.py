import numpy as np

from toolkit import layers


def test_weights_are_those_of_the_keras_layers(frontier, mlp):
    first, last = layers.weights(frontier.base.path, "base", (8, 8, 1))
    assert np.array_equal(first.values, mlp.get_layer("dense_1").kernel.numpy())
    assert np.array_equal(last.values, mlp.get_layer("classes").kernel.numpy())
    assert (first.name, last.name) == ("dense_1", "classes")
    assert first.image == (8, 8, 1)
    assert last.image is None


def test_convolutions_keep_keras_axes(cnn, digits, tmp_path):
    from toolkit.artifact import save
    from toolkit.export import export

    path = save(export(cnn, digits.fit.validation).model, "cnn", tmp_path).path
    first, _ = layers.weights(path, "cnn", (8, 8, 1))
    assert np.array_equal(first.values, cnn.get_layer("conv_1a").kernel.numpy())


def test_activations_are_those_of_keras(frontier, mlp, digits):
    import keras

    x = digits.test.x[11]
    found = layers.activations(frontier.base.path, "base", x, 11)
    assert [one.row for one in found] == [11] * 3
    names = ("dense_1", "dense_2", "classes")
    outputs = [mlp.get_layer(name).output for name in names]
    for one, theirs in zip(found, keras.Model(mlp.inputs[0], outputs)(x[None]), strict=True):
        assert np.allclose(one.values, theirs[0], atol=1e-5)
