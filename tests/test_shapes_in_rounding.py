"""What pruning and clustering made of kernels outlasts trained rounding."""

import numpy as np
import onnx

from toolkit.exporting import export
from toolkit.passes.quantise_aware import QuantiseAware


def test_zeros_and_shared_values_are_kept(digits, cnn):
    """A pruned and clustered net stays so, in Keras and in the integers of the file."""
    import keras

    sparse = keras.models.clone_model(cnn)
    for new, old in zip(sparse.layers, cnn.layers, strict=True):
        if hasattr(old, "kernel"):
            kernel = old.kernel.numpy()
            values = np.quantile(kernel, [0.05, 0.2, 0.8, 0.95])
            nearest = values[np.abs(kernel[..., None] - values).argmin(-1)]
            kernel = np.where(np.abs(kernel) < np.quantile(np.abs(kernel), 0.5), 0.0, nearest)
            new.set_weights([kernel.astype(np.float32), old.bias.numpy()])
    step = QuantiseAware(epochs=2)(sparse, digits.fit)
    for layer in (layer for layer in step.model.layers if hasattr(layer, "kernel")):
        before, after = sparse.get_layer(layer.name).kernel.numpy(), layer.kernel.numpy()
        assert ((after == 0) >= (before == 0)).all()
        assert len(np.unique(after)) <= 5
        assert not np.allclose(np.unique(after), np.unique(before))  # clusters were trained
    file = export(step.model, digits.fit.validation).model
    for tensor in file.graph.initializer:
        values = onnx.numpy_helper.to_array(tensor)
        if values.dtype == np.int8 and values.ndim > 1:
            assert len(np.unique(values)) <= 5
            assert (values == 0).mean() >= 0.49


def test_zeros_and_shared_values_of_a_layer_that_stays_float_are_kept(digits):
    """No rule rounds a transposed convolution in training: it trained on, and was dense again."""
    from keras import Sequential, layers, utils

    utils.set_random_seed(0)
    up = layers.Conv2DTranspose(8, 3, strides=2, name="up")
    start = [layers.Input((8, 8, 1)), layers.Rescaling(1 / 16), layers.Conv2D(8, 3)]
    net = Sequential([*start, up, layers.Flatten(), layers.Dense(10, "softmax")])
    kernel = up.kernel.numpy()
    values = np.where(np.abs(kernel) < np.median(np.abs(kernel)), 0.0, 0.1 * np.sign(kernel))
    up.kernel.assign(values)
    step = QuantiseAware(epochs=1)(net, digits.fit)
    assert "up" in step.facts["skipped"]
    assert np.array_equal(step.model.get_layer("up").kernel.numpy(), values.astype(np.float32))


def test_small_kernels_keep_their_shared_values(wine):
    """13x8 weights of which half are zeros: some 50 that share 16 values, three to each."""
    from keras import Sequential, layers, utils

    utils.set_random_seed(0)
    first = layers.Dense(8, "relu", name="first")
    net = Sequential([layers.Input((13,)), first, layers.Dense(3, "softmax")])
    kernel = first.kernel.numpy()
    values = np.quantile(kernel, np.linspace(0.02, 0.98, 16))
    nearest = values[np.abs(kernel[..., None] - values).argmin(-1)]
    first.kernel.assign(np.where(np.arange(104).reshape(13, 8) % 2 == 0, 0.0, nearest))
    step = QuantiseAware(epochs=3)(net, wine.fit)
    after = step.model.get_layer("first").kernel.numpy()
    assert len(np.unique(after)) <= 17
    assert (after == 0).sum() >= 52
