"""Which layer rounding hurts: figures beside numpy's own, one net broken on purpose."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

from toolkit.diagnosis import diagnose
from toolkit.errors import MatchError, ModelError
from toolkit.exporting import export
from toolkit.models.macs import macs
from toolkit.passes import PASSES, apply
from toolkit.predict import predictor


@pytest.fixture(scope="module")
def floats(cnn, digits):
    return export(cnn, digits.fit.validation).model


@pytest.fixture(scope="module")
def dense(mlp, digits):
    return export(mlp, digits.fit.validation).model


def rounded(model, digits, *names, **settings):
    model = apply(PASSES["static_int8"](**settings), model, digits.fit).model
    for name in names:
        model = apply(PASSES[name](), model, digits.fit).model
    return model


def test_both_forms_and_short_names_tell_the_same(floats, digits):
    x = digits.fit.validation.x[:60]
    one = diagnose(floats, rounded(floats, digits), x)
    two = diagnose(floats, rounded(floats, digits, "integer_operators", "shorten"), x)
    assert [e.kind for e in one if e.nbytes] == ["Conv", "Conv", "Gemm"]
    known = {e.layer: e for e in one}
    for e in two:
        other = known[e.layer]
        assert e.sqnr == pytest.approx(other.sqnr, abs=0.2)
        assert e.effect == pytest.approx(other.effect, abs=1e-4)


def test_the_figures_are_those_of_numpy(dense, digits):
    """The first dense layer by hand: its integers, what they stand for, and what they lose."""
    x = digits.fit.validation.x[:80]
    whole = rounded(dense, digits)
    error = next(e for e in diagnose(dense, whole, x) if e.kind == "Gemm")
    held = {t.name: numpy_helper.to_array(t) for t in dense.graph.initializer}
    first = next(n for n in dense.graph.node if n.op_type in ("MatMul", "Gemm"))
    inputs = x.reshape(len(x), -1)
    scaled = [n for n in dense.graph.node if n.op_type in ("Mul", "Div")]
    for node in scaled:
        factor = held[node.input[1]]
        inputs = inputs * factor if node.op_type == "Mul" else inputs / factor
    weights = held[first.input[1]]
    if first.op_type == "Gemm":
        bias = held[first.input[2]]
    else:
        adding = next(n for n in dense.graph.node if first.output[0] in n.input)
        bias = held[next(i for i in adding.input if i in held)]
    meant = np.maximum(inputs @ weights + bias, 0)
    # what the rounded net makes of it, found without our reader and run without fusion
    quantised = next(n for n in whole.graph.node if n.op_type in ("MatMul", "Gemm"))
    after = next(n for n in whole.graph.node if quantised.output[0] in n.input)
    while after.op_type != "QuantizeLinear":
        after = next(n for n in whole.graph.node if after.output[0] in n.input)
    back = next(n for n in whole.graph.node if after.output[0] in n.input)
    wanted = [back.output[0], after.output[0]]
    more = type(whole)()
    more.CopyFrom(whole)
    more.graph.output.extend(onnx.ValueInfoProto(name=name) for name in wanted)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    opened = onnxruntime.InferenceSession(more.SerializeToString(), options)
    made, levels = opened.run(wanted, {more.graph.input[0].name: x})
    sqnr = 10 * np.log10((meant**2).sum() / ((meant - made) ** 2).sum())
    assert error.sqnr == pytest.approx(sqnr, abs=0.1)
    cosine = (meant * made).sum() / np.linalg.norm(meant) / np.linalg.norm(made)
    assert error.cosine == pytest.approx(cosine, abs=1e-4)
    assert error.used == pytest.approx(len(np.unique(levels)) / 256, abs=2 / 256)


def test_a_layer_that_is_broken_is_the_one_that_is_named(floats, digits):
    """A quarter of its range is left to the second convolution: it clips, and it alone."""
    x = digits.fit.validation.x[:60]
    whole = rounded(floats, digits)
    sound = diagnose(floats, whole, x)
    second = [n for n in whole.graph.node if n.op_type == "Conv"][1]
    reader = next(n for n in whole.graph.node if second.output[0] in n.input)
    assert reader.op_type == "QuantizeLinear"
    tensor = next(t for t in whole.graph.initializer if t.name == reader.input[1])
    tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) / 4, tensor.name))
    broken = diagnose(floats, whole, x)
    worst = max(broken, key=lambda e: e.effect)
    assert worst.layer == [e for e in sound if e.kind == "Conv"][1].layer
    assert worst.saturated > 0.01 > max(e.saturated for e in sound)
    others = [(a, b) for a, b in zip(sound, broken, strict=True) if a.layer != worst.layer]
    assert all(a.effect == pytest.approx(b.effect, abs=1e-9) for a, b in others)


def test_a_layer_in_float_has_no_error(floats, digits):
    x = digits.fit.validation.x[:30]
    named = [e.layer for e in diagnose(floats, rounded(floats, digits), x) if e.kind == "Conv"]
    left = rounded(floats, digits, keep_float=(named[0],))
    found = {e.layer: e for e in diagnose(floats, left, x)}
    # what it makes is still rounded for the next layer, which takes in the ReLU
    assert named[1] in found
    kinds = [t.data_type for t in left.graph.initializer if len(t.dims) == 4]
    assert sorted(kinds) == [1, 3]  # float, int8
    p, q = (predictor(m.SerializeToString())(digits.test.x) for m in (floats, left))
    assert (p.argmax(1) == q.argmax(1)).mean() > 0.95


def test_where_nothing_is_rounded_there_is_nothing_to_say(floats, digits):
    assert diagnose(floats, floats, digits.fit.calibration.x[:4]) == ()


def test_a_large_net_is_asked_fewer_rows_and_those_in_parts(floats, cnn, digits, monkeypatch):
    """All that is held at once is bounded, and all that is computed."""
    x, whole = digits.fit.validation.x[:60], rounded(floats, digits)
    every = diagnose(floats, whole, x)
    monkeypatch.setattr("toolkit.passes.ranges._AT_ONCE", 5_000)
    for one, two in zip(diagnose(floats, whole, x), every, strict=True):
        assert (one.layer, one.used, one.saturated) == (two.layer, two.used, two.saturated)
        assert one.effect == two.effect
        assert (one.sqnr, one.cosine) == pytest.approx((two.sqnr, two.cosine), rel=1e-12)
    monkeypatch.setattr("toolkit.diagnosis._PRODUCTS", 1)
    few = x[np.linspace(0, 59, 20).astype(int)]
    assert [e.effect for e in diagnose(floats, whole, x)] == [
        e.effect for e in diagnose(floats, whole, few)
    ]
    # each product of the layers is counted once, and the net is run for each of them
    monkeypatch.setattr("toolkit.diagnosis._PRODUCTS", 30 * macs(cnn) * len(every))
    some = x[np.linspace(0, 59, 30).astype(int)]
    assert [e.effect for e in diagnose(floats, whole, x)] == [
        e.effect for e in diagnose(floats, whole, some)
    ]


def test_another_net_is_refused(floats, dense, digits):
    with pytest.raises(MatchError, match="before rounding"):
        diagnose(dense, rounded(floats, digits), digits.fit.validation.x[:5])
    with pytest.raises(ModelError):
        diagnose("nowhere.onnx", rounded(floats, digits), digits.fit.validation.x[:5])


@pytest.mark.parametrize("between", [(), ("pool",)])
def test_layers_that_share_their_weights_are_told_apart(between, digits):
    import keras

    twice = keras.layers.Conv2D(4, 3, padding="same", activation="relu")
    first = keras.Input((8, 8, 1))
    h = twice(keras.layers.Conv2D(4, 3, padding="same", activation="relu")(first))
    h = twice(keras.layers.MaxPooling2D()(h) if between else h)
    h = keras.layers.GlobalAveragePooling2D()(h)
    net = keras.Model(first, keras.layers.Dense(10, activation="softmax")(h))
    floats = export(net, digits.fit.validation).model
    whole = rounded(floats, digits, "integer_operators")
    found = diagnose(floats, whole, digits.fit.validation.x[:60])
    convolutions = [e for e in found if e.kind == "Conv"]
    assert len(convolutions) == 3
    assert len({e.layer for e in convolutions}) == 3
    # rounded to 7 bits, the output of a layer is near what it was: of another layer it is not
    assert all(e.cosine > 0.99 for e in convolutions)
