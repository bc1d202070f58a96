"""Float layers between roundings are float when onnxruntime has loaded the file."""

import numpy as np
import onnx
import pytest

from toolkit.cache import Cache
from toolkit.exporting import _same, export
from toolkit.making import begun
from toolkit.mixing import Bench, accurate
from toolkit.models.quantised import zero_on_a_step
from toolkit.passes import PASSES
from toolkit.passes.dynamic_int8 import prepared
from toolkit.predict import predictor
from toolkit.recipe import Recipe


@pytest.fixture(scope="module")
def convolutions(digits):
    """One channel in, a transposed convolution, two branches joined, as a graph of floats."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(1)
    first = keras.Input(digits.test.x.shape[1:])
    x = first if len(first.shape) == 4 else layers.Reshape((8, 8, 1))(first)
    x = layers.Conv2D(8, 3, activation="relu")(x)
    x = layers.Conv2DTranspose(8, 3, activation="relu")(x)
    both = [layers.Conv2D(8, k, padding="same", activation="relu")(x) for k in (1, 3)]
    x = layers.Conv2D(8, 3, activation="relu")(layers.MaxPooling2D()(layers.Concatenate()(both)))
    net = keras.Model(first, layers.Dense(10, "softmax")(layers.Flatten()(x)))
    return export(net, digits.fit.validation).model


def loaded(model, path, without=()):
    """Answers of a file, and how many of its weights are int8 once it is loaded."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.optimized_model_filepath = str(path)
    session = ort.InferenceSession(
        model.SerializeToString(),
        options,
        providers=["CPUExecutionProvider"],
        disabled_optimizers=list(without),
    )
    kinds = (onnx.TensorProto.INT8, onnx.TensorProto.UINT8)
    held = onnx.load(path).graph.initializer
    return session, sum(t.data_type in kinds and len(t.dims) > 1 for t in held)


@pytest.mark.parametrize("written_out", [False, True])
@pytest.mark.parametrize("layer", range(6))
def test_a_layer_kept_float_is_not_rounded_at_load(
    layer, written_out, convolutions, digits, tmp_path
):
    """The same bits as with the optimiser that would round it switched off."""
    kinds = ("Conv", "ConvTranspose", "Gemm", "MatMul")
    layers = [n.name or n.output[0] for n in convolutions.graph.node if n.op_type in kinds]
    assert len(layers) == 6
    small = PASSES["static_int8"](keep_float=(layers[layer],))(convolutions, digits.fit).model
    if written_out:
        small = PASSES["integer_operators"]()(small, digits.fit).model
    x = digits.test.x.reshape(len(digits.test), -1)[:50].astype(np.float32)
    wide = [d.dim_value for d in small.graph.input[0].type.tensor_type.shape.dim[1:]]
    given = {small.graph.input[0].name: x.reshape(-1, *wide)}
    session, rounded = loaded(small, tmp_path / "as.onnx")
    spared, truly = loaded(small, tmp_path / "without.onnx", ["WeightBiasQuantization"])
    assert rounded == truly == 5
    assert (session.run(None, given)[0] == spared.run(None, given)[0]).all()


def test_zero_is_a_step_and_no_end_is_lost():
    rng = np.random.default_rng(0)
    drawn = zip(-rng.random(99), rng.random(99), strict=True)
    for low, high in [(-1.0, 1.0), (-1e-6, 1.0), (-1.0, 1e-6), (0.0, 6.0), *drawn]:
        made = zero_on_a_step(low, high)
        step = (made[1] - made[0]) / 255
        assert made[0] <= low + 1e-12
        assert made[1] >= high - 1e-12
        assert abs(made[0] / step - round(made[0] / step)) < 1e-6
    # pixels from -1 to 1 lie a quarter of a step off on average, not a half
    low, high = zero_on_a_step(-1.0, 1.0)
    places = (np.arange(256) / 127.5 - 1) * 255 / (high - low)
    assert np.abs(places - np.round(places)).mean() == pytest.approx(0.25, abs=0.01)


def test_two_classes_as_probable_are_one_answer():
    wanted = np.float32([[0.5, 0.5, 0], [0.6, 0.4, 0]])
    assert _same(wanted, np.float32([[0.49, 0.51, 0], [0.6, 0.4, 0]])) == 1
    assert _same(wanted, np.float32([[0.5, 0.5, 0], [0.4, 0.6, 0]])) == 0.5


def test_the_rounded_net_answers_as_one_whose_layer_is_float(convolutions, digits):
    """Putting a layer back to float brings its answers nearer, and never rounds it once more."""
    layer = next(n.name for n in convolutions.graph.node if n.op_type == "ConvTranspose")
    wanted = predictor(convolutions.SerializeToString())(digits.test.x)
    apart = []
    for kept in ((), (layer,)):
        small = PASSES["static_int8"](keep_float=kept)(convolutions, digits.fit).model
        apart.append(np.abs(predictor(small.SerializeToString())(digits.test.x) - wanted).mean())
    assert apart[1] < apart[0]


def test_where_every_layer_is_float_nothing_is_rounded(convolutions, digits):
    """Neither the joining of two branches, nor what is put in: the same bits as the float file."""
    kinds = ("Conv", "ConvTranspose", "Gemm", "MatMul")
    every = tuple(n.name for n in convolutions.graph.node if n.op_type in kinds)
    step = PASSES["static_int8"](keep_float=every)(convolutions, digits.fit)
    assert not any("Quantize" in n.op_type for n in step.model.graph.node)
    assert "only float layers beside it" in step.facts["skipped"].values()
    both = [predictor(m.SerializeToString())(digits.test.x) for m in (convolutions, step.model)]
    assert np.allclose(*both, atol=1e-6)


def test_a_file_without_rounded_layers_has_none_to_put_back(mlp, digits, tmp_path):
    cache = Cache(tmp_path / "cache")
    bench = Bench(begun(mlp, digits.fit, cache), cache, tmp_path / "checkpoints")
    layers = [n.name for n in prepared(onnx.load_from_string(bench.source.base.content)).graph.node]
    kept = tuple(n for n in layers if "dense" in n or "classes" in n)
    recipe = Recipe("kept", (PASSES["static_int8"](keep_float=kept), PASSES["shorten"]()))
    (one,) = bench.made([recipe])
    assert one.error is None
    assert accurate(one, bench, limit=1, n=10) is None
