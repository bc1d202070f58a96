import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from toolkit.errors import MatchError, ModelError
from toolkit.exporting import export
from toolkit.glossary import Data
from toolkit.models.heads import softmax
from toolkit.models.keras_predictor import KerasPredictor
from toolkit.predict import OnnxPredictor, predictor


@pytest.fixture(scope="module")
def onnx_mlp(mlp, digits):
    return export(mlp, digits.fit.validation).model


def test_onnx_and_keras_say_the_same(onnx_mlp, mlp, digits):
    big, small = KerasPredictor(mlp, "k"), OnnxPredictor(onnx_mlp.SerializeToString(), "o")
    assert np.abs(big(digits.test.x) - small(digits.test.x)).max() < 1e-5
    assert small.classes == big.classes == 10


@pytest.mark.parametrize("n", [0, 1, 7, 450])
def test_any_number_of_rows(n, onnx_mlp, mlp, digits):
    for predict in (predictor(mlp), predictor(onnx_mlp.SerializeToString())):
        p = predict(digits.test.x[:n])
        assert p.shape == (n, 10)
        assert p.dtype == np.float32
        assert np.allclose(p.sum(axis=1), 1, atol=1e-5)


def test_doubles_and_flat_rows_are_taken(onnx_mlp, digits):
    predict = predictor(onnx_mlp.SerializeToString())
    x = digits.test.x[:5]
    assert np.array_equal(predict(x.reshape(5, 64).astype(np.float64)), predict(x))


def test_rows_of_another_size(onnx_mlp):
    with pytest.raises(MatchError, match="shape"):
        predictor(onnx_mlp.SerializeToString())(np.zeros((2, 7, 7, 1), np.float32))


@pytest.mark.parametrize("units", [1, 3])
@pytest.mark.parametrize("last", ["sigmoid", "linear", "softmax"])
def test_every_head_ends_in_probabilities(units, last, tmp_path):
    """A sigmoid unit, logits or a softmax, written as ONNX by others."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(0)
    w = rng.normal(size=(4, units)).astype(np.float32)
    nodes = [helper.make_node("MatMul", ["x", "w"], ["z"])]
    if last != "linear":
        nodes.append(helper.make_node(last.capitalize(), ["z"], ["y"]))
    out = "z" if last == "linear" else "y"
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4])],
        [helper.make_tensor_value_info(out, TensorProto.FLOAT, ["n", units])],
        [numpy_helper.from_array(w, "w")],
    )
    path = tmp_path / "m.onnx"
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path
    )
    x = rng.normal(size=(6, 4)).astype(np.float32)
    z = (x @ w).astype(np.float64)
    if units == 1 and last != "sigmoid":
        with pytest.raises(ModelError, match="one unit"):
            predictor(path)
        return
    if units == 3 and last == "sigmoid":
        with pytest.raises(ModelError, match="multi-label"):
            predictor(path)
        return
    if units == 1:
        p = 1 / (1 + np.exp(-z))
        expected = np.concatenate([1 - p, p], axis=1)
    else:
        expected = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    assert np.allclose(predictor(path)(x), expected, atol=1e-6)


def test_data_with_other_classes(onnx_mlp, wine):
    with pytest.raises(MatchError):
        predictor(onnx_mlp.SerializeToString(), data=wine.test)


def test_a_damaged_file_is_one_line(tmp_path, onnx_mlp):
    path = tmp_path / "cut.onnx"
    path.write_bytes(onnx_mlp.SerializeToString()[:500])
    with pytest.raises(ModelError) as caught:
        predictor(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("last", ["softmax", "sigmoid", "linear", "layer"])
def test_logits_are_those_of_the_last_layer(last):
    import keras

    from toolkit.data import load
    from toolkit.models.heads import softmax

    wine = load("breast_cancer" if last == "sigmoid" else "wine")
    columns = wine.test.x.shape[1]
    layers = keras.layers
    scale = layers.Normalization(mean=wine.test.x.mean(0), variance=wine.test.x.var(0))
    units = 1 if last == "sigmoid" else 3
    ends = (
        [layers.Dense(units), layers.Softmax()] if last == "layer" else [layers.Dense(units, last)]
    )
    model = keras.Sequential([layers.Input((columns,)), scale, layers.Dense(5, "tanh"), *ends])
    keras_says = predictor(model)
    onnx_says = predictor(export(model, wine.fit.validation).model.SerializeToString())
    for predict in (keras_says, onnx_says):
        z = predict.logits(wine.test.x)
        assert z.shape == (len(wine.test), predict.classes)
        assert np.abs(softmax(z) - predict(wine.test.x)).max() < 1e-6
    difference = keras_says.logits(wine.test.x) - onnx_says.logits(wine.test.x)
    assert np.abs(difference).max() < 1e-4


@pytest.mark.parametrize("shares", [False, True])
def test_what_is_joined_is_asked_whether_it_is_probabilities(shares):
    """Two products joined are logits; our own sigmoid joins p and 1 - p."""
    from onnx import TensorProto, helper, numpy_helper

    weights = np.random.default_rng(0).normal(size=(2, 4, 1)).astype(np.float32)
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["z"]),
        helper.make_node("MatMul", ["x", "v"], ["u"]),
        helper.make_node("Concat", ["z", "u"], ["both"], axis=1),
        helper.make_node("Softmax", ["both"], ["p"], axis=1),
        helper.make_node("Split", ["p"], ["a", "b"], axis=1, num_outputs=2),
        helper.make_node("Concat", ["a", "b"], ["joined"], axis=1),
    ]
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", size])
        for name, size in (("x", 4), ("joined" if shares else "both", 2))
    ]
    held = [numpy_helper.from_array(w, name) for w, name in zip(weights, "wv", strict=True)]
    graph = helper.make_graph(nodes if shares else nodes[:3], "g", ends[:1], ends[1:], held)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    predict = predictor(model.SerializeToString())
    x = np.random.default_rng(1).normal(size=(9, 4)).astype(np.float32)
    z = np.concatenate([x @ weights[0], x @ weights[1]], axis=1).astype(np.float64)
    wanted = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    assert np.abs(predict(x) - wanted).max() < 1e-6


def linear_classifier(columns, before=(), name="x"):
    """The bytes of an ai.onnx.ml classifier of 4 columns and its weights, f64 (3, 4)."""
    w = np.random.default_rng(0).normal(size=(3, 4))
    last = helper.make_node(
        "LinearClassifier",
        [name],
        ["label", "p"],
        domain="ai.onnx.ml",
        classlabels_ints=[0, 1, 2],
        coefficients=w.ravel().tolist(),
        intercepts=[0.0] * 3,
        post_transform="SOFTMAX",
    )
    ends = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", columns]),
        helper.make_tensor_value_info("label", TensorProto.INT64, ["n"]),
        helper.make_tensor_value_info("p", TensorProto.FLOAT, ["n", 3]),
    ]
    graph = helper.make_graph([*before, last], "g", ends[:1], ends[1:])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    made = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    return made.SerializeToString(), w


@pytest.mark.parametrize("columns", ["m", 4])
def test_a_file_of_one_length_that_does_not_say_which_gives_probabilities(columns):
    """As scikit-learn's are written: no softmax to be seen, and no number of columns."""
    content, w = linear_classifier(columns)
    x = np.random.default_rng(1).normal(size=(5, 4)).astype(np.float32)
    assert np.allclose(OnnxPredictor(content, "net")(x), softmax(x @ w.T), atol=1e-6)


def test_rows_without_an_answer_do_not_tell_what_a_file_gives():
    """Rows scaled by their own spread, of which zeros and ones have none."""
    scaled = [
        helper.make_node("ReduceMean", ["x"], ["mean"], axes=[1]),
        helper.make_node("Sub", ["x", "mean"], ["off"]),
        helper.make_node("ReduceL2", ["off"], ["spread"], axes=[1]),
        helper.make_node("Div", ["off", "spread"], ["scaled"]),
    ]
    content, w = linear_classifier(4, scaled, "scaled")
    x = np.random.default_rng(1).normal(size=(5, 4)).astype(np.float32)
    off = x - x.mean(axis=1, keepdims=True)
    wanted = softmax(off / np.linalg.norm(off, axis=1, keepdims=True) @ w.T)
    assert np.allclose(OnnxPredictor(content, "net")(x), wanted, atol=1e-6)


def test_logits_that_sum_to_1_on_every_row_are_refused():
    """A file without an answer for rows of zeros and ones alone, which are tried first."""
    scaled = [
        helper.make_node("Sub", ["x", "half"], ["off"]),
        helper.make_node("Abs", ["off"], ["far"]),
        helper.make_node("ReduceSum", ["far", "axes"], ["sum"]),
        helper.make_node("Div", ["far", "sum"], ["p"]),
    ]
    held = [
        numpy_helper.from_array(np.float32(0.5), "half"),
        numpy_helper.from_array(np.array([1]), "axes"),
    ]
    trap = [
        helper.make_node("Equal", ["x", "zero"], ["zeros"]),
        helper.make_node("Equal", ["x", "one"], ["ones"]),
        helper.make_node("Or", ["zeros", "ones"], ["told"]),
        helper.make_node("Where", ["told", "none", "p"], ["y"]),
    ]
    held += [
        numpy_helper.from_array(np.float32(v), n)
        for n, v in (("zero", 0), ("one", 1), ("none", np.nan))
    ]
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["n", 3]) for n in ("x", "y")]
    graph = helper.make_graph([*scaled, *trap], "g", ends[:1], ends[1:], held)
    opsets = [helper.make_opsetid("", 17)]
    content = helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()
    x = np.random.default_rng(1).normal(size=(5, 3)).astype(np.float32)
    with pytest.raises(ModelError, match="sum to 1 on these rows"):
        predictor(content, data=Data(x, np.arange(5) % 3, ("a", "b", "c")))


def test_ranges_that_are_taken_of_a_call_are_taken_of_one_row(dense_onnx, digits, tmp_path):
    """A file that takes four rows a call and rounds by their range is filled up with one row."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    small = tmp_path / "small.onnx"
    quantize_dynamic(dense_onnx, small, weight_type=QuantType.QUInt8)
    model = onnx.load(small)
    for end in (*model.graph.input, *model.graph.output):
        end.type.tensor_type.shape.dim[0].Clear()
        end.type.tensor_type.shape.dim[0].dim_value = 4
    predict = predictor(model.SerializeToString())
    x = digits.test.x[:9]
    alone = np.concatenate([predict(row[None]) for row in x])
    assert np.array_equal(predict(x), alone)
