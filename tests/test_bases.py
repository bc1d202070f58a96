"""An .onnx that somebody else exported: what is taken, what was mended, what is refused and why."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from toolkit import bases
from toolkit.errors import MatchError, ModelError
from toolkit.onnx_graph import beside
from toolkit.predict import predictor
from toolkit.runtime import session


def dense(batch="n", *, opset=17, logits=False, domain="", first=64, seed=0):
    """64 -> 10 in ONNX's own words, as another exporter may write it."""
    rng = np.random.default_rng(seed)
    held = [
        numpy_helper.from_array(rng.normal(size=(first, 10)).astype(np.float32) / 8, "w"),
        numpy_helper.from_array(np.zeros(10, np.float32), "b"),
    ]
    nodes = [
        helper.make_node("Flatten", ["x"], ["flat"]),
        helper.make_node("Gemm", ["flat", "w", "b"], ["z"]),
        helper.make_node("Softmax", ["z"], ["p"], axis=1),
    ][: 2 if logits else 3]
    if domain:
        nodes.append(helper.make_node("Magic", ["p"], ["q"], domain=domain))
    end = nodes[-1].output[0]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 8, 8, 1])],
        [helper.make_tensor_value_info(end, TensorProto.FLOAT, [batch, 10])],
        held,
    )
    opsets = [helper.make_opsetid("", opset)]
    if domain:
        opsets.append(helper.make_opsetid(domain, 1))
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def saved(model, path):
    path.write_bytes(model.SerializeToString())
    return path


@pytest.mark.parametrize("logits", [False, True])
@pytest.mark.parametrize("batch", ["n", 1, 4])
@pytest.mark.parametrize("opset", [9, 11, 13, 17, 21])
def test_what_opens_answers_as_it_did(batch, opset, logits, digits, tmp_path):
    path = saved(dense(batch, opset=opset, logits=logits), tmp_path / "m.onnx")
    before = path.read_bytes()
    step = bases.opened(path, digits.test)
    assert path.read_bytes() == before
    x = digits.test.x[:50]
    after = predictor(step.model.SerializeToString())(x)
    assert np.abs(after - predictor(path)(x)).max() <= bases.TOLERANCE
    assert next(o.version for o in step.model.opset_import if not o.domain) == max(opset, 13)
    assert ("raised_to" in step.facts) is (opset < 13)
    assert step.facts.get("rows_at_once") == (None if batch == "n" else batch)


def external(model, folder, place="w.bin"):
    onnx.save_model(
        model, folder / "m.onnx", save_as_external_data=True, location=place, size_threshold=0
    )
    return folder / "m.onnx"


def test_weights_beside_the_file_are_drawn_in(digits, tmp_path):
    path = external(dense(), tmp_path)
    step = bases.opened(path, digits.test)
    (tmp_path / "w.bin").unlink()
    wanted = predictor(saved(dense(), tmp_path / "whole.onnx"))(digits.test.x)
    assert (predictor(step.model.SerializeToString())(digits.test.x) == wanted).all()


def test_a_file_says_where_its_weights_are(tmp_path, capsys):
    from toolkit.cli import run

    path = external(dense(), tmp_path)
    assert beside(path) == ("w.bin",)
    assert beside(saved(dense(), tmp_path / "whole.onnx")) == ()
    # bytes that are not in the file cannot be counted as its size
    assert run(["measure"], [str(path), "--data", "digits"], "measure") == 2
    assert "keeps its weights in w.bin" in capsys.readouterr().err


def convolved():
    """A net whose pictures may have any size from 3x3 on."""
    rng = np.random.default_rng(0)
    shapes = {"k": (4, 1, 3, 3), "w": (4, 10)}
    held = [
        numpy_helper.from_array(rng.normal(size=s).astype(np.float32), n) for n, s in shapes.items()
    ]
    nodes = [
        helper.make_node("Transpose", ["x"], ["t"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["t", "k"], ["c"]),
        helper.make_node("GlobalAveragePool", ["c"], ["g"]),
        helper.make_node("Flatten", ["g"], ["f"]),
        helper.make_node("MatMul", ["f", "w"], ["z"]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", "h", "w_", 1])],
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, ["n", 10])],
        held,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_pictures_of_any_size(digits, tmp_path):
    from toolkit.recipe import load
    from toolkit.search import compress

    path = saved(convolved(), tmp_path / "m.onnx")
    step = bases.opened(path, digits.test)
    asked = digits.test.x[:9]
    assert (predictor(step.model.SerializeToString())(asked) == predictor(path)(asked)).all()
    found = compress(path, digits, [load("int8"), load("float16")], out=tmp_path / "out")
    assert [a.name for a in found.candidates] == ["int8", "float16"]
    with pytest.raises(ModelError, match="does not run on rows of shape"):
        predictor(path)(np.zeros((1, 2, 2, 1), np.float32))


def test_weights_that_are_gone_or_elsewhere_are_refused(digits, tmp_path):
    path = external(dense(), tmp_path)
    (tmp_path / "w.bin").unlink()
    with pytest.raises(ModelError, match=r"w\.bin, which cannot be read"):
        bases.opened(path, digits.test)
    outside = onnx.load(path, load_external_data=False)
    (tmp_path.parent / "secret.bin").write_bytes(bytes(10_000))
    for held in outside.graph.initializer:
        next(e for e in held.external_data if e.key == "location").value = "../secret.bin"
    saved(outside, path)
    with pytest.raises(ModelError, match=r"\.\./secret\.bin"):
        bases.opened(path, digits.test)


def holding(odd):
    model = dense()
    values = numpy_helper.to_array(model.graph.initializer[0]).copy()
    values[3, 4] = odd
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(values, "w"))
    return model


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (dense(opset=onnx.defs.onnx_opset_version() + 1), "is of opset"),
        (dense(domain="acme"), "Magic of the domain 'acme'"),
        (holding(np.nan), "NaN in 1 of 640"),
        (holding(np.inf), "answers rows of the data with NaN"),
    ],
    ids=["too new", "a domain", "NaN", "infinite"],
)
def test_what_is_refused_is_one_line(model, says, digits, tmp_path):
    path = saved(model, tmp_path / "m.onnx")
    with pytest.raises(ModelError, match=says) as caught:
        bases.opened(path, digits.test)
    assert "\n" not in str(caught.value)


def test_what_the_runtime_is_too_old_for_is_one_line_of_numbers():
    with pytest.raises(ModelError, match=r"the model is of opset 99; up to \d+ for onnxruntime"):
        session(dense(opset=99).SerializeToString())
    model = dense()
    model.ir_version = 99
    with pytest.raises(ModelError, match=r"\(Unsupported model IR version: 99, max"):
        session(model.SerializeToString())


def test_rows_that_do_not_fit(digits, wine, tmp_path):
    with pytest.raises(MatchError):
        bases.opened(saved(dense(), tmp_path / "m.onnx"), wine.test)


def test_a_file_that_was_cut_off(digits, tmp_path):
    path = tmp_path / "m.onnx"
    path.write_bytes(dense().SerializeToString()[:900])
    with pytest.raises(ModelError) as caught:
        bases.opened(path, digits.test)
    assert "\n" not in str(caught.value)


def test_a_graph_that_works_for_one_row_alone_is_refused(digits, tmp_path):
    """Its Reshape writes the one row down."""
    model = dense(1)
    model.graph.node[0].CopyFrom(helper.make_node("Reshape", ["x", "shape"], ["flat"]))
    model.graph.initializer.append(numpy_helper.from_array(np.array([1, 64]), "shape"))
    with pytest.raises(ModelError, match="dynamic batch"):
        bases.opened(saved(model, tmp_path / "m.onnx"), digits.test)
