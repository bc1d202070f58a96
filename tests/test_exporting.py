import numpy as np
import onnx
import pytest

from toolkit import exporting
from toolkit.errors import ExportError
from toolkit.exporting import TOLERANCE, export
from toolkit.glossary import Data
from toolkit.predict import predictor


@pytest.mark.parametrize("name", ["mlp", "cnn", "tabular"])
def test_reference_models_come_out_right(name, request, digits, wine):
    model = request.getfixturevalue(name)
    rows = wine.fit.validation if name == "tabular" else digits.fit.validation
    step = export(model, rows)
    onnx.checker.check_model(step.model, full_check=True)
    assert step.facts["largest_difference"] <= TOLERANCE
    assert step.model.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "n"
    props = {p.key: p.value for p in step.model.metadata_props}
    assert props["classes"].split("\n") == list(rows.classes)
    assert "keras" in props["producer"]


@pytest.mark.parametrize("head", ["sigmoid", "linear"])
def test_other_heads_become_probabilities(head, wine):
    import keras

    from toolkit.predict import OnnxPredictor

    units = 1 if head == "sigmoid" else 3
    model = keras.Sequential([keras.layers.Input((13,)), keras.layers.Dense(units, head)])
    classes = wine.test.classes[: max(units, 2)]
    small = OnnxPredictor(
        export(model, Data(wine.test.x, wine.test.y, classes)).model.SerializeToString(), "s"
    )
    p = small(wine.test.x)
    assert p.shape == (len(wine.test), len(classes))
    assert np.allclose(p.sum(axis=1), 1, atol=1e-6)


def net(shape, *layers):
    import keras

    return keras.Sequential([keras.layers.Input(shape), *layers, keras.layers.Dense(3, "softmax")])


def attention():
    import keras

    layers = keras.layers
    given = layers.Input((7, 4))
    mixed = layers.LayerNormalization()(given + layers.MultiHeadAttention(2, 3)(given, given))
    answer = layers.Dense(3, "softmax")(layers.GlobalAveragePooling1D()(mixed))
    return keras.Model(given, answer)


def residual():
    import keras

    layers = keras.layers
    given = layers.Input((8, 8, 3))
    x = layers.BatchNormalization()(layers.Conv2D(3, 3, padding="same")(given))
    x = layers.Concatenate()(
        [layers.Add()([x, given]), layers.DepthwiseConv2D(3, padding="same")(x)]
    )
    return keras.Model(given, layers.Dense(3, "softmax")(layers.GlobalMaxPooling2D()(x)))


def zoo():
    """Nets of layers that exporters have stumbled over."""
    from keras import layers

    from toolkit.models.legacy import hard_sigmoid, register

    register()

    return {
        "exact gelu, twice": net((6,), layers.Dense(4, "gelu"), layers.Dense(4, "gelu")),
        "tanh gelu": net((6,), layers.Dense(4), layers.Activation("gelu")),
        "swish, relu6, hard silu, celu": net(
            (6,), *(layers.Dense(4, kind) for kind in ("swish", "relu6", "hard_silu", "celu"))
        ),
        "grouped convolution": net((8, 8, 4), layers.Conv2D(4, 3, groups=2), layers.Flatten()),
        "separable": net((8, 8, 3), layers.SeparableConv2D(4, 3), layers.PReLU(), layers.Flatten()),
        "augmentation": net(
            (8, 8, 3),
            layers.RandomFlip(),
            layers.RandomRotation(0.1),
            layers.RandomZoom(0.1),
            layers.RandomContrast(0.1),
            layers.Flatten(),
        ),
        "preprocessing": net(
            (6,),
            layers.Normalization(mean=[0.5] * 6, variance=[2.0] * 6),
            layers.GaussianNoise(0.1),
        ),
        "bins": net(
            (6,),
            layers.Discretization([0.2, 0.4, 0.7], dtype="float32"),
            layers.Embedding(4, 3),
            layers.Flatten(),
        ),
        "bins, several at once": net((6,), layers.Discretization([0.5], output_mode="multi_hot")),
        "categories": net((6,), layers.CategoryEncoding(20, output_mode="multi_hot")),
        "lstm": net((7, 4), layers.Bidirectional(layers.LSTM(5))),
        "embedding, any length": net(
            (None,), layers.Embedding(20, 5), layers.GlobalAveragePooling1D()
        ),
        "old gru, simple rnn": net(
            (7, 4),
            layers.GRU(5, reset_after=False, return_sequences=True),
            layers.SimpleRNN(4),
        ),
        "hard sigmoids": net(
            (6,), layers.Dense(4, "hard_sigmoid"), layers.Dense(4, hard_sigmoid), layers.ELU()
        ),
        "nested": net((6,), net((6,), layers.Dense(5, "relu")), layers.UnitNormalization()),
        "only in Keras 3": net((6,), layers.Dense(4), layers.RMSNormalization()),
        "conv1d": net((9, 4), layers.Conv1D(5, 3, padding="causal"), layers.GlobalMaxPooling1D()),
        "attention": attention(),
        "residual": residual(),
    }


@pytest.mark.filterwarnings("ignore::UserWarning")  # keras: a mask that ONNX cannot carry
def test_layers_that_people_use_come_out_right():
    """Each is run with one row and with several, and compared with Keras on real values."""

    for name, model in zoo().items():
        shape = [6 if d is None else d for d in model.input_shape[1:]]
        x = np.random.default_rng(0).uniform(0, 1, (6, *shape)).astype(np.float32)
        x = np.floor(20 * x) if "embedding" in name or name == "categories" else x
        before = [w.copy() for w in model.get_weights()]
        step = export(model, Data(x, np.arange(6) % 3, ("a", "b", "c")))
        assert step.facts["largest_difference"] <= TOLERANCE, name
        assert all((a == b).all() for a, b in zip(before, model.get_weights(), strict=True))
        assert np.isfinite(np.asarray(model(x))).all(), "the model still runs as it did"


@pytest.mark.filterwarnings("ignore::UserWarning")  # keras: a mask that ONNX cannot carry
def test_constants_are_called_and_ordered_by_what_reads_them():
    """Names that tf2onnx takes out of sets and addresses made other bytes of the same model."""

    for model in (attention(), residual()):
        x = np.zeros((6, *model.input_shape[1:]), np.float32)
        graph = export(model, Data(x, np.arange(6) % 3, ("a", "b", "c"))).model.graph
        held = {tensor.name for tensor in graph.initializer}
        readers = {}
        for node in graph.node:
            for i, name in enumerate(node.input):
                if name in held:
                    readers.setdefault(name, f"{node.output[0]}#{i}")
        assert [t.name for t in graph.initializer] == list(readers.values()) == list(readers)


@pytest.mark.parametrize("kind", ["GRU", "LSTM"])
def test_recurrent_layers_become_one_node(kind):
    """tf2onnx makes a loop of a GRU of Keras 3; of its twin it makes an operator."""
    from keras import layers

    model = net((7, 4), getattr(layers, kind)(5))
    x = np.random.default_rng(0).uniform(0, 1, (6, 7, 4)).astype(np.float32)
    step = export(model, Data(x, np.arange(6) % 3, ("a", "b", "c")))
    nodes = [node.op_type for node in step.model.graph.node]
    assert kind in nodes
    assert "Loop" not in nodes


def test_a_model_without_a_twin_is_converted_itself(monkeypatch, mlp, digits):
    """And of two files the smaller is taken: an MLP is the same by both roads, but for names."""
    from toolkit import bridge

    both = export(mlp, digits.fit.validation)

    def none(model, make):
        raise ValueError("no twin")

    monkeypatch.setattr("toolkit.exporting.to_tf_keras", none)
    assert bridge.to_tf_keras is not none
    alone = export(mlp, digits.fit.validation)
    assert alone.facts["through"] == "keras"
    assert alone.facts["not_through"] == {"tf_keras": "no twin"}
    assert "not_through" not in both.facts
    assert both.model.ByteSize() <= alone.model.ByteSize()


def test_what_onnx_has_no_form_for_is_refused(wine):
    """A convolution in three dimensions with groups: no converter, and one line that says so."""
    import keras

    layers = [keras.layers.Conv3D(4, 2, groups=2), keras.layers.Flatten()]
    model = net((4, 4, 4, 2), *layers)
    rows = Data(np.zeros((2, 4, 4, 4, 2), np.float32), np.array([0, 1]), ("a", "b", "c"))
    with pytest.raises(ExportError, match=r"cannot be turned into ONNX.*conv3d") as caught:
        export(model, rows)
    assert "\n" not in str(caught.value)


def test_a_table_of_values_is_named():
    import keras

    given = keras.Input((1,), dtype="int64")
    codes = keras.layers.IntegerLookup(vocabulary=[12, 36], output_mode="one_hot", name="codes")
    model = keras.Model(given, keras.layers.Dense(2, "softmax")(codes(given)))
    rows = Data(np.float32([[12], [36]]), np.array([0, 1]), ("a", "b"))
    with pytest.raises(ExportError, match=r"the layer codes\w* looks values up in a table"):
        export(model, rows)


@pytest.fixture
def breaking(monkeypatch):
    """Files that differ from their model by a hundredth of the largest kernel."""
    import tf2onnx

    right = tf2onnx.convert.from_function

    def wrong(*args, **kwargs):
        proto, other = right(*args, **kwargs)
        weight = max((t for t in proto.graph.initializer if len(t.dims) == 2), key=_size)
        values = onnx.numpy_helper.to_array(weight) * np.float32(1.01)
        weight.CopyFrom(onnx.numpy_helper.from_array(values, weight.name))
        return proto, other

    monkeypatch.setattr(tf2onnx.convert, "from_function", wrong)


def _size(tensor):
    return np.prod(tensor.dims)


def test_a_wrong_file_never_leaves(breaking, mlp, digits):
    """Break the file on purpose: the comparison on real rows must catch it."""
    with pytest.raises(ExportError, match="differs from Keras"):
        export(mlp, digits.fit.validation)


def test_a_row_on_a_threshold_excuses_no_other(breaking):
    """Its answer hangs on the last bit of 2; those of all others are sure, and wrong."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(0)
    step = [layers.Dense(1), layers.Rescaling(1e9), layers.Activation("hard_sigmoid")]
    net = keras.Sequential([layers.Input((1,)), *step, layers.Dense(3, "softmax")])
    net.layers[0].set_weights([np.ones((1, 1)), np.full(1, -2.0)])
    x = np.float32([[2], *([1], [3]) * 40])
    with pytest.raises(ExportError, match="differs from Keras"):
        export(net, Data(x, np.arange(81) % 3, ("a", "b", "c")))


def test_the_same_model_gives_the_same_bytes_again(residual, digits):
    one, two = (export(residual, digits.fit.validation).model for _ in range(2))
    assert one.SerializeToString() == two.SerializeToString()


def test_keras_own_noise_is_let_through(digits, monkeypatch):
    """Logits of hundreds on raw pictures: asked row by row, Keras itself is that unsure."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(0)
    net = keras.Sequential(
        [layers.Input((8, 8, 1)), layers.Flatten(), layers.Dense(128, "relu"), layers.Dense(10)]
    )
    kernel = net.layers[-1].kernel.numpy()
    # large and nearly alike: what tells classes apart are their last digits
    net.layers[-1].kernel.assign(400 * kernel[:, :1] + kernel)
    rows = digits.fit.validation
    # of the first rows it is sure
    x = np.concatenate([np.zeros((64, *rows.x.shape[1:]), np.float32), rows.x])
    rows = Data(x, np.arange(len(x)) % 10, rows.classes)
    wanted = predictor(net, "net")
    alone = np.concatenate([wanted(row[None]) for row in rows.x])
    monkeypatch.setattr(exporting, "TOLERANCE", 0.0)
    made = export(net, rows)
    noise = np.abs(alone - wanted(rows.x)).max()
    assert noise > 1e-5
    assert 0 < made.facts["largest_difference"] <= 4 * noise


def test_answers_that_hang_on_the_last_bit_of_a_column_are_let_through(digits, monkeypatch):
    """Scaling of columns of 30,000 folded into the weights: they cancel each other."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(0)
    net = keras.Sequential([layers.Input((4,)), layers.Dense(8, "relu"), layers.Dense(3)])
    rng = np.random.default_rng(0)
    # columns near 30,000, of which what differs tells the classes apart
    x = (3e4 + rng.normal(size=(70, 4))).astype(np.float32)
    kernel, bias = net.layers[0].get_weights()
    net.layers[0].set_weights([kernel, bias - 3e4 * kernel.sum(axis=0)])
    wanted = predictor(net, "net")
    moved = np.abs(wanted(np.nextafter(x, np.float32(np.inf))) - wanted(x)).max()
    assert 1e-4 < moved < exporting.MOST_APART
    monkeypatch.setattr(exporting, "TOLERANCE", 0.0)
    made = export(net, Data(x, np.arange(70) % 3, ("a", "b", "c")))
    assert made.facts["largest_difference"] <= 4 * min(moved, exporting.MOST_APART)
