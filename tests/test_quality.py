"""Each definition on a case worked by hand, and what becomes of it for a model."""

import math

import numpy as np
import pytest

from toolkit.errors import ModelError, RecipeError
from toolkit.explainers import EXPLAINERS
from toolkit.explainers.players import features, grid, words
from toolkit.glossary import Attribution, Data, Words
from toolkit.predict import predictor
from toolkit.quality import CHEAP, FIGURES, chosen, quality
from toolkit.quality.agreement import agreement, agreements
from toolkit.quality.complexity import complexity
from toolkit.quality.infidelity import infidelities, infidelity
from toolkit.quality.randomisation import likeness, randomisations
from toolkit.quality.sensitivity import RADIUS, around, max_sensitivity, sensitivities


class Weighted:
    """0.5 plus a weighted sum; its Shapley values are known."""

    name, classes, shape = "w", 2, (3,)
    weights = np.array([0.3, 0.1, -0.2])

    def __call__(self, x):
        yes = 0.5 + x.astype(float) @ self.weights
        return np.stack([1 - yes, yes], axis=1).astype(np.float32)

    def shuffled(self, seed):
        other = Weighted()
        other.weights = self.weights[[1, 2, 0]]
        return other


@pytest.fixture
def players():
    data = Data(np.zeros((1, 3), np.float32), np.array([0]), ("no", "yes"), ("a", "b", "c"))
    return features(np.ones(3, np.float32), data)


def attributed(values, method="shapley", row=0):
    values = np.asarray(values, float)
    return Attribution(method, "w", row, values, 0 * values, 0.5, 0.7, 1, 1, 0, True)


def test_infidelity_by_hand():
    """Two sets of hidden players: gaps of 0.3 - 0.2 and 0.4 - 0.6, squared and averaged."""
    hidden = np.array([[True, False], [True, True]])
    assert infidelity(np.array([0.3, 0.1]), hidden, np.array([0.2, 0.6])) == pytest.approx(
        (0.01 + 0.04) / 2
    )


def test_a_linear_model_has_no_infidelity(players):
    ours = [attributed([0.3, 0.1, -0.2]), attributed([0.3, -0.1, -0.2], "lime")]
    found = {m.name: m.value for m in infidelities(Weighted(), ours, {0: players})}
    assert found["infidelity shapley"] < 1e-12
    # one value is 0.2 off, and its player is hidden in half of all sets
    assert found["infidelity lime"] == pytest.approx(0.04 / 2, rel=0.3)
    # of nothing: the mean square of 0.3 a + 0.1 b - 0.2 c over all a, b, c of 0 and 1
    drops = [0.3 * a + 0.1 * b - 0.2 * c for a in (0, 1) for b in (0, 1) for c in (0, 1)]
    assert found["infidelity nothing"] == pytest.approx(np.mean(np.square(drops)), rel=0.3)


def test_complexity_by_hand():
    assert complexity(np.array([0.5, 0.0, 0.0])) == 0
    assert complexity(np.array([1.0, -1.0, 1.0, 1.0])) == pytest.approx(math.log(4))
    share = np.array([0.5, 0.25, 0.25])
    assert complexity(share) == pytest.approx(0.5 * math.log(2) + 0.5 * math.log(4))
    assert complexity(np.zeros(3)) == 0
    # rounding of float32 is no reason
    assert complexity(np.array([1e-9, -1e-17, 0.4])) == 0
    assert complexity(np.full(6, 1e-16)) == 0


def test_agreement_by_hand():
    """Foremost three: (0, 1, 2) and (0, 2, 3): two are shared, one at its place."""
    one, other = np.array([0.9, -0.8, 0.7, 0.1]), np.array([0.9, 0.0, -0.8, 0.7])
    assert agreement(one, other, k=3) == pytest.approx(
        {"feature": 2 / 3, "rank": 1 / 3, "sign": 1 / 3}
    )
    assert agreement(one, one, k=9) == {"feature": 1, "rank": 1, "sign": 1}
    # what moved nothing is named by nobody, and rounding moves nothing
    alone, elsewhere, nothing = np.eye(10)[0], np.eye(10)[9], np.zeros(10)
    none, whole = (dict.fromkeys(("feature", "rank", "sign"), n) for n in (0, 1))
    assert agreement(alone, elsewhere) == agreement(nothing, alone) == none
    assert agreement(alone, alone + 1e-9) == agreement(nothing, nothing) == whole
    found = agreements([attributed(one), attributed(other, "lime")])
    assert [m.name for m in found] == [
        f"method_agreement {figure} shapley~lime" for figure in ("feature", "rank", "sign")
    ]
    assert found[0].value == 3 / 4  # of four players, one of which moved one of the two alone


def test_max_sensitivity_by_hand():
    """The farthest of three is (0, 5), at a distance of 5 from (3, 4) ... of a length of 5."""
    near = np.array([[3.0, 4.0], [3.0, 5.0], [0.0, 8.0]])
    assert max_sensitivity(np.array([3.0, 4.0]), near) == pytest.approx(5 / 5)
    # of nothing no share can be told, and nothing beside nothing has not moved
    assert max_sensitivity(np.zeros(2), near) is None
    assert max_sensitivity(np.full(2, 1e-17), 1e-16 * near) == 0


def test_the_sensitivity_of_a_linear_model(players):
    """Its Shapley values are w x: they move by at most w times the radius times the spread."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(50, 3)).astype(np.float32)
    data = Data(x, np.zeros(50, np.int64), ("no", "yes"), ("a", "b", "c"))
    own = features(x[0], data)
    explainer = EXPLAINERS["shapley"]()
    a = explainer(Weighted(), own, 1)
    (found,) = sensitivities(Weighted(), [explainer], [a], {0: own})
    most = RADIUS * np.linalg.norm(Weighted.weights * x.std(axis=0)) / np.linalg.norm(a.values)
    assert most / 3 < found.value <= most * 1.001


def test_chance_counts_for_no_sensitivity(monkeypatch):
    """A row that does not move has the same reasons, though each is drawn by chance."""
    monkeypatch.setattr("toolkit.quality.sensitivity.RADIUS", 0.0)
    x = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    own = features(x[0], Data(x, np.zeros(50, np.int64), ("no", "yes"), ("a", "b", "c")))
    explainer = EXPLAINERS["lime"](samples=400)
    a = explainer(Weighted(), own, 1, seed=7)
    (found,) = sensitivities(Weighted(), [explainer], [a], {0: own}, seed=1)
    assert found.value == 0


def test_rows_nearby_keep_categories_and_pictures_their_range():
    x = np.float32([[0, 1.0], [1, 3.0], [2, 8.0]])
    table = Data(x, np.arange(3) % 2, ("n", "y"), ("a", "b"), categories={0: ("u", "v", "w")})
    rng = np.random.default_rng(0)
    names = ("a=u", "a=v", "a=w", "b")
    spread_out = Data(np.eye(3, 4, dtype=np.float32), table.y, ("n", "y"), names)
    spread_out.x[:, 3] = [1, 3, 8]
    for _ in range(20):
        moved = around(features(spread_out.x[1], spread_out), rng)
        assert moved[:3].tolist() == [0, 1, 0]
        assert moved[3] != 3
        moved = around(features(x[1], table), rng)
        assert moved[0] == 1
        assert 0 < abs(moved[1] - 3) <= RADIUS * x[:, 1].std() * 1.001
    picture = Data(np.zeros((2, 4, 4, 1), np.float32), np.arange(2), ("n", "y"), kind="image")
    picture.x[0] = np.linspace(0, 10, 16).reshape(4, 4, 1)
    moved = around(grid(picture.x[0], picture), rng)
    assert 0 < np.abs(moved - picture.x[0]).max() <= RADIUS * 10 * 1.001


def test_words_have_no_sensitivity():
    text = Data(np.float32([[2, 3]]), np.array([0]), ("n", "y"), kind="text", words=Words(("",), 2))
    own = {0: words(text.x[0], text)}
    assert sensitivities(Weighted(), [EXPLAINERS["lime"]()], [attributed([1, 2])], own) == ()


def test_likeness_is_spearmans_correlation_of_sizes():
    from scipy.stats import spearmanr

    rng = np.random.default_rng(0)
    for _ in range(5):
        a, b = rng.normal(size=(2, 9))
        a[3] = a[4]
        theirs = spearmanr(np.abs(a), np.abs(b)).statistic
        assert likeness(a, b) == pytest.approx(theirs, abs=1e-9)
    assert likeness(np.zeros(4), rng.normal(size=4)) == 0


def test_players_that_move_neither_model_make_no_likeness():
    """Two models without a thing in common, of 16 columns of which 10 never change."""
    rng = np.random.default_rng(0)
    still, pairs = np.zeros(10), rng.normal(size=(200, 2, 6))
    alike = [likeness(np.append(a, still), np.append(b, still)) for a, b in pairs]
    # the standard error of a rank correlation of six is 1 / sqrt(5)
    assert abs(np.mean(alike)) < 4 * (1 / 5) ** 0.5 / 200**0.5
    assert likeness(np.array([0.3]), np.array([0.2])) is None
    assert likeness(np.zeros(5), np.full(5, 1e-16)) is None


def test_shuffled_weights_change_the_reasons(players):
    """Sizes (3, 1, 2) beside (1, 2, 3): Spearman's rank correlation by hand is -0.5."""
    explainer = EXPLAINERS["shapley"]()
    ours = [explainer(Weighted(), players, 1)]
    (found,) = randomisations(Weighted(), [explainer], ours, {0: players})
    assert found.value == pytest.approx(-0.5)


@pytest.mark.parametrize("kind", ["keras", "onnx", "int8"])
def test_models_are_shuffled_and_stay_as_they_are(kind, mlp, frontier, digits):
    made = {"onnx": frontier.base.path, "int8": frontier.candidates[1].path, "keras": mlp}
    own = predictor(made[kind], "net")
    x = digits.test.x[:50]
    before = own(x)
    one, same, other = (own.shuffled(s)(x) for s in (1, 1, 2))
    assert np.array_equal(own(x), before)
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)
    assert np.abs(one - before).max() > 0.1
    assert (one.argmax(axis=1) == digits.test.y[:50]).mean() < 0.5


def test_weights_in_nodes_are_shuffled_as_those_beside_them(dense_onnx, digits):
    import onnx

    inside = onnx.load(dense_onnx)
    nodes = [
        onnx.helper.make_node("Constant", [], [t.name], value=t) for t in inside.graph.initializer
    ]
    nodes += inside.graph.node
    del inside.graph.initializer[:], inside.graph.node[:]
    inside.graph.node.extend(nodes)
    x = digits.test.x[:20]
    one, other = (predictor(m).shuffled(1)(x) for m in (dense_onnx, inside.SerializeToString()))
    assert np.array_equal(one, other)
    assert np.abs(one - predictor(dense_onnx)(x)).max() > 0.1


def test_a_graph_without_weights_cannot_be_shuffled():
    from onnx import TensorProto, helper

    node = helper.make_node("Softmax", ["x"], ["y"])
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [None, 3]) for n in "xy"]
    graph = helper.make_graph([node], "g", ends[:1], ends[1:])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    with pytest.raises(ModelError, match="no weights"):
        predictor(made.SerializeToString(), "bare").shuffled(0)


def test_a_plain_function_cannot_be_shuffled(players):
    class Plain:
        name, classes, shape = "plain", 2, (3,)
        __call__ = Weighted.__call__
        weights = Weighted.weights

    with pytest.raises(RecipeError, match="plain"):
        randomisations(Plain(), [], [attributed([1, 2, 3])], {0: players})


def test_all_figures_of_two_methods(frontier, digits):
    own = predictor(frontier.base.path, "base")
    rows = {i: grid(digits.test.x[i], digits.fit.train) for i in (0, 1, 2)}
    ways = [EXPLAINERS["shapley"](samples=400), EXPLAINERS["lime"](samples=400)]
    target = own(digits.test.x[:3]).argmax(axis=1)
    ours = [w(own, p, int(target[i]), row=i) for i, p in rows.items() for w in ways]
    found = {m.name: m for m in quality(own, ways, ours, rows, figures=["all"])}
    assert found["infidelity shapley"].value < found["infidelity nothing"].value
    assert found["gain_deletion shapley"].value > 0
    assert found["gain_insertion lime hidden:blur"].value > 0
    assert 0 < found["max_sensitivity lime"].value < 1
    assert abs(found["randomisation shapley"].value) < 0.9
    assert 0 <= found["stability lime"].value <= 1
    assert 0 < found["r2 lime"].value < 1
    assert found["method_agreement feature shapley~lime"].value > 0.4
    cheap = quality(own, ways, ours, rows)
    assert {m.name for m in cheap} < set(found)
    assert not any("sensitivity" in m.name for m in cheap)


def test_names_of_figures():
    assert chosen(["all"]) == tuple(FIGURES)
    assert set(CHEAP) < set(FIGURES)
    with pytest.raises(RecipeError, match="did you mean infidelity"):
        chosen(["infedelity"])


def test_the_study_takes_figures(wine, tabular):
    from toolkit.studying import study

    quick = [EXPLAINERS["lime"](samples=200)]
    net = predictor(tabular, "net")
    found = study([net], wine, methods=quick, rows=[1, 5], figures=["randomisation"])
    names = {m.name for m in found.measurements}
    assert "randomisation lime" in names
    assert not any(n.startswith(("deletion", "complexity")) for n in names)


def test_mapped_and_finer_models_are_shuffled_too(frontier, digits):
    from toolkit.alignment import Mapped
    from toolkit.fidelity.resolution import FromLogits

    own = predictor(frontier.base.path, "base")
    x = digits.test.x[:5]
    order = list(range(9, -1, -1))
    for wrapped in (Mapped(own, order=order), FromLogits(own)):
        straight = own.shuffled(3)(x)
        expected = straight[:, order] if isinstance(wrapped, Mapped) else straight
        assert np.allclose(wrapped.shuffled(3)(x), expected, atol=1e-5)

    class Plain:
        name, classes, shape = "plain", 2, (3,)

        def logits(self, x):
            return x

    assert Mapped(Plain()).shuffled is None
    assert FromLogits(Plain()).shuffled is None
