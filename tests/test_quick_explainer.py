"""A net that explains: what it learns from, that the file computes it, what it tells of itself."""

import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from toolkit import explainer_net, quick_explainer
from toolkit.cli import run
from toolkit.errors import MatchError, ModelError, RecipeError
from toolkit.explainer_labels import asked, exact, labels_of, rows_of
from toolkit.explainers.choices import USUAL, Choice
from toolkit.exporting import export
from toolkit.glossary import Data, Fit, Splits
from toolkit.quick_explainer import distil_explainer, error_of, together
from toolkit.training import Settings


class Linear:
    """Three classes whose probabilities are linear in five columns."""

    name, classes, shape = "linear", 3, (5,)
    slopes = np.array([[0.05, -0.02, 0.01, 0.03, 0.0], [-0.01, 0.04, 0.02, 0.0, -0.03]])

    def __call__(self, x, /):
        two = 1 / 3 + x @ self.slopes.T
        return np.column_stack([two, 1 - two.sum(axis=1)]).astype(np.float32)


@pytest.fixture
def table():
    x = np.random.default_rng(0).uniform(-1, 1, (60, 5)).astype(np.float32)
    return Data(x, np.zeros(60, np.int64), ("a", "b", "c"), tuple("vwxyz"))


def test_labels_of_a_linear_model_are_exact(table):
    """Every walk gives slope times (row - background), whatever the order."""
    players = asked(table, USUAL, 0)
    target = Linear()(table.x).argmax(axis=1)
    found = labels_of(Linear(), players, table.x, target, seed=3)
    slopes = np.vstack([Linear.slopes, -Linear.slopes.sum(axis=0)])
    assert len(set(target)) > 1
    wanted = slopes[target] * (table.x - table.x.mean(axis=0))
    assert np.abs(found - wanted).max() < 1e-6


@pytest.fixture(scope="module")
def model(tabular, wine, tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "wine.onnx"
    path.write_bytes(export(tabular, wine.fit.validation).model.SerializeToString())
    return path


def test_labels_are_right_on_average(model, wine):
    """The mean of many cheap labels lies within its own standard error of the exact values."""
    from toolkit.predict import OnnxPredictor

    predict = OnnxPredictor(model, "wine", 1)
    players = asked(wine.fit.train, Choice(rows=8), 0)
    x = wine.test.x[:2]
    targets = predict(x).argmax(axis=1)
    truth, surely = exact(predict, players, x, targets, 0)
    assert surely
    labels = np.array(
        [labels_of(predict, players, x, targets, evaluations=100, seed=seed) for seed in range(300)]
    )
    error = labels.std(axis=0, ddof=1) / 300**0.5
    # of 26 values none beyond 4.5 standard errors: by chance in 2 of 10,000 runs
    assert (np.abs(labels.mean(axis=0) - truth) <= 4.5 * error + 1e-7).all()
    assert error.max() > 0


def test_more_rows_are_made_of_a_small_table_alone(wine, digits):
    x = rows_of(wine.fit.train, 500, 0)
    assert np.array_equal(np.unique(x[:107], axis=0), np.unique(wine.fit.train.x, axis=0))
    assert len(np.unique(x, axis=0)) > 400
    for j in range(13):
        assert set(x[:, j]) <= set(wine.fit.train.x[:, j])
    few = rows_of(digits.fit.train, 50, 0)
    assert len(np.unique(few.reshape(50, -1), axis=0)) == 50
    with pytest.raises(RecipeError, match="text"):
        asked(Data(wine.test.x, wine.test.y, wine.test.classes, kind="text"), USUAL, 0)
    for choice in (Choice(rows=20), Choice(players="superpixels"), Choice(hidden="blur")):
        with pytest.raises(RecipeError):
            asked(digits.fit.train, choice, 0)


@pytest.mark.parametrize("kind", ["two classes", "categories", "picture"])
def test_the_file_computes_what_the_net_does(kind, table, digits):
    classes, shape = 2 if kind == "two classes" else 3, (5,)
    x = table.x
    if kind == "categories":
        x = np.concatenate([x[:, :4], np.arange(60)[:, None] % 4], axis=1).astype(np.float32)
        table = Data(x, table.y, table.classes, table.features, categories={4: tuple("abcd")})
    if kind == "picture":
        table, x, shape = digits.test, digits.test.x[:9], (64,)
    rng = np.random.default_rng(1)
    base = rng.dirichlet(np.ones(classes))
    p = rng.dirichlet(np.ones(classes), len(x)).astype(np.float32)
    p[0] = np.eye(classes)[1]  # a zero, whose logarithm is none
    front = explainer_net.front_of(table, base, 5)
    net = explainer_net.net_of(front, 0)
    content = explainer_net.written(net, front, shape, {"explains": "x"})
    assert explainer_net.proven(content, net, front, x, p) < 1e-5
    found = explainer_net.answers(content, x, p)
    first = p.argmax(axis=1)
    assert np.allclose(found.sum(axis=1), p.max(axis=1) - base[first], atol=1e-6)
    raw = np.asarray(net(front.features(x, p)), np.float64)
    i = int(np.flatnonzero(first == (0 if classes == 2 else 2))[0])
    mine = -raw[i] if classes == 2 else raw[i].reshape(3, 5)[2]
    even = (p[i].max() - base[first[i]] - mine.sum()) / 5
    assert np.allclose(found[i], mine + even, atol=1e-5)
    alone = explainer_net.answers(content, x[i : i + 1], p[i : i + 1])[0]
    assert np.abs(alone - found[i]).max() < 1e-6
    for changed in net.weights:
        changed.assign(changed * 1.5)
    with pytest.raises(explainer_net.ExportError, match="differs from Keras"):
        explainer_net.proven(content, net, front, x, p)


BRIEF = Settings(epochs=40, batch=128, learning_rate=4e-3)


@pytest.fixture(scope="module")
def made(model, wine):
    return distil_explainer(model, wine, rows=2048, choice=Choice(rows=10), settings=BRIEF)


def test_it_learns_and_says_what_it_is_of(made, model, wine, tmp_path):
    judged = made.judged
    assert judged.exact
    assert judged.low <= judged.error <= judged.high < judged.constant / 2
    assert judged.within(judged.high)
    assert not judged.within(judged.error)
    path = made.save(tmp_path / "why.onnx")
    told = {e.key: e.value for e in onnx.load(path).metadata_props}
    assert json.loads(told["players"]) == list(wine.test.features)
    assert len(told["background"]) == len(told["explains"]) == 64
    both = together(model, path)
    p, found = both(wine.test.x)
    base = np.array(json.loads(told["base"]))
    assert np.allclose(found.sum(axis=1), p.max(axis=1) - base[p.argmax(axis=1)], atol=1e-6)
    # the error that is told is that of this very file
    from toolkit.predict import OnnxPredictor

    net, players = OnnxPredictor(model, "m", 1), asked(wine.fit.train, Choice(rows=10), 0)
    truth, _ = exact(net, players, wine.test.x, net(wine.test.x).argmax(axis=1), 0)
    assert error_of(found, truth)[0] == pytest.approx(judged.error, rel=1e-3)


def test_an_explainer_of_another_model_is_refused(made, model, frontier, tmp_path):
    path = made.save(tmp_path / "why.onnx")
    with pytest.raises(MatchError, match="explains"):
        together(frontier.base.path, path)
    with pytest.raises(ModelError, match="is no explainer"):
        together(model, frontier.base.path)


def test_the_same_seed_gives_the_same_file(model, wine):
    brief = Settings(epochs=2)
    one, two = (
        distil_explainer(
            model, wine, rows=128, choice=Choice(rows=3), settings=brief, seed=1
        ).content
        for _ in range(2)
    )
    assert one == two


def test_errors_by_hand():
    truth = np.array([[3.0, 4.0], [0.0, 1.0]])
    found = np.array([[3.0, 1.0], [0.0, 1.0]])
    error, low, high = error_of(found, truth)
    assert error == 0.5
    assert (low, high) == (0.0, 0.6)


def test_the_command_keeps_and_refuses(model, tmp_path, capsys, monkeypatch):
    brief = quick_explainer.distil_explainer.__kwdefaults__
    monkeypatch.setitem(brief, "rows", 256)
    monkeypatch.setitem(brief, "settings", Settings(epochs=3))
    out = tmp_path / "why.onnx"
    command = ["explain", model, "--data", "wine", "--background", 5, "--distil-explainer", out]

    def called(*more):
        code = run(["explain"], [str(c) for c in (*command[1:], *more)], "explain")
        return code, *capsys.readouterr()

    code, said, _ = called("--max-error", 0.001)
    assert code == 1
    assert "FAIL: the error may be" in said
    assert list(tmp_path.iterdir()) == []
    code, said, _ = called("--max-error", 50, "--json")
    assert code == 0
    assert json.loads(said)["path"] == str(out)
    assert [p.name for p in tmp_path.iterdir()] == ["why.onnx"]
    for more, wrong in (
        (["--out", tmp_path / "o.html"], "leave --out out"),
        (["--stable"], "--stable with --distil-explainer"),
        (["--quality", "all"], "--quality with --distil-explainer"),
        (["--max-error", -1], "--max-error -1"),
    ):
        code, _, error = called(*more)
        assert code == 2
        assert wrong in error


def rounded(model):
    """The model, its probabilities in steps of 1/256, as a softmax in integers gives them."""
    from onnx import helper, numpy_helper

    changed = onnx.load(model)
    graph = changed.graph
    last = graph.output[0].name
    for node in graph.node:
        node.output[:] = ["fine" if name == last else name for name in node.output]
    graph.initializer.append(numpy_helper.from_array(np.float32(1 / 256), "step"))
    graph.initializer.append(numpy_helper.from_array(np.uint8(0), "zero"))
    graph.node.append(helper.make_node("QuantizeLinear", ["fine", "step", "zero"], ["whole"]))
    graph.node.append(helper.make_node("DequantizeLinear", ["whole", "step", "zero"], [last]))
    return changed.SerializeToString()


def test_the_error_is_that_on_a_device_whose_probabilities_are_rounded(model, wine, tmp_path):
    """The explainer file is given the answers of the classifier file, not those of its logits."""
    from toolkit.fidelity.resolution import FromLogits
    from toolkit.predict import OnnxPredictor

    path = tmp_path / "rounded.onnx"
    path.write_bytes(rounded(model))
    few, brief = Choice(rows=5), Settings(epochs=5)
    made = distil_explainer(path, wine, rows=256, choice=few, settings=brief)
    p, found = together(path, made.save(tmp_path / "why.onnx"))(wine.test.x)
    assert np.allclose(p * 256, np.rint(p * 256))
    fine = FromLogits(OnnxPredictor(path, "m", 1))
    players = asked(wine.fit.train, few, 0)
    truth, _ = exact(fine, players, wine.test.x, p.argmax(axis=1), 0)
    assert error_of(found, truth)[0] == pytest.approx(made.judged.error, rel=1e-3)


def test_few_players_and_rows_of_another_shape(digits):
    """Three groups have fewer coalitions than other methods must ask; a net may take (64, 1)."""
    import keras
    from keras import layers

    rows = digits.test.x.reshape(-1, 64)
    table = Data(rows, digits.test.y, digits.test.classes, tuple(f"x{i}" for i in range(64)))
    keras.utils.set_random_seed(0)
    net = keras.Sequential(
        [layers.Input((64, 1)), layers.Flatten(), layers.Dense(10, activation="softmax")]
    )
    fit = Fit(table, table.rows(slice(60)), table.rows(slice(60)))
    groups = tuple((str(i), tuple(f"x{j}" for j in range(i, 64, 3))) for i in range(3))
    made = distil_explainer(
        net,
        Splits("flat", fit, table.rows(slice(20)), "0" * 64),
        rows=64,
        choice=Choice(rows=2, players="groups", groups=groups),
        settings=Settings(epochs=1),
    )
    assert made.judged.exact
    assert len(json.loads(made.facts["players"])) == 3


def test_columns_that_a_file_does_not_count_are_those_of_the_data(dense_onnx, digits):
    """Before the net is trained: what a file leaves open is no matrix of one column."""
    free = onnx.load(dense_onnx)
    del free.graph.node[0]  # what makes a row of the picture
    free.graph.node[0].input[0] = "x"
    free.graph.input[0].type.CopyFrom(helper.make_tensor_type_proto(TensorProto.FLOAT, ["n", "m"]))
    rows = digits.test.x.reshape(-1, 64)
    table = Data(rows, digits.test.y, digits.test.classes, tuple(f"x{i}" for i in range(64)))
    fit = Fit(table, table.rows(slice(60)), table.rows(slice(60)))
    groups = tuple((str(i), tuple(f"x{j}" for j in range(i, 64, 3))) for i in range(3))
    made = distil_explainer(
        free.SerializeToString(),
        Splits("flat", fit, table.rows(slice(20)), "0" * 64),
        rows=64,
        choice=Choice(rows=2, players="groups", groups=groups),
        settings=Settings(epochs=1),
    )
    told = onnx.load_from_string(made.content).graph.input[0].type.tensor_type.shape.dim
    assert [d.dim_value for d in told] == [0, 64]
