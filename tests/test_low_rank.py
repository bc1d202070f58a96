"""Factors that keep everything compute the same; what they leave out is what the theorem says."""

import numpy as np
import pytest

from toolkit.errors import RecipeError
from toolkit.models.graph import flat
from toolkit.models.macs import macs
from toolkit.passes.low_rank import LowRank, factored, rank_of, split
from toolkit.predict import predictor

RNG = np.random.default_rng(0)


def of_rank(rank, rows, columns, seed=1):
    """A matrix f32 (rows, columns) that keeps the size of what goes through it."""
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(rows, rank)) @ rng.normal(size=(rank, columns))
    return (matrix / np.sqrt(rank * rows)).astype("f")


def convolution(way, *, high=3, wide=3, inputs=12, outputs=16, rank=2):
    """A kernel f32 (high, wide, inputs, outputs) that has a low rank the given way."""
    if way == "places":
        flat_kernel = of_rank(rank, high * inputs, wide * outputs)
        return flat_kernel.reshape(high, inputs, wide, outputs).transpose(0, 2, 1, 3)
    return of_rank(rank, high * wide * inputs, outputs).reshape(high, wide, inputs, outputs)


def product(factors):
    """The kernel that two kernels in a row amount to."""
    first, second = (f.astype(np.float64) for f in (factors.first, factors.second))
    if factors.way == "places":
        return np.einsum("hir,wro->hwio", first[:, 0], second[0])
    return first @ second.reshape(second.shape[-2:])


KERNELS = [
    ("units", RNG.normal(size=(20, 15)).astype("f")),
    ("channels", RNG.normal(size=(3, 3, 4, 6)).astype("f")),
    ("channels", RNG.normal(size=(1, 1, 9, 6)).astype("f")),
    ("places", RNG.normal(size=(3, 5, 4, 6)).astype("f")),
]


@pytest.mark.parametrize(("way", "kernel"), KERNELS)
def test_full_rank_is_the_kernel(way, kernel):
    assert np.allclose(product(split(kernel, way, 1.0)), kernel, atol=1e-5)


@pytest.mark.parametrize("energy", [0.3, 0.6, 0.9])
@pytest.mark.parametrize(("way", "kernel"), KERNELS)
def test_the_error_is_what_was_left_out(way, kernel, energy):
    """Eckart and Young; the singular values here come of the eigenvalues of a Gram matrix."""
    factors = split(kernel, way, energy)
    matrix = kernel.reshape(-1, kernel.shape[-1])
    if way == "places":
        matrix = kernel.transpose(0, 2, 1, 3).reshape(kernel.shape[0] * kernel.shape[2], -1)
    squares = np.linalg.eigvalsh(matrix.T.astype(np.float64) @ matrix)[::-1]
    left_out = squares[factors.rank :].sum()
    assert np.sum((product(factors) - kernel) ** 2) == pytest.approx(left_out, rel=1e-4)
    assert factors.energy == pytest.approx(1 - left_out / squares.sum(), abs=1e-6)
    assert factors.energy >= energy
    assert squares[: factors.rank - 1].sum() / squares.sum() < energy


def net():
    """Layers of low rank, with strides, dilation and both paddings; one is called twice."""
    import keras
    from keras import layers as k

    first = keras.Input((13, 10, 12))
    x = k.Conv2D(16, 3, strides=2, padding="same", activation="relu", name="strided")(first)
    x = k.Conv2D(16, 3, dilation_rate=2, padding="same", name="dilated")(x)
    twice = k.Conv2D(16, 1, use_bias=False, name="twice")
    x = k.ReLU()(k.BatchNormalization()(twice(twice(x))))
    x = k.Conv2D(16, (2, 3), name="uneven")(x)
    x = k.Dense(20, "tanh", name="placewise")(k.DepthwiseConv2D(2, name="depthwise")(x))
    x = k.Dense(20, "relu", name="dense")(k.Flatten()(x))
    return keras.Model(first, k.Dense(3, "softmax", name="classes")(x))


WAYS = {"strided": "places", "dilated": "channels", "uneven": "places"}


@pytest.fixture(scope="module")
def low():
    model, rng = net(), np.random.default_rng(2)
    for layer in model.layers:
        if layer.name in WAYS:
            high, wide, inputs, outputs = layer.kernel.shape
            sizes = {"high": high, "wide": wide, "inputs": inputs, "outputs": outputs}
            layer.kernel.assign(convolution(WAYS[layer.name], **sizes))
        elif layer.name in ("twice", "placewise", "dense"):
            kernel = of_rank(3, *layer.kernel.shape[-2:])
            layer.kernel.assign(kernel.reshape(layer.kernel.shape))
        if getattr(layer, "bias", None) is not None:
            layer.bias.assign(0.1 * rng.normal(size=layer.bias.shape))
    return model


def test_what_has_a_low_rank_computes_the_same(low):
    made, layers, skipped = factored(low, 1.0)
    ranks = {name: facts["rank"] for name, facts in layers.items()}
    assert ranks == {name: 2 if name in WAYS else 3 for name in ranks}
    assert set(ranks) == {*WAYS, "twice", "placewise", "dense"}
    assert {name: layers[name]["way"] for name in WAYS} == WAYS
    assert set(skipped) == {"depthwise", "classes"}
    assert "1.00 of its" not in skipped["classes"]
    x = np.random.default_rng(3).normal(size=(8, 13, 10, 12)).astype("f")
    assert np.allclose(made(x), low(x), atol=1e-5)


def test_the_work_is_what_the_facts_say(low):
    made, layers, _ = factored(low, 1.0)
    one_by_one = 0.0
    from toolkit.models.graph import graph_of, nodes_of
    from toolkit.models.macs import KERNELS, positions

    for node in nodes_of(graph_of(flat(low))):
        layer = node.operation
        if type(layer).__name__ in KERNELS:
            whole = positions(node) * np.prod(layer.kernel.shape)
            one_by_one += whole * layers.get(layer.name, {"macs": 1})["macs"]
    assert macs(made) == pytest.approx(one_by_one, rel=1e-5)


def test_a_kernel_of_zeros_has_rank_one():
    assert rank_of(np.zeros(4), 0.9) == (1, 1.0)


def test_the_pass_saves_work_and_still_classifies(cnn, digits):
    step = LowRank(energy=0.7, epochs=2)(cnn, digits.fit)
    before, after = step.facts["macs"]
    assert before == macs(cnn)
    assert after == macs(step.model) < before
    assert step.facts["parameters"][1] == step.model.count_params()
    untrained = factored(cnn, 0.7)[0]

    def right(model):
        return (predictor(model)(digits.test.x).argmax(axis=1) == digits.test.y).mean()

    assert right(step.model) > right(untrained)
    assert len(step.facts["history"]["loss"]) == 2


def test_work_in_a_nested_model_without_sizes_is_counted(digits):
    """Before and after, of the same places."""
    import keras
    from keras import layers

    first = keras.Input((None, None, 8))
    kernel = layers.Conv2D(8, 3, padding="same", name="inner")
    inner = keras.Model(first, kernel(first))
    kernel.kernel.assign(convolution("channels", inputs=8, outputs=8))
    last = [layers.GlobalAveragePooling2D(), layers.Dense(10, "softmax")]
    net = keras.Sequential([keras.Input((8, 8, 1)), layers.Conv2D(8, 1), inner, *last])
    facts = LowRank(energy=1.0, epochs=1)(net, digits.fit).facts
    assert facts["layers"]["inner"]["rank"] == 2
    rest = 8 * 8 * 8 + 8 * 10
    assert facts["macs"] == [8 * 8 * 9 * 8 * 8 + rest, 8 * 8 * (9 * 8 * 2 + 2 * 8) + rest]


def test_nothing_to_factor_is_not_trained(mlp, digits):
    step = LowRank(energy=1.0)(mlp, digits.fit)
    assert step.facts["layers"] == {}
    assert set(step.facts["skipped"]) == {"dense_1", "dense_2", "classes"}
    x = digits.test.x[:20]
    assert (predictor(step.model)(x) == predictor(mlp)(x)).all()


@pytest.mark.parametrize(
    "wrong", [{"energy": 0.0}, {"energy": 1.1}, {"epochs": -1}, {"rate": 0.0}, {"teacher": "bse"}]
)
def test_wrong_settings(wrong):
    with pytest.raises(RecipeError):
        LowRank(**wrong)


def test_other_layers_with_kernels_are_named(digits):
    import keras
    from keras import layers

    last = layers.Dense(10, "softmax", name="classes")
    net = keras.Sequential([layers.Input((8, 8)), layers.LSTM(4, name="lstm"), last])
    facts = LowRank(epochs=1)(net, digits.fit).facts
    assert facts["skipped"]["lstm"] == "LSTM is not factored"
