"""shap's explainers by name: right where they are exact, and their traps shut."""

import numpy as np
import pytest

from toolkit.errors import ModelError, RecipeError
from toolkit.explainers import EXPLAINERS, players_for
from toolkit.explainers.shaps import Deep, Kernel, Partition, Permutation, _tree
from toolkit.glossary import Data
from toolkit.models.keras_predictor import KerasPredictor
from toolkit.predict import OnnxPredictor

RNG = np.random.default_rng(0)


def table(p, n=30):
    x = RNG.normal(size=(n, p)).astype(np.float32)
    return Data(x, np.arange(n) % 2, ("no", "yes"), tuple(f"column {i}" for i in range(p)))


class Curved:
    """A sigmoid of sines, with products of neighbours, so that players need each other."""

    name, classes = "curved", 2

    def __init__(self, p):
        self.shape, self.batches = (p,), []

    def __call__(self, x):
        self.batches.append(len(x))
        z = np.sin(x.astype(np.float64))
        z = z.sum(axis=1) + 2 * (z[:, 1:] * z[:, :-1]).sum(axis=1)
        p = 1 / (1 + np.exp(-z))
        return np.stack([1 - p, p], axis=1)


def exactly(net, players, target):
    return EXPLAINERS["shapley"](samples=2**20)(net, players, target).values


def test_kernel_is_exact_for_twelve_players_and_none_is_zeroed():
    """shap keeps ten features unless it is told not to."""
    data, net = table(12), Curved(12)
    players = players_for(data.x[0], data)
    found = Kernel()(net, players, 1)
    assert found.facts["exact"]
    assert np.allclose(found.values, exactly(net, players, 1), atol=1e-6)
    assert (found.values != 0).all()
    assert found.converged
    # 4,094 coalitions and 30 background rows, in few batches
    assert len(net.batches) < 20


@pytest.mark.parametrize("kind", [Kernel, Permutation])
def test_sampled_values_lie_within_their_errors_and_add_up(kind):
    data, net = table(15), Curved(15)
    players = players_for(data.x[0], data)
    truth = exactly(net, players, 1)
    found = kind(samples=4000)(net, players, 1, seed=2)
    assert not found.facts["exact"]
    assert (found.stderr > 0).all()
    # four runs: t with three degrees of freedom is below 12.9 in 999 of 1,000
    assert (np.abs(found.values - truth) <= 12.9 * found.stderr).all()
    assert found.base + found.values.sum() == pytest.approx(found.prediction, abs=1e-6)
    # nobody and everybody are asked in every run
    assert found.facts["samples"] <= 4000 + 2 * 5


@pytest.mark.parametrize("p", [1, 2, 5, 20])
@pytest.mark.parametrize("kind", [Kernel, Permutation])
def test_players_that_are_what_hides_them_have_exactly_nothing(kind, p):
    data, net = table(20), Curved(20)
    hidden = np.arange(20) % 20 >= p
    data.x[:, hidden] = data.x[0, hidden]
    players = players_for(data.x[0], data)
    found = kind(samples=400)(net, players, 1)
    assert (found.values[hidden] == 0).all()
    assert (found.stderr[hidden] == 0).all()
    assert (found.values[~hidden] != 0).all()
    assert found.facts["exact"] == (p < 2 or (kind is Kernel and p < 9))
    if p < 3 or found.facts["exact"]:  # an order and its reverse are all of two
        assert np.allclose(found.values, exactly(net, players, 1), atol=1e-6)


def test_a_row_that_is_what_hides_it_has_no_reasons():
    data, net = table(4), Curved(4)
    data.x[:] = data.x[0]
    for kind in (Kernel, Permutation, Partition):
        assert not kind(samples=40)(net, players_for(data.x[0], data), 1).values.any()


def owen(value, tree, p):
    """Owen values of a binary tree by their definition: halves of a part share what it brings."""
    members = {i: [i] for i in range(p)}
    parts = {}
    for i, (a, b, *_) in enumerate(tree):
        parts[p + i] = int(a), int(b)
        members[p + i] = members[int(a)] + members[int(b)]
    found = np.zeros(p)

    def shared(part, present, weight):
        if part < p:
            found[part] += weight * (value(present | {part}) - value(present))
            return
        for one, other in (parts[part], parts[part][::-1]):
            shared(one, present, weight / 2)
            shared(one, present | set(members[other]), weight / 2)

    shared(p + len(tree) - 1, frozenset(), 1.0)
    return found


def test_partition_gives_owen_values_of_its_tree():
    data, net = table(6), Curved(6)
    players = players_for(data.x[0], data)

    def value(present):
        shown = np.zeros((1, 6), bool)
        shown[0, list(present)] = True
        return float(players.value(net, shown, 1)[0])

    found = Partition()(net, players, 1)
    assert found.facts["exact"]
    assert np.allclose(found.values, owen(value, _tree(players), 6), atol=1e-6)
    assert not np.allclose(found.values, exactly(net, players, 1), atol=1e-3)
    few = Partition(samples=20)(net, players, 1)
    assert not few.facts["exact"]
    assert (found.converged, few.converged) == (True, False)
    assert few.values.sum() == pytest.approx(found.values.sum(), abs=1e-6)


def test_trees_join_what_belongs_together():
    x = np.repeat(RNG.normal(size=(50, 2)), 2, axis=1) + 0.01 * RNG.normal(size=(50, 4))
    data = Data(x.astype(np.float32), np.arange(50) % 2, ("no", "yes"))
    joined = {frozenset(pair) for pair in _tree(players_for(data.x[0], data))[:2, :2].tolist()}
    assert joined == {frozenset({0, 1}), frozenset({2, 3})}
    still = Data(np.ones((5, 3), np.float32), np.arange(5) % 2, ("no", "yes"))
    assert np.isfinite(_tree(players_for(still.x[0], still))).all()
    pictures = Data(RNG.random((4, 8, 8, 1)).astype(np.float32), np.arange(4) % 2, ("no", "yes"),
                    kind="image")  # fmt: skip
    first = _tree(players_for(pictures.x[0], pictures))[0]
    assert abs(first[0] - first[1]) in (1, 4)  # neighbours in a grid of four by four


@pytest.mark.parametrize("kind", [Kernel, Permutation, Partition])
def test_a_single_player_gets_everything(kind):
    data, net = table(1), type("One", (Curved,), {})(1)
    found = kind()(net, players_for(data.x[0], data), 1)
    assert found.values.sum() == pytest.approx(found.prediction - found.base, abs=1e-7)


def test_deep_adds_up_for_every_class(cnn, digits):
    net = KerasPredictor(cnn, "cnn")
    players = players_for(digits.test.x[0], digits.fit.train)
    for target in (0, int(net(digits.test.x[:1]).argmax())):
        found = Deep()(net, players, target)
        assert found.facts["gap"] < 1e-5
        assert found.base == pytest.approx(net(players.drawn)[:, target].mean(), abs=1e-6)
        assert found.values.tobytes() == Deep()(net, players, target, seed=4).values.tobytes()


@pytest.mark.parametrize("head", ["sigmoid", None])
def test_deep_of_one_unit_and_of_logits(head):
    import keras

    keras.utils.set_random_seed(0)
    units = 1 if head else 3
    data = table(5)
    scale = keras.layers.Normalization()
    scale.adapt(3 * data.x + 1)
    layers = [keras.layers.Input((5,)), scale, keras.layers.Dense(6, "relu")]
    net = KerasPredictor(keras.Sequential([*layers, keras.layers.Dense(units, head)]), "net")
    for target in (0, 1):
        found = Deep()(net, players_for(data.x[0], data), target)
        assert found.facts["gap"] < 1e-5
        assert np.abs(found.values).max() > 1e-3


def test_deep_is_exact_for_a_net_without_bends():
    """Of a linear model DeepLIFT's contributions are weights times distances from the mean."""
    import keras

    keras.utils.set_random_seed(0)
    data = table(4)
    layers = [keras.layers.Input((4,)), keras.layers.Dense(3), keras.layers.Dense(1, "sigmoid")]
    model = keras.Sequential(layers)
    first, last = model.layers
    last.set_weights([0.01 * last.get_weights()[0], last.get_weights()[1]])
    found = Deep()(KerasPredictor(model, "net"), players_for(data.x[0], data), 1)
    weights = (first.get_weights()[0] @ last.get_weights()[0])[:, 0]
    by_hand = 0.25 * weights * (data.x[0] - data.x.mean(axis=0))
    # a sigmoid of small values is a line of slope a quarter
    assert np.allclose(found.values, by_hand, rtol=2e-3, atol=1e-7)


def test_deep_names_the_layer_for_which_it_is_not_right():
    import keras

    def net(*layers):
        ends = [keras.layers.Flatten(), keras.layers.Dense(2, "softmax")]
        model = keras.Sequential([keras.layers.Input((4, 4, 1)), *layers, *ends])
        return KerasPredictor(model, "net")

    x = RNG.random((3, 4, 4, 1)).astype(np.float32)
    pictures = Data(x, np.arange(3) % 2, ("no", "yes"), kind="image")
    players = players_for(x[0], pictures)
    for layer, said in (
        (keras.layers.DepthwiseConv2D(3, name="d"), "layer d, DepthwiseConv2D"),
        (keras.layers.Conv2D(2, 3, activation="swish", name="c"), r"layer c, Conv2D \(silu\)"),
        (keras.layers.ReLU(6.0, name="r"), "layer r, ReLU"),
    ):
        with pytest.raises(ModelError, match=said):
            Deep()(net(layer), players, 0)


def test_a_failing_deep_leaves_tensorflow_whole(monkeypatch):
    """Without care later gradients are looked up under shap's names, which are gone."""
    import keras
    import tensorflow as tf

    from toolkit.models import deep

    monkeypatch.setattr(deep, "LAYERS", (*deep.LAYERS, "DepthwiseConv2D"))
    layers = [keras.layers.DepthwiseConv2D(3), keras.layers.Flatten()]
    ends = [keras.layers.Dense(2, "softmax")]
    model = keras.Sequential([keras.layers.Input((4, 4, 1)), *layers, *ends])
    x = RNG.random((8, 4, 4, 1)).astype(np.float32)
    with pytest.raises(Exception, match="gradient registry"):
        deep.contributions(model, x[0], x, 0)

    @tf.function
    def slope(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            inverse = tf.math.divide_no_nan(1.0, x)
        return tape.gradient(inverse, x)

    assert float(slope(tf.constant(2.0))) == -0.25


def test_deep_of_an_onnx_is_refused(frontier, digits):
    small = OnnxPredictor(frontier.base.path, "base")
    with pytest.raises(RecipeError, match="give the Keras file"):
        Deep()(small, players_for(digits.test.x[0], digits.fit.train), 0)


def test_deep_refuses_operations_that_are_no_layers():
    from toolkit.explainers.players import features
    from toolkit.models import build

    rng = np.random.default_rng(0)
    x = np.stack([rng.integers(0, 3, 60), rng.normal(size=60)], 1).astype(np.float32)
    named = {0: ("Rome", "Oslo", "Bonn")}
    data = Data(x, (x[:, 0] == 1).astype(int), ("n", "y"), ("town", "n"), categories=named)
    net = KerasPredictor(build("tabular", data), "towns")
    with pytest.raises(ModelError, match="deep is not right for operation"):
        Deep()(net, features(x[0], data), 1)
