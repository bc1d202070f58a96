import numpy as np
import pytest
from onnx import TensorProto, numpy_helper

from toolkit.errors import RecipeError
from toolkit.export import export
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


@pytest.mark.parametrize("method", ["entropy", "percentile"])
def test_other_calibrations_run(method, floats, digits):
    small = StaticInt8(calibration=method, rows=40)(floats, digits.fit).model
    assert predictor(small.SerializeToString())(digits.test.x[:3]).shape == (3, 10)


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
