import itertools
from dataclasses import replace

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from toolkit.exporting import export
from toolkit.glossary import Fit
from toolkit.passes.shorten import Shorten
from toolkit.passes.static_int8 import StaticInt8
from toolkit.predict import OnnxPredictor, predictor
from toolkit.recipe import load
from toolkit.targets import suited


@pytest.mark.parametrize("quantised", [False, True])
def test_outputs_are_bit_identical_and_the_file_is_smaller(quantised, cnn, digits):
    model = export(cnn, digits.fit.validation).model
    if quantised:
        model = StaticInt8()(model, digits.fit).model
    step = Shorten()(model, digits.fit)
    x = digits.test.x
    one, two = (predictor(m.SerializeToString())(x) for m in (model, step.model))
    assert np.array_equal(one, two)
    assert step.facts["bytes_after"] < 0.85 * step.facts["bytes_before"]
    ends = [v.name for v in (*step.model.graph.input, *step.model.graph.output)]
    assert ends == ["input", "probabilities"]


def graph(nodes, weights):
    return helper.make_model(
        helper.make_graph(
            nodes,
            "g",
            [helper.make_tensor_value_info("a", TensorProto.FLOAT, ["n", 2])],
            [helper.make_tensor_value_info("b", TensorProto.FLOAT, ["n", 2])],
            [numpy_helper.from_array(w, name) for name, w in weights.items()],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )


def test_equal_weights_are_shared_and_ends_keep_their_letters(digits):
    """The model's own ends are called a and b: no inner tensor may take these names."""
    w = np.float32([[1, 2], [3, 4]])
    nodes = [
        helper.make_node("MatMul", ["a", "first"], ["m"]),
        helper.make_node("MatMul", ["m", "second"], ["z"]),
        helper.make_node("Softmax", ["z"], ["b"]),
    ]
    model = graph(nodes, {"first": w, "second": w.copy()})
    small = Shorten()(model, digits.fit).model
    assert len(small.graph.initializer) == 1
    x = np.float32([[0.1, -0.2]])
    assert np.array_equal(*(predictor(m.SerializeToString())(x) for m in (model, small)))


@pytest.mark.parametrize("recipe", ["int8", "int8-qat"])
def test_a_file_of_eight_bits_can_be_summed_exactly(recipe, mlp, digits):
    """onnxruntime's exact mode takes no zero point that two weights of eight bits share."""
    net: object = mlp
    for step in suited(load(recipe), "vnni").passes:
        if step.stage == "onnx" and not hasattr(net, "graph"):
            net = export(net, digits.fit.validation).model
        short = replace(step, epochs=1) if hasattr(step, "epochs") else step
        before, net = net, short(net, digits.fit).model
    x = digits.test.x
    long, shortened = (OnnxPredictor(m.SerializeToString(), "m", exact=True) for m in (before, net))
    assert np.array_equal(long(x), shortened(x))


@pytest.mark.parametrize(("names", "kept"), [("0\n1\n2", False), ("0\n2\n1", True), ("cat", True)])
def test_classes_called_by_their_places_need_no_names(names, kept, digits):
    model = graph([helper.make_node("Softmax", ["a"], ["b"])], {})
    helper.set_model_props(model, {"classes": names})
    props = {p.key: p.value for p in Shorten()(model, digits.fit).model.metadata_props}
    assert props == ({"classes": names} if kept else {})


@pytest.mark.parametrize("recipe", ["float16", "int8", "int8-dynamic", "int4-weights"])
def test_a_net_of_50_000_weights_takes_3_percent_more_than_its_numbers(recipe, digits):
    """Numbers: weights, biases and steps, as the file holds them."""
    rng = np.random.default_rng(0)
    sizes = (64, 320, 96, 10)
    weights, nodes, last = {"shape": np.array([-1, 64])}, [], "flat"
    for i, (k, n) in enumerate(itertools.pairwise(sizes)):
        weights[f"w{i}"] = rng.normal(0, k**-0.5, (k, n)).astype(np.float32)
        weights[f"b{i}"] = rng.normal(0, 0.1, n).astype(np.float32)
        nodes.append(helper.make_node("Gemm", [last, f"w{i}", f"b{i}"], [f"z{i}"]))
        nodes.append(helper.make_node("Relu" if i < 2 else "Softmax", [f"z{i}"], [f"r{i}"]))
        last = f"r{i}"
    nodes.insert(0, helper.make_node("Reshape", ["x", "shape"], ["flat"]))
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, shape) for n, shape in
            (("x", ["n", 8, 8, 1]), (last, ["n", 10]))]  # fmt: skip
    held = [numpy_helper.from_array(w, name) for name, w in weights.items()]
    model = helper.make_model(
        helper.make_graph(nodes, "g", ends[:1], ends[1:], held),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    for step in load(recipe).passes:
        model = step(model, digits.fit).model
    # two weights a byte, which numpy counts as one each
    numbers = sum(
        np.prod(t.dims) / 2 if t.data_type == TensorProto.INT4 else numpy_helper.to_array(t).nbytes
        for t in model.graph.initializer
    )
    assert model.ByteSize() <= 1.03 * numbers


def test_small_whole_numbers_take_as_many_bytes_as_they_have_digits():
    """Places and lengths: eight bytes each as they lie in memory, one as numbers of few digits."""
    places = np.array([3, 0, 2, 1])
    rows = np.array([-1, -2, -3, -4])
    nodes = [
        helper.make_node("Gather", ["input", "places"], ["a"], axis=1),
        helper.make_node("Add", ["rows", "rows"], ["b"]),
        helper.make_node("Cast", ["b"], ["c"], to=TensorProto.FLOAT),
        helper.make_node("Add", ["a", "c"], ["probabilities"]),
    ]
    model = graph(nodes, {"places": places, "rows": rows})
    short = Shorten()(model, None).model
    sizes = {tuple(numpy_helper.to_array(t).tolist()): t for t in short.graph.initializer}
    assert sizes[tuple(places.tolist())].ByteSize() < 8 * len(places)
    assert not sizes[tuple(places.tolist())].raw_data
    assert sizes[tuple(rows.tolist())].raw_data  # ten bytes each as numbers


@pytest.mark.parametrize("written_out", [False, True])
def test_loops_are_shortened_with_what_they_read(written_out, looped):
    """Bodies of loops read weights and values of the graph around them by name."""
    model, rows = looped
    fit = Fit(rows, rows, rows)
    if written_out:
        model = StaticInt8()(model, fit).model
    step = Shorten()(model, fit)
    assert "Loop" in [n.op_type for n in step.model.graph.node]
    one, two = (predictor(m.SerializeToString())(rows.x) for m in (model, step.model))
    assert np.array_equal(one, two)
    bodies = [a.g for n in step.model.graph.node for a in n.attribute if a.HasField("g")]
    assert len(bodies) == 3
    for body in bodies:
        assert not body.value_info
        # some hundred names in all, of one letter or two
        assert max(len(t) for n in body.node for t in (n.name, *n.input, *n.output)) <= 2
