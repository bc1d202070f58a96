import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from toolkit.exporting import TOLERANCE, export
from toolkit.glossary import Data, Fit
from toolkit.passes.static_int8 import StaticInt8
from toolkit.predict import predictor
from toolkit.runtime import session
from toolkit.squeezing import moved_ahead


def test_what_follows_a_convolution_along_time_is_folded_into_it():
    """Biases, batch normalisations and ReLUs of a causal net, around a residual sum."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(0)
    first = keras.Input((20, 3))

    def convolved(x, dilation):
        x = layers.Conv1D(8, 3, padding="causal", dilation_rate=dilation)(x)
        return layers.BatchNormalization()(x)

    x = layers.ReLU()(convolved(first, 1))
    x = layers.ReLU()(layers.Add()([x, convolved(x, 2)]))
    net = keras.Model(first, layers.Dense(3, "softmax")(layers.GlobalAveragePooling1D()(x)))
    rng = np.random.default_rng(0)
    for layer in net.layers:
        if isinstance(layer, layers.BatchNormalization):
            low = [rng.uniform(0.5, 1.5, 8) for _ in range(4)]
            layer.set_weights(low)
    rows = Data(rng.normal(size=(60, 20, 3)).astype(np.float32), np.arange(60) % 3, tuple("abc"))
    step = export(net, rows)
    assert step.facts["largest_difference"] <= TOLERANCE
    small = StaticInt8()(step.model, Fit(rows, rows, rows)).model
    kinds = [n.op_type for n in small.graph.node]
    assert "Mul" not in kinds
    assert kinds.count("Add") == 1  # the residual one
    p, q = (predictor(m.SerializeToString())(rows.x) for m in (step.model, small))
    assert np.abs(p - q).max() < 0.02


@pytest.mark.parametrize(
    ("shape", "moves"),
    [((4, 1), True), ((1, 4, 1), True), ((), True), ((5,), False), ((4, 5), False)],
)
@pytest.mark.parametrize("kind", ["Add", "Mul"])
def test_only_what_acts_on_channels_is_moved(shape, moves, kind):
    """A number for each place along time stays where it is; answers are the same either way."""
    rng = np.random.default_rng(0)
    held = [
        numpy_helper.from_array(rng.normal(size=(4, 2, 1, 3)).astype(np.float32), "w"),
        numpy_helper.from_array(np.array([2]), "axes"),
        numpy_helper.from_array(rng.normal(size=shape).astype(np.float32), "c"),
    ]
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["y"]),
        helper.make_node("Squeeze", ["y", "axes"], ["z"]),
        helper.make_node(kind, ["c", "z"], ["u"]),
        helper.make_node("Relu", ["u"], ["v"]),
    ]
    ends = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 2, 1, 7]),
        helper.make_tensor_value_info("v", TensorProto.FLOAT, ["n", 4, 5]),
    ]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], held)
    opsets = [helper.make_opsetid("", 17)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    made = moved_ahead(model)
    order = ["Conv", kind, "Relu", "Squeeze"] if moves else ["Conv", "Squeeze", kind, "Relu"]
    if moves and kind == "Add" and shape:
        order.remove("Add")  # the bias of the convolution
    assert [n.op_type for n in made.graph.node] == order
    x = rng.normal(size=(3, 2, 1, 7)).astype(np.float32)
    one, two = (session(m.SerializeToString()).run(None, {"x": x})[0] for m in (model, made))
    assert np.allclose(one, two, atol=1e-6)
