"""Few values a kernel, in Keras and in the file, and the zeros of a pruned model kept."""

import dataclasses

import numpy as np
import pytest

from toolkit import sparsity
from toolkit.errors import RecipeError
from toolkit.exporting import export
from toolkit.passes import PASSES, apply
from toolkit.passes.cluster import Cluster
from toolkit.predict import predictor

FOLDED = ("conv_a", "conv_b")
"""Kernels that the exporter multiplies by a number an output, that of the batch norm after them."""


def test_every_kernel_has_few_values(clustered):
    for name, kernel in sparsity.kernels(clustered.model).items():
        if "depthwise" in name:
            assert sparsity.distinct(kernel) > 16
        else:
            assert sparsity.distinct(kernel) <= 16
            assert clustered.facts["distinct"][name] == sparsity.distinct(kernel)
    assert clustered.facts["skipped"] == {"depthwise": "DepthwiseConv2D is not clustered"}


def test_zeros_stay_zeros(sparse, clustered):
    before, after = (sparsity.kernels(step.model) for step in (sparse, clustered))
    for name, kernel in after.items():
        assert not kernel[before[name] == 0].any()
        assert clustered.facts["sparsity"][name] >= sparse.facts["sparsity"][name]


@pytest.mark.parametrize("quantiser", [(), ("float16",), ("static_int8",)])
def test_the_file_has_few_values_and_the_same_zeros(quantiser, clustered, digits):
    small = export(clustered.model, digits.fit.validation).model
    for name in (*quantiser, "pack", "shorten"):
        small = PASSES[name]()(small, digits.fit).model
    ours, theirs = sparsity.kernels(clustered.model), sparsity.kernels(small)
    for (name, mine), stored in zip(ours.items(), theirs.values(), strict=True):
        assert mine.shape == stored.shape
        assert not stored[mine == 0].any()
        if "depthwise" in name:
            continue
        assert sparsity.distinct_an_output(stored) <= 16
        whole = quantiser != ("static_int8",) and not name.startswith(FOLDED)
        if whole:  # int8 has a scale an output
            assert sparsity.distinct(stored) <= 16


def test_a_dense_model_stays_dense_and_classifies(cnn, digits):
    step = apply(Cluster(epochs=1), cnn, digits.fit)
    assert "sparsity" not in step.facts
    assert set(step.facts["distinct"].values()) == {16}
    answers = predictor(step.model)(digits.test.x).argmax(axis=1)
    assert (answers == digits.test.y).mean() > 0.8


def test_values_are_counted_by_outputs_once_a_batch_norm_is_folded_in():
    """4 values in every output, each output a size of its own: 4, not 32."""
    import keras
    from keras import layers

    before = keras.Sequential([layers.Input((64,)), layers.Dense(8, name="shared")])
    after = keras.models.clone_model(before)
    kernel = np.random.default_rng(0).choice([-2.0, -1.0, 1.0, 3.0], (64, 8))
    before.layers[0].kernel.assign(kernel)
    after.layers[0].kernel.assign(kernel * np.linspace(0.5, 1.5, 8))
    assert list(sparsity.told(before, after)["distinct"].values()) == [4]
    assert list(sparsity.told(after, before)["distinct"].values()) == [4]
    before.layers[0].kernel.assign(kernel * (np.arange(512).reshape(64, 8) % 3 > 0))
    assert list(sparsity.told(before, before)["distinct"].values()) == [5]
    after.layers[0].kernel.assign(np.random.default_rng(0).normal(size=(64, 8)))
    assert list(sparsity.told(before, after)["distinct"].values()) == [512]


def test_a_kernel_with_few_weights_is_left(cnn, digits):
    step = Cluster(clusters=100, epochs=1)(cnn, digits.fit)
    assert step.facts["skipped"] == {
        "conv_1a": "it has 72 weights beside 0, too few for 100 values"
    }


def test_a_nearly_empty_kernel_can_be_clustered(tabular, wine):
    """Hardly two weights a value, on either side of zero; fewer are left."""
    bare = PASSES["prune"](sparsity=0.96, epochs=1)(tabular, wine.fit).model
    step = apply(Cluster(epochs=1), bare, wine.fit)
    before, after = sparsity.kernels(bare), sparsity.kernels(step.model)
    counted = [np.count_nonzero(kernel) for kernel in before.values()]
    assert 32 <= counted[0] < 36
    assert list(step.facts["skipped"].values()) == [
        f"it has {counted[-1]} weights beside 0, too few for 16 values"
    ]
    for name, kernel in after.items():
        assert not kernel[before[name] == 0].any()
    assert all(sparsity.distinct(kernel) <= 16 for kernel in [*after.values()][:-1])


def test_values_that_are_told_are_kept_by_trained_rounding(wine):
    """Also where a kernel has hardly more weights than values."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(2)
    net = keras.Sequential(
        [layers.Input((13,)), layers.Dense(9, "relu"), layers.Dense(3, "softmax", name="small")]
    )
    few = apply(Cluster(epochs=1), net, wine.fit)
    whole = apply(PASSES["quantise_aware"](epochs=3, rate=5e-3), few.model, wine.fit)
    told, kept = (list(step.facts["distinct"].values()) for step in (few, whole))
    assert all(now <= then for then, now in zip(told, kept, strict=True) if then <= 16)
    assert told == [16, 27]
    assert few.facts["skipped"] == {"small": "it has 27 weights beside 0, too few for 16 values"}


@pytest.mark.parametrize("name", ["hard_silu", "hard_sigmoid", "leaky_relu"])
def test_activations_that_the_kerases_know_otherwise(name, wine):
    import keras
    from keras import layers

    keras.utils.set_random_seed(0)
    net = keras.Sequential(
        [layers.Input((13,)), layers.Dense(32, name), layers.Dense(3, "softmax")]
    )
    step = Cluster(epochs=1)(net, wine.fit)
    assert step.model.layers[0].activation.__name__ == name
    assert sparsity.distinct(step.model.layers[0].kernel.numpy()) <= 16


@pytest.mark.parametrize(
    "wrong", [{"clusters": 1}, {"clusters": 257}, {"epochs": -1}, {"rate": 0.0}, {"teacher": ""}]
)
def test_wrong_settings(wrong):
    with pytest.raises(RecipeError):
        Cluster(**wrong)


@pytest.mark.parametrize("step", [Cluster(), PASSES["prune"](pattern="2:4")])
def test_where_every_kernel_stays_nothing_is_trained(step, wine, monkeypatch):
    """Training alone would be called a compression."""
    import keras
    from keras import layers

    from toolkit.passes import cluster, prune

    def never(*_, **__):
        raise AssertionError

    monkeypatch.setattr(cluster, "tune", never)
    monkeypatch.setattr(prune, "tune", never)
    net = keras.Sequential(
        [layers.Input((2,)), layers.Dense(2, "relu", name="one"), layers.Dense(3, "softmax")]
    )
    rows = dataclasses.replace(wine.fit.train, x=wine.fit.train.x[:, :2])
    done = step(net, dataclasses.replace(wine.fit, train=rows, base=None))
    assert len(done.facts["skipped"]) == 2
    assert "history" not in done.facts
    for kept, was in zip(done.model.get_weights(), net.get_weights(), strict=True):
        assert np.array_equal(kept, was)
