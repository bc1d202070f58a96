"""Quantisation-aware training from Keras to the integers of the file."""

from collections import Counter

import numpy as np
import onnx
import pytest

from toolkit.errors import RecipeError
from toolkit.exporting import export
from toolkit.glossary import Data, Fit
from toolkit.passes.integer_operators import IntegerOperators
from toolkit.passes.quantise_aware import QuantiseAware
from toolkit.passes.shorten import Shorten
from toolkit.predict import OnnxPredictor, predictor
from toolkit.saturation import IntegerPredictor

KERNELS = {"Conv1D", "Conv2D", "DepthwiseConv1D", "DepthwiseConv2D", "Dense"}
INTEGER = {"QLinearConv", "QGemm", "QLinearMatMul", "MatMulIntegerToFloat"}


def optimised(model, tmp_path):
    """The operators that onnxruntime runs, counted in the graph it has optimised."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return Counter(n.op_type for n in onnx.load(tmp_path / "optimised.onnx").graph.node)


def residual(layers):
    def net(x):
        y = layers.BatchNormalization()(layers.Conv2D(8, 3, padding="same", use_bias=False)(x))
        y = layers.ReLU()(y)
        z = layers.BatchNormalization()(layers.Conv2D(8, 3, padding="same")(y))
        y = layers.ReLU()(layers.Add()([y, z]))
        y = layers.Concatenate()([y, layers.Conv2D(4, 1, activation="swish")(y)])
        return layers.Dense(3)(layers.GlobalAveragePooling2D()(y))

    return net


def depthwise(layers):
    def net(x):
        x = layers.Rescaling(1 / 4)(x)
        x = layers.ZeroPadding2D()(x)
        x = layers.Conv2D(8, 3, strides=2, use_bias=False)(x)
        x = layers.ReLU(max_value=6.0)(layers.BatchNormalization()(x))
        x = layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x)
        x = layers.ReLU(max_value=6.0)(layers.BatchNormalization()(x))
        x = layers.SeparableConv2D(8, 3, activation="relu")(x)
        x = layers.Dropout(0.2)(layers.MaxPooling2D()(x))
        return layers.Dense(3, "softmax")(layers.Flatten()(x))

    return net


def in_time(layers):
    """Squeeze and excitation, hard swish, layers along time, and a head of a model of its own."""
    import keras

    def net(x):
        x = layers.Conv2D(8, 3, activation="hard_silu")(x)
        s = layers.GlobalAveragePooling2D(keepdims=True)(x)
        s = layers.Conv2D(8, 1, activation="sigmoid")(layers.Conv2D(4, 1, activation="relu")(s))
        x = layers.Reshape((9, 8))(layers.AveragePooling2D(2)(layers.Multiply()([x, s])))
        x = layers.BatchNormalization()(layers.Conv1D(8, 3, padding="same")(x))
        x = layers.LSTM(6)(layers.MaxPooling1D()(layers.ReLU()(x)))
        head = keras.Sequential([layers.Dense(6, "tanh"), layers.Dense(3), layers.Softmax()])
        return head(x)

    return net


def depthwise_in_time(layers):
    """Depthwise and separable layers along time, with a norm, a step and several a channel."""

    def net(x):
        x = layers.DepthwiseConv1D(3, padding="same", use_bias=False)(layers.Reshape((8, 24))(x))
        x = layers.ReLU(max_value=6.0)(layers.BatchNormalization()(x))
        x = layers.SeparableConv1D(8, 3, padding="same", activation="relu")(x)
        x = layers.SeparableConv1D(8, 3, depth_multiplier=2, activation="swish")(x)
        x = layers.DepthwiseConv1D(3, strides=2, depth_multiplier=2, activation="relu")(x)
        return layers.Dense(3, "softmax")(layers.Flatten()(x))

    return net


NETS = {f.__name__: f for f in (residual, depthwise, in_time, depthwise_in_time)}


@pytest.fixture(scope="module")
def stripes():
    """Pictures of three kinds of stripes, f32 (n, 8, 8, 3), which any net learns at once."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 1600)
    grid = np.stack(np.meshgrid(np.arange(8), np.arange(8), indexing="ij"))
    waves = np.stack([np.sin(grid[0]), np.sin(grid[1]), np.sin(grid.sum(0))])
    x = (waves[y][..., None] + rng.normal(size=(1600, 8, 8, 3))).astype(np.float32)
    data = Data(x, y, ("a", "b", "c"), kind="image")
    parts = (slice(0, 400), slice(400, 500), slice(500, 600))
    return Fit(*(data.rows(p) for p in parts)), data.rows(slice(600, 1600))


@pytest.fixture(scope="module")
def made(stripes):
    """Each net trained, then trained on with rounding, and as a file."""
    import keras
    from keras import layers

    from toolkit.training import Settings, train

    fit, _ = stripes
    found = {}
    for name, net in NETS.items():
        keras.utils.set_random_seed(0)
        first = keras.Input((8, 8, 3))
        base, _ = train(keras.Model(first, net(layers)(first)), fit, Settings(epochs=4, batch=32))
        step = QuantiseAware(epochs=1)(base, fit)
        found[name] = (base, step, export(step.model, fit.validation))
    return found


@pytest.mark.parametrize("name", NETS)
def test_the_file_answers_as_the_trained_model(name, made, stripes):
    """At least 999 of 1,000 rows, in onnxruntime's exact integer mode."""
    _, step, exported = made[name]
    x = stripes[1].x
    small = OnnxPredictor(exported.model.SerializeToString(), name, exact=True)
    wanted, given = predictor(step.model)(x), small(x)
    assert (wanted.argmax(1) == given.argmax(1)).mean() >= 0.999
    assert np.abs(wanted - given).mean() < 1e-3


@pytest.mark.parametrize("name", NETS)
def test_every_kernel_runs_on_integers(name, made, tmp_path):
    _, step, exported = made[name]
    kernels = sum(type(layer).__name__ in KERNELS for layer in step.model.layers)
    found = optimised(exported.model, tmp_path)
    assert sum(found[kind] for kind in INTEGER) == kernels
    assert not any("FakeQuant" in n.op_type for n in exported.model.graph.node)
    assert exported.facts["float_layers"] == {}
    assert not any(found[kind] for kind in ("Conv", "FusedConv", "Gemm", "MatMul"))


@pytest.mark.parametrize("name", NETS)
def test_written_as_integer_operators_it_answers_the_same(name, made, stripes, tmp_path):
    _, _, exported = made[name]
    fit, test = stripes
    short = Shorten()(exported.model, fit).model
    small = Shorten()(IntegerOperators()(exported.model, fit).model, fit).model
    wanted = predictor(exported.model.SerializeToString())(test.x)
    kernels = sum(optimised(exported.model, tmp_path)[kind] for kind in INTEGER)
    for model in (short, small):
        assert np.array_equal(predictor(model.SerializeToString())(test.x), wanted)
        assert sum(optimised(model, tmp_path)[kind] for kind in INTEGER) == kernels
    assert small.ByteSize() < short.ByteSize() < exported.model.ByteSize()


def test_weights_have_seven_bits_and_a_step_a_channel(made):
    model = made["residual"][2].model
    held = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
    kernels = [v for v in held.values() if v.dtype == np.int8 and v.ndim > 1]
    assert len(kernels) == 4
    assert max(int(np.abs(k.astype(int)).max()) for k in kernels) == 63
    nodes = [n for n in model.graph.node if n.op_type == "DequantizeLinear"]
    steps = {held[n.input[0]].shape: held[n.input[1]].shape for n in nodes if n.input[0] in held}
    assert steps[(8, 3, 3, 3)] == (8,)


def test_what_has_no_rule_stays_float_and_is_named(made):
    step = made["in_time"][1]
    ((name, why),) = step.facts["skipped"].items()
    assert name.startswith("lstm")
    assert "LSTM" in why
    assert made["residual"][1].facts["skipped"] == {}


def test_ranges_are_set_before_training(made, stripes):
    """They are the extremes of the calibration rows, batch by batch, and 0 is one of the steps."""
    import keras

    from toolkit.models.quantised import prepared, zero_on_a_step

    base, (fit, _) = made["depthwise"][0], stripes
    ready = prepared(base, fit.calibration.x)
    places = [layer for layer in ready.model.layers if type(layer).__name__ == "FakeQuantize"]
    first = keras.Model(ready.model.inputs[0], places[0].input)
    values = np.asarray(first(fit.calibration.x))
    low, high = zero_on_a_step(float(values.min()), float(values.max()))
    assert places[0].low.numpy() == pytest.approx(low, rel=1e-5)
    assert places[0].high.numpy() == pytest.approx(high, rel=1e-5)
    after = [layer for layer in places[1:] if layer.low.numpy() == 0.0]
    assert len(after) == 3  # after each ReLU
    assert all(0 < layer.high.numpy() <= 6 for layer in after[:2])


def test_batch_normalisation_is_folded(made):
    base, step, _ = made["residual"]
    assert sum("Batch" in type(layer).__name__ for layer in base.layers) == 2
    assert not any("Batch" in type(layer).__name__ for layer in step.model.layers)


def test_four_bits_and_eight(digits, cnn):
    for bits, most in ((4, 7), (8, 127)):
        step = QuantiseAware(bits=bits, epochs=1)(cnn, digits.fit)
        file = export(step.model, digits.fit.validation).model
        held = [onnx.numpy_helper.to_array(t) for t in file.graph.initializer]
        assert max(int(np.abs(v.astype(int)).max()) for v in held if v.dtype == np.int8) == most
        # 8 bits are for CPUs whose sums do not clip, which this one need not be
        whole = IntegerPredictor(file, clipping=False)
        p, q = (ask(digits.test.x).argmax(1) for ask in (predictor(step.model), whole))
        assert (p == q).mean() >= 0.99


def odd(layers, name):
    """Nets on which rounding could go wrong unseen."""
    import keras

    first = keras.Input((8, 8, 3))
    if name == "norm after an activation":
        x = layers.BatchNormalization()(layers.Conv2D(8, 3, activation="relu")(first))
    elif name == "two roundings of one tensor":
        x = layers.MaxPooling2D()(layers.Conv2D(8, 3)(first))
        x = layers.Add()([layers.Conv2D(8, 1)(layers.ReLU()(x)), layers.Conv2D(8, 1)(x)])
    elif name == "padding and pooling before a kernel":
        x = layers.Conv2D(8, 3, activation="relu")(first)
        x = layers.Conv2D(8, 3)(layers.MaxPooling2D(3, 2)(layers.ZeroPadding2D()(x)))
    elif name == "causal":
        x = layers.Conv1D(8, 3, padding="causal")(layers.Reshape((8, 24))(first))
        x = layers.Reshape((8, 1, 8))(x)
    else:
        x = layers.Conv2D(8, 3, activation=layers.LeakyReLU(negative_slope=0.1))(first)
    return keras.Model(first, layers.Dense(3, "softmax")(layers.GlobalAveragePooling2D()(x)))


@pytest.mark.parametrize(
    "name",
    [
        "norm after an activation",
        "two roundings of one tensor",
        "padding and pooling before a kernel",
        "causal",
        "an activation that is a layer",
    ],
)
def test_odd_nets_are_folded_and_compiled_right(name, stripes):
    """Unrounded and trained, folded, and as a file: the same answers but for the steps."""
    from keras import layers

    from toolkit import bridge
    from toolkit.models.quantised import folded, prepared

    fit, test = stripes
    net, rng = odd(layers, name), np.random.default_rng(3)
    for weight in net.weights:
        size = np.abs(rng.normal(size=weight.shape)) + 0.5
        small = rng.normal(0, 0.3, weight.shape)
        weight.assign(size if "variance" in weight.path or "gamma" in weight.path else small)
    ready = prepared(net, fit.calibration.x)
    trained, steps = bridge.from_training(bridge.to_training(ready.model, 7), ready.model)
    made = folded(trained, steps)
    p, q = predictor(trained)(test.x), predictor(made)(test.x)
    assert np.abs(p - q).mean() < 2e-3
    exported = export(made, fit.validation)
    assert exported.facts["float_layers"] == {}
    assert np.abs(predictor(exported.model.SerializeToString())(test.x) - q).mean() < 1e-3


def rounded_at_once(net, rows, bits=7):
    """The model that trained rounding gives when it takes no step."""
    from toolkit import bridge
    from toolkit.models.quantised import folded, prepared

    ready = prepared(net, rows)
    return folded(*bridge.from_training(bridge.to_training(ready.model, bits), ready.model))


@pytest.mark.parametrize("kind", ["GRU", "both ways", "LSTM, both ways"])
def test_a_recurrent_layer_stays_the_one_operator_it_was(kind, stripes, tmp_path):
    """tf2onnx makes a loop of a GRU of Keras 3, which is five times as slow."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(0)
    fit, test = stripes
    one = layers.LSTM(6) if "LSTM" in kind else layers.GRU(6)
    first = keras.Input((8, 8, 3))
    x = layers.Conv1D(8, 3, activation="relu")(layers.Reshape((8, 24))(first))
    x = layers.Dense(8, "relu")(layers.Dense(8, "tanh")(x))
    x = layers.Bidirectional(one)(x) if "ways" in kind else one(x)
    net = keras.Model(first, layers.Dense(3, "softmax")(x))
    small = rounded_at_once(net, fit.calibration.x)
    base, made = (export(m, fit.validation) for m in (net, small))
    assert made.facts["through"] == base.facts["through"]
    kinds = [n.op_type for n in made.model.graph.node]
    assert sum(k in ("GRU", "LSTM") for k in kinds) == 1
    assert not any(k == "Loop" or "FakeQuant" in k for k in kinds)
    assert made.facts["float_layers"] == {}
    found = optimised(made.model, tmp_path)
    assert sum(found[k] for k in INTEGER) == 4
    file = OnnxPredictor(made.model.SerializeToString(), kind, exact=True)
    p, q = predictor(small)(test.x), file(test.x)
    assert (p.argmax(1) == q.argmax(1)).mean() >= 0.999
    if kind == "GRU":
        assert export(small, fit.validation).model == made.model


def test_steps_that_are_masked_stay_so_behind_what_rounds(tmp_path):
    import keras
    from keras import layers

    from toolkit.models.quantised import prepared

    keras.utils.set_random_seed(0)
    rows = np.random.default_rng(0).normal(size=(200, 9, 4)).astype(np.float32)
    rows[:, 5:] = 0
    layered = layers.Masking(), layers.Dense(8, "relu"), layers.GRU(5), layers.Dense(3, "softmax")
    net = keras.Sequential([keras.Input((9, 4)), *layered])
    made = prepared(net, rows).model
    made.save(tmp_path / "made.keras")
    for one in (made, keras.saving.load_model(tmp_path / "made.keras")):
        assert np.abs(predictor(one)(rows) - predictor(net)(rows)).max() < 0.01


@pytest.mark.parametrize("kind", ["Conv2D", "Dense"])
def test_each_call_of_a_shared_layer_has_its_bias_on_the_steps_of_its_input(kind, stripes):
    """Of two bits the steps of a sum are coarse: by those of the other call, most rows moved."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(0)
    fit, test = stripes
    biases = keras.initializers.RandomNormal(0.0, 0.3)
    settings = {"activation": "relu", "bias_initializer": biases, "name": "shared"}
    first = keras.Input((8, 8, 3))
    if kind == "Conv2D":
        x, shared = first, layers.Conv2D(3, 3, padding="same", **settings)
    else:
        x, shared = layers.Dense(16, "relu")(layers.Flatten()(first)), layers.Dense(16, **settings)
    net = keras.Model(first, layers.Dense(3, "softmax")(layers.Flatten()(shared(shared(x)))))
    made = rounded_at_once(net, fit.calibration.x, bits=2)
    content = export(made, fit.validation).model.SerializeToString()
    p, q = predictor(made)(test.x), OnnxPredictor(content, kind, exact=True)(test.x)
    assert (p.argmax(1) == q.argmax(1)).mean() >= 0.999
    assert (np.abs(p - q).max(axis=1) > 1e-5).mean() < 0.02
    one, two = (layer for layer in made.layers if layer.name.startswith("shared"))
    assert np.array_equal(one.kernel.numpy(), two.kernel.numpy())


def test_a_shared_layer_with_inputs_of_one_step_stays_one(stripes):
    import keras
    from keras import layers

    fit, _ = stripes
    first = keras.Input((8, 8, 3))
    shared = layers.Conv2D(3, 3, name="shared")
    x = layers.Concatenate()([shared(first), shared(layers.Permute((2, 1, 3))(first))])
    net = keras.Model(first, layers.Dense(3, "softmax")(layers.Flatten()(x)))
    made = rounded_at_once(net, fit.calibration.x)
    assert sum(layer.name.startswith("shared") for layer in made.layers) == 1


@pytest.mark.parametrize(
    "wrong", [{"bits": 1}, {"bits": 9}, {"rate": 0.0}, {"weight": 2.0}, {"teacher": "bse"}]
)
def test_wrong_settings(wrong):
    with pytest.raises(RecipeError):
        QuantiseAware(**wrong)


def test_dense_layers_spread_over_time_are_rounded_and_cut(stripes, tmp_path):
    import keras
    from keras import layers

    from toolkit.models.channels import traced
    from toolkit.models.graph import flat

    fit, test = stripes
    keras.utils.set_random_seed(0)
    first = keras.Input((8, 8, 3))
    spread = layers.TimeDistributed(layers.Dense(24, "gelu", name="each"))
    x = spread(spread(layers.Reshape((8, 24))(first)))
    x = layers.GlobalAveragePooling1D()(x)
    net = keras.Model(first, layers.Dense(3, "softmax")(x))
    assert np.allclose(flat(net)(test.x), net(test.x), atol=1e-6)
    assert "each" in traced(flat(net)).makers
    step = QuantiseAware(epochs=1)(net, fit)
    assert step.facts["skipped"] == {}
    file = export(step.model, fit.validation)
    kinds = optimised(file.model, tmp_path)
    assert sum(kinds[kind] for kind in INTEGER) == 3
    p = predictor(file.model.SerializeToString())(test.x)
    assert np.abs(p - predictor(step.model)(test.x)).mean() < 1e-3


def test_a_saved_model_keeps_its_rounding(made, stripes, tmp_path):
    from toolkit.models import open_model

    step = made["residual"][1]
    step.model.save(tmp_path / "rounded.keras")
    again = open_model(tmp_path / "rounded.keras")
    x = stripes[1].x[:50]
    assert np.array_equal(predictor(again)(x), predictor(step.model)(x))


@pytest.mark.parametrize("kind", ["weights", "norm"])
def test_channels_of_next_to_nothing_keep_their_bias(kind, stripes):
    """Counted in steps of such weights, a bias would not fit into the sum of 32 bits."""
    import keras
    from keras import layers

    fit, test = stripes
    keras.utils.set_random_seed(0)
    first = keras.Input((8, 8, 3))
    x = layers.Conv2D(16, 3, name="odd", use_bias=kind == "weights")(first)
    x = layers.BatchNormalization()(x) if kind == "norm" else x
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(12, 3, activation="relu")(layers.ReLU()(x)))
    net = keras.Model(first, layers.Dense(3, "softmax")(x))
    if kind == "norm":
        norm = net.layers[2]
        norm.gamma.assign(np.where(np.arange(16) < 6, 1e-10, 1.0))
        norm.beta.assign(np.where(np.arange(16) < 6, 0.9, 0.0))
    else:
        kernel, bias = net.get_layer("odd").get_weights()
        kernel[..., :6] *= 1e-9
        bias[:6] = 0.9
        net.get_layer("odd").set_weights([kernel, bias])
    step = QuantiseAware(epochs=1)(net, fit)
    file = export(step.model, fit.validation)
    assert file.facts["float_layers"] == {}
    p = predictor(file.model.SerializeToString())(test.x)
    assert np.abs(p - predictor(step.model)(test.x)).mean() < 1e-3


def pixels(layers):
    def net(x):
        x = layers.Conv2D(16, 1, use_bias=False, name="few")(x)
        x = layers.BatchNormalization(name="norm")(x)
        return layers.Dense(3, "softmax")(layers.GlobalAveragePooling2D()(layers.ReLU()(x)))

    return net


def units(layers):
    def net(x):
        x = layers.Dense(16, "relu", name="few")(layers.Flatten()(x))
        return layers.Dense(3, "softmax")(x)

    return net


@pytest.mark.parametrize("bits", [3, 7])
@pytest.mark.parametrize("net", [pixels, units])
def test_channels_of_few_weights_keep_their_bias(net, bits, stripes):
    """Read off one weight alone, a step is 63 times too wide for the bias."""
    import keras
    from keras import layers

    rng = np.random.default_rng(0)
    fit, test = stripes
    keras.utils.set_random_seed(0)
    first = keras.Input((8, 8, 3))
    model = keras.Model(first, net(layers)(first))
    few = model.get_layer("few")
    kernel = few.kernel.numpy().reshape(-1, 16)
    kernel[np.argsort(rng.random(kernel.shape), axis=0) >= 1] = 0
    few.kernel.assign(kernel.reshape(few.kernel.shape))
    if few.use_bias:
        few.bias.assign(rng.normal(size=16))
    else:
        model.get_layer("norm").beta.assign(rng.normal(size=16))
    rounded = rounded_at_once(model, fit.calibration.x, bits)
    p = predictor(export(rounded, fit.validation).model.SerializeToString())(test.x)
    assert np.abs(p - predictor(rounded)(test.x)).mean() < 1e-5


def test_an_activation_with_weights_of_its_own(stripes):
    import keras
    from keras import layers

    from toolkit.models.quantised import prepared

    fit, _ = stripes
    keras.utils.set_random_seed(0)
    net = keras.Sequential(
        [
            layers.Input((8, 8, 3)),
            layers.Conv2D(4, 3, activation=layers.PReLU(alpha_initializer="ones")),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, activation="softmax"),
        ]
    )
    x = fit.calibration.x
    wanted = net(x).numpy()  # the first call makes its weights
    net.layers[0].activation.alpha.assign(np.full((6, 6, 4), -0.5))
    assert np.abs(net(x).numpy() - wanted).max() > 1e-3
    ready = prepared(net, x)
    assert np.abs(predictor(ready.model)(x) - net(x).numpy()).mean() < 1e-2


@pytest.mark.parametrize(("bits", "shared"), [(4, True), (7, False)])
def test_filters_of_one_pixel_share_a_step_where_it_is_a_large_part(bits, shared, stripes):
    """Of four bits, sixteen weights take eight bytes, and a step of their own two."""
    import keras
    from keras import layers

    fit, test = stripes
    keras.utils.set_random_seed(0)
    first = keras.Input((8, 8, 3))
    x = layers.Conv2D(16, 3, activation="relu")(first)
    x = layers.Conv2D(12, 1, activation="relu", name="pixel")(x)
    net = keras.Model(first, layers.Dense(3, "softmax")(layers.GlobalAveragePooling2D()(x)))
    step = QuantiseAware(epochs=1, bits=bits)(net, fit)
    file = export(step.model, fit.validation).model
    held = {t.name: list(t.dims) for t in file.graph.initializer}
    reader = next(n for n in file.graph.node if n.op_type == "Conv" and "pixel" in n.output[0])
    maker = next(n for n in file.graph.node if reader.input[1] in n.output)
    assert held[maker.input[1]] == ([] if shared else [12])
    p = predictor(file.SerializeToString())(test.x)
    assert np.abs(p - predictor(step.model)(test.x)).mean() < 1e-3
