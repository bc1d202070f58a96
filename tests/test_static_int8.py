import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example
from hypothesis import given as each
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from onnx import TensorProto, numpy_helper, parser, save

from toolkit.errors import ModelError, RecipeError
from toolkit.exporting import export
from toolkit.passes import ranges
from toolkit.passes.dynamic_int8 import prepared
from toolkit.passes.ranges import METHODS
from toolkit.passes.static_int8 import StaticInt8
from toolkit.predict import predictor


@pytest.fixture(scope="module")
def floats(cnn, digits):
    return export(cnn, digits.fit.validation).model


def weights(model):
    return [
        numpy_helper.to_array(t)
        for t in model.graph.initializer
        if t.data_type == TensorProto.INT8 and len(t.dims) > 1
    ]


def test_seven_bits_cannot_saturate_sixteen(floats, digits):
    """Two products of u8 and s7 fit a signed 16-bit sum: 2 * 255 * 64 = 32,640."""
    small = weights(StaticInt8()(floats, digits.fit).model)
    assert len(small) == 3
    assert max(int(np.abs(w.astype(int)).max()) for w in small) <= 64
    wide = weights(StaticInt8(bits=8)(floats, digits.fit).model)
    assert max(int(np.abs(w.astype(int)).max()) for w in wide) > 64


def test_the_scales_are_one_a_channel(floats, digits):
    model = StaticInt8()(floats, digits.fit).model
    conv = next(n for n in model.graph.node if n.op_type == "Conv")
    source = next(n for n in model.graph.node if conv.input[1] in n.output)
    scales = next(t for t in model.graph.initializer if t.name == source.input[1])
    assert list(scales.dims) == [8]


def test_it_still_classifies(floats, digits):
    small = StaticInt8()(floats, digits.fit).model
    p, q = (predictor(m.SerializeToString())(digits.test.x) for m in (floats, small))
    assert (p.argmax(1) == q.argmax(1)).mean() > 0.95


def test_calibration_rows_set_the_ranges(floats, digits):
    one, two = (StaticInt8(rows=n)(floats, digits.fit).facts for n in (10, 50))
    assert (one["calibration_rows"], two["calibration_rows"]) == (10, 50)


@pytest.mark.parametrize("wrong", [{"bits": 4}, {"rows": 0}, {"calibration": "minmx"}])
def test_wrong_settings(wrong):
    with pytest.raises(RecipeError):
        StaticInt8(**wrong)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("rows", [37, 200])
def test_every_calibration_runs_in_silence(method, rows, floats, digits, capfd):
    step = StaticInt8(calibration=method, rows=rows)(floats, digits.fit)
    assert predictor(step.model.SerializeToString())(digits.test.x[:3]).shape == (3, 10)
    rows = min(rows, len(digits.fit.calibration))
    assert 0 <= rows - step.facts["calibration_rows"] < 20
    assert capfd.readouterr() == ("", "")


def test_what_was_found_stands_in_the_file(floats, digits):
    """Each tensor's step is its range over 255, whichever method gave it."""
    step = StaticInt8(calibration="best")(floats, digits.fit)
    held = {t.name: numpy_helper.to_array(t) for t in step.model.graph.initializer}
    steps = {
        n.input[0]: held[n.input[1]] for n in step.model.graph.node if n.op_type == "QuantizeLinear"
    }
    some = digits.fit.calibration.spread(200)
    x = some.spread(ranges.even(len(some))).x
    ready = prepared(floats)
    given, chosen = ranges.found(ready, "best", x, list(steps))
    assert chosen == step.facts["ranges"]
    assert len(given) == len(steps) >= 4
    for tensor, (low, high) in given.items():
        # the first is rounded before it is divided by 16
        times = 16 if tensor == next(iter(steps)) else 1
        assert steps[tensor] == pytest.approx(times * (high - low) / 255, rel=1e-5)


def test_best_is_the_method_whose_answers_are_nearest(floats, digits):
    """Each tensor rounded alone by each method, by hand: none comes nearer than the chosen one."""
    x = digits.fit.calibration.x[: ranges.even(64)]
    ready = prepared(floats)
    first = next(n.output[0] for n in ready.graph.node if n.op_type == "Relu")
    given, _ = ranges.found(ready, "best", x, [first])

    def error(ends):
        import onnx

        step = (ends[1] - ends[0]) / 255
        more = onnx.ModelProto.FromString(ready.SerializeToString())
        nodes = list(more.graph.node)
        place = next(i for i, n in enumerate(nodes) if first in n.output)
        nodes[place].output[0] = "plain"
        scale = numpy_helper.from_array(np.float32(step), "s")
        zero = numpy_helper.from_array(np.uint8(np.rint(-ends[0] / step)), "z")
        more.graph.initializer.extend([scale, zero])
        added = [
            onnx.helper.make_node("QuantizeLinear", ["plain", "s", "z"], ["whole"]),
            onnx.helper.make_node("DequantizeLinear", ["whole", "s", "z"], [first]),
        ]
        del more.graph.node[:]
        more.graph.node.extend([*nodes[: place + 1], *added, *nodes[place + 1 :]])
        one, two = (predictor(m.SerializeToString()) for m in (ready, more))
        return float(((one.logits(x) - two.logits(x)) ** 2).mean())

    errors = {
        method: error(ranges.found(ready, method, x, [first])[0][first])
        for method in METHODS
        if method != "best"
    }
    assert error(given[first]) == pytest.approx(min(errors.values()))


@each(arrays(np.float32, st.integers(2, 40), elements=st.floats(-9, 9, width=32)))
@example(np.float32([1e-45, 1e-45]))
def test_least_squares_never_errs_more_than_the_whole_range(values):
    values = values.astype(np.float64)  # a step may be too small for float32

    def error(low, high):
        step = (high - low) / 255 or 1.0
        zero = np.rint(-low / step)
        whole = np.clip(np.rint(values / step) + zero, 0, 255) - zero
        return float(((whole * step - values) ** 2).mean())

    low, high = ranges.least_squares(values.astype(np.float32))
    assert low <= 0 <= high
    whole = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
    assert error(low, high) <= error(*whole) + 1e-9


def test_an_outlier_is_clipped_by_least_squares_and_not_by_minmax():
    values = np.append(np.random.default_rng(0).normal(size=100_000), 40).astype(np.float32)
    assert ranges.least_squares(values)[1] < 36 < values.max()


def test_layers_stay_float_by_name(floats, digits):
    conv = next(n for n in floats.graph.node if n.op_type == "Conv")
    for name in (conv.name, conv.output[0]):
        step = StaticInt8(keep_float=(name,))(floats, digits.fit)
        assert len(weights(step.model)) == 2
        assert step.facts["skipped"][conv.name] == "Conv"


def test_a_layer_that_is_not_there_is_named(floats, digits):
    with pytest.raises(RecipeError, match="keeps 'conv_9', which is no layer"):
        StaticInt8(keep_float=("conv_9",))(floats, digits.fit)


def test_layers_of_a_shortened_file_have_names(floats, digits):
    from toolkit.passes.shorten import Shorten

    short = Shorten()(floats, digits.fit).model
    conv = next(n for n in short.graph.node if n.op_type == "Conv")
    assert not conv.name
    step = StaticInt8(keep_float=(conv.output[0],))(short, digits.fit)
    assert len(weights(step.model)) == 2


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_no_numbers_are_refused(value, floats, digits):
    broken = type(floats).FromString(floats.SerializeToString())
    tensor = next(t for t in broken.graph.initializer if len(t.dims) == 4)
    values = numpy_helper.to_array(tensor).copy()
    values.flat[3] = value
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    with pytest.raises(ModelError, match="1 values that are NaN or infinite"):
        StaticInt8()(broken, digits.fit)


@pytest.mark.parametrize("value", [0.0, 7.0])
def test_constant_rows_give_a_file_that_answers(value, floats, digits):
    """All ranges but the biases' are then of no width: steps stay finite and above 0."""
    rows = replace(digits.fit.calibration, x=np.full_like(digits.fit.calibration.x, value))
    for method in ("minmax", "mse"):
        step = StaticInt8(calibration=method)(floats, replace(digits.fit, calibration=rows))
        assert np.isfinite(predictor(step.model.SerializeToString())(digits.test.x[:9])).all()
        assert step.facts["calibration_alike"]


def test_one_row_and_one_class_are_facts(floats, digits):
    step = StaticInt8(rows=1)(floats, digits.fit)
    assert not step.facts["calibration_alike"]
    assert (step.facts["calibration_rows"], step.facts["calibration_classes"]) == (1, 1)


def test_ranges_see_every_class_of_sorted_rows(floats, digits):
    held = digits.fit.calibration
    fit = replace(digits.fit, calibration=held.rows(np.argsort(held.y, kind="stable")))
    step = StaticInt8(rows=30)(floats, fit)
    assert len(held) > 60
    assert (step.facts["calibration_rows"], step.facts["calibration_classes"]) == (30, 10)


def test_all_rows_of_a_small_part_are_used_and_counted(floats, digits):
    """Of 37 rows sorted by class, histograms take 36; minimum and maximum need no batches."""
    rows = digits.fit.calibration
    picked = np.argsort(rows.y, kind="stable")[np.linspace(0, len(rows) - 1, 37).astype(int)]
    # of training rows there are no more, which would be taken instead
    fit = replace(digits.fit, train=rows.rows(picked), calibration=rows.rows(picked))
    for method, count in (("minmax", 37), ("percentile", 36)):
        facts = StaticInt8(calibration=method)(floats, fit).facts
        assert (facts["calibration_rows"], facts["calibration_classes"]) == (count, 10)


def test_the_two_probabilities_of_a_sigmoid_have_no_steps():
    """Multiples of 1/255 would move what anyone sets a threshold by."""
    import keras

    from toolkit.data import load
    from toolkit.fidelity.resolution import in_steps

    data = load("breast_cancer")
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Dense(8, "relu"), keras.layers.Dense(1, "sigmoid")]
    first = [keras.layers.Input((30,)), keras.layers.BatchNormalization()]
    net = keras.Sequential([*first, *layers])
    net.compile("adam", "binary_crossentropy")
    net.fit(data.fit.train.x, data.fit.train.y, epochs=3, verbose=0)
    found = StaticInt8()(export(net, data.fit.validation).model, data.fit)
    p = predictor(found.model.SerializeToString(), "small")(data.test.x)
    assert "Concat" in found.facts["skipped"].values()
    assert len(np.unique(p)) > len(p) / 2
    assert not in_steps(p)
    assert np.abs(p.sum(axis=1) - 1).max() < 1e-6


def test_few_calibration_rows_are_made_up_for_by_training_rows(floats, digits):
    """The ranges are then those of training rows; with as many rows as wanted they stay."""
    fit = digits.fit
    few = replace(fit, calibration=fit.calibration.rows(slice(10)))
    assert StaticInt8()(floats, few).facts["calibration_rows"] == 200
    assert few.ranging(60).x.tolist() == fit.train.spread(60).x.tolist()
    assert StaticInt8()(floats, fit).facts["calibration_rows"] == min(200, len(fit.calibration))
    least = replace(few, train=fit.train.rows(slice(8)))
    assert len(least.ranging(200)) == 10


def test_sigmoids_between_layers_keep_no_more_float_than_themselves(digits):
    import keras

    keras.utils.set_random_seed(0)
    k = keras.layers
    layers = [k.Conv2D(4, 3, activation="sigmoid"), k.MaxPooling2D(), k.Flatten()]
    net = keras.Sequential([k.Input((8, 8, 1)), *layers, k.Dense(10, "softmax")])
    found = StaticInt8()(export(net, digits.fit.validation).model, digits.fit)
    assert set(found.facts["skipped"].values()) == {"Sigmoid", "Softmax"}


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("calibration", ["minmax", "mse"])
def test_pixels_from_minus_one_to_one_are_rounded_as_they_come(calibration, signed, digits):
    """Halfway between two steps they would be, as the quantiser's own ranges have it."""
    import keras

    keras.utils.set_random_seed(0)
    k = keras.layers
    scaled = [k.Input((8, 8, 1)), k.Rescaling(1 / 8, -1)]
    layers = [k.Conv2D(4, 3, padding="same", activation="relu"), k.Flatten()]
    net = keras.Sequential([*scaled, *layers, k.Dense(10, "softmax")])
    floats = export(net, digits.fit.validation).model
    small = StaticInt8(calibration=calibration, signed=signed)(floats, digits.fit).model
    assert not any(n.op_type in ("Add", "Mul", "Sub") for n in small.graph.node)
    first = next(n for n in small.graph.node if n.op_type == "QuantizeLinear")
    held = {t.name: numpy_helper.to_array(t) for t in small.graph.initializer}
    places = np.unique(digits.test.x) / held[first.input[1]]
    assert np.abs(places - np.round(places)).mean() < 0.26
    p, q = (predictor(m.SerializeToString())(digits.test.x) for m in (floats, small))
    assert np.abs(p - q).mean() < 0.01


def test_what_scales_the_input_is_taken_into_its_steps(floats, digits):
    """A pass over the input less: small nets spend as much on it as on all their integers."""
    assert any(n.op_type == "Mul" for n in floats.graph.node)
    small = StaticInt8()(floats, digits.fit).model
    assert not any(n.op_type == "Mul" for n in small.graph.node)
    first = next(n for n in small.graph.node if n.op_type == "QuantizeLinear")
    held = {t.name: numpy_helper.to_array(t) for t in small.graph.initializer}
    step = held[first.input[1]]
    # pixels from 0 to 16, all of 0..1 in 255 steps
    assert float(step.reshape(())) == pytest.approx(digits.test.x.max() / 255, rel=1e-5)
    p, q = (predictor(m.SerializeToString())(digits.test.x) for m in (floats, small))
    assert np.abs(p - q).mean() < 0.01


def test_variances_of_a_normalised_layer_are_not_rounded_to_nothing(monkeypatch):
    """Rows whose values spread 1 and 100: a step of the variance is wider than the lesser ones."""
    import keras
    from keras import layers

    from toolkit.glossary import Data, Fit
    from toolkit.passes import static_int8

    keras.utils.set_random_seed(0)
    net = keras.Sequential(
        [
            layers.Input((8,)),
            layers.Dense(16, "relu"),
            layers.LayerNormalization(epsilon=1e-6),
            layers.Dense(3, "softmax"),
        ]
    )
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(64, 8)) * np.where(np.arange(64) % 2, 1, 100)[:, None]).astype(np.float32)
    rows = Data(x, np.arange(64) % 3, ("a", "b", "c"))
    model, fit = export(net, rows).model, Fit(rows, rows, rows)
    small = StaticInt8()(model, fit).model
    p, q = (predictor(m.SerializeToString())(x[::2]) for m in (model, small))
    assert np.abs(p - q).max() < 0.1
    monkeypatch.setattr(static_int8, "_beside_no_layer", lambda *_: {})
    with pytest.raises(RecipeError, match="no longer finite"):
        StaticInt8()(model, fit)


def test_logits_stay_fine_in_whatever_form_a_softmax_reads_them(floats, digits):
    """As PyTorch's heads over pictures: a Reshape between the last layer and the softmax."""
    from onnx import helper

    turned = type(floats)()
    turned.CopyFrom(floats)
    last = next(n for n in turned.graph.node if n.op_type == "Softmax")
    forms = helper.make_node("Unsqueeze", [last.input[0], "axis"], ["wide"])
    back = helper.make_node("Squeeze", ["wide", "axis"], ["narrow"])
    turned.graph.initializer.append(numpy_helper.from_array(np.array([2]), "axis"))
    last.input[0] = "narrow"
    at = list(turned.graph.node).index(last)
    turned.graph.node.insert(at, forms)
    turned.graph.node.insert(at + 1, back)
    small, other = (StaticInt8()(m, digits.fit).model for m in (floats, turned))
    p, q = (predictor(m.SerializeToString())(digits.test.x) for m in (small, other))
    assert np.allclose(p, q, atol=1e-6)


def test_histograms_hold_no_more_rows_than_their_bound(floats, digits, monkeypatch):
    held = []
    real = ranges.reader

    def reader(name, x):
        held.append(len(x))
        return real(name, x)

    monkeypatch.setattr(ranges, "reader", reader)
    x = digits.fit.calibration.x[: ranges.even(len(digits.fit.calibration))]
    assert ranges._calibrated(prepared(floats), "percentile", x)
    every = [o for n in prepared(floats).graph.node for o in n.output]
    of_one = sum(v.size for v in ranges.listening(prepared(floats), every)(x[:1]).values())
    monkeypatch.setattr(ranges, "_AT_ONCE", 10 * of_one)
    ranges._calibrated(prepared(floats), "entropy", x)
    ranges._calibrated(prepared(floats), "minmax", x)
    assert held == [len(x), 40, len(x)]


TURNED = """
<ir_version: 8, opset_import: ["" : 17]>
net (float[n, 2, 3] x) => (float[n, 3] p) <int64 times = {3}, bool on = {1}> {
    h = Relu (x)
    turned = Transpose <perm = [0, 2, 1]> (h)
    sums = Loop (times, on, turned) <body = body (int64 i, bool b, float[n, 3, 2] s)
        => (bool c, float[n, 3, 2] t) { c = Identity (b)  t = Add (s, turned) }>
    z = ReduceMean <axes = [2], keepdims = 0> (sums)
    p = Softmax <axis = 1> (z)
}
"""


def test_a_range_is_tried_before_what_a_loop_reads(tmp_path):
    """Moved behind the transposition, the rounding ends the process; so another one does it."""
    save(parser.parse_model(TURNED), tmp_path / "turned.onnx")
    code = (
        "import sys, onnx, numpy as np; from toolkit.passes import ranges; "
        "x = np.arange(60, dtype=np.float32).reshape(10, 2, 3); "
        "print(ranges.found(onnx.load(sys.argv[1]), 'best', x, ['h'])[0])"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "turned.onnx")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("{'h': (0.0, ")
