"""A small net that answers a row with its reasons: trained in Keras, written node by node in ONNX.

It takes the row and the probabilities that the classifier gave it, and gives what each player adds
to the probability of the foremost class. What the values lack to the prediction less the base is
shared out evenly inside the graph, so that they always sum to it (the additive efficient
normalisation of Jethani et al. 2022).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.errors import ExportError
from toolkit.glossary import Data, Doubles, Facts, Floats
from toolkit.shapes import Shape

OPSET = 17
TOLERANCE = 1e-5
"""The largest difference of a value between Keras and the file."""

_FILTERS, _UNITS, _DEPTH = (16, 32, 16), 128, 3
_SMALL = 1e-6
_CODES = 64
"""A column of more categories than these is taken as a number."""


@dataclass(frozen=True, eq=False)
class Front:
    """What stands before the net: rows f32 (n, ...) and probabilities f32 (n, k) as its inputs.

    mean, scale: f32, of each column of a table or of all values of a picture. categories: columns
    that become a place for each of their codes, with how many these are. base: f64 (k,), the
    probabilities with every player hidden. players: p.
    """

    shape: tuple[int, ...]
    mean: Floats
    scale: Floats
    categories: dict[int, int]
    base: Doubles
    players: int

    @property
    def classes(self) -> int:
        """How many classes there are, k."""
        return len(self.base)

    @property
    def heads(self) -> int:
        """Sets of values the net gives: one a class, or one alone for the second class of two."""
        return 1 if self.classes == 2 else self.classes

    def features(self, x: Floats, p: Floats) -> Floats:
        """The inputs of the net: f32 (n, d), of a picture its pixels first."""
        flat = x.reshape(len(x), -1)
        parts = [((x - self.mean) / self.scale).reshape(len(x), -1)]
        parts += [flat[:, [i]] == np.arange(m) for i, m in self.categories.items()]
        parts += [p, np.log(np.maximum(p, np.float32(_SMALL)))]
        return np.concatenate(parts, axis=1).astype(np.float32)

    def chosen(self, p: Floats) -> Floats:
        """What picks the values of the foremost class out of the heads: f32 (n, heads)."""
        first: Floats = np.eye(self.classes, dtype=np.float32)[p.argmax(axis=1)]
        return first if self.heads > 1 else 2 * first[:, 1:] - 1

    def total(self, p: Floats) -> Floats:
        """What the values of a row sum to: f32 (n, 1), prediction less base."""
        gap = p.max(axis=1) - self.base[p.argmax(axis=1)]
        return np.asarray(gap, np.float32)[:, None]


def front_of(data: Data, base: Doubles, players: int) -> Front:
    """The front for rows like those of `data`."""
    picture = data.kind == "image"
    x = np.asarray(data.x[:: -(-len(data) // 4096)], np.float32)
    axis = None if picture else 0
    scale = np.asarray(x.std(axis=axis, dtype=np.float64), np.float32)
    sizes = {i: len(names) for i, names in sorted(data.categories.items()) if len(names) <= _CODES}
    return Front(
        tuple(data.x.shape[1:]),
        np.asarray(x.mean(axis=axis, dtype=np.float64), np.float32),
        np.where(scale > 0, scale, np.float32(1)),
        sizes,
        base,
        players,
    )


def net_of(front: Front, seed: int) -> Any:
    """An untrained keras.Model: features f32 (n, d) -> f32 (n, heads * p)."""
    import keras
    from keras import layers

    from toolkit.seeding import seeded

    pixels = int(np.prod(front.shape)) if len(front.shape) == 3 else 0
    width = front.features(np.zeros((1, *front.shape), np.float32), _any(front)).shape[1]
    with seeded(seed):
        first = rest = layers.Input((width,))
        if pixels:
            x = layers.Reshape(front.shape)(first[:, :pixels])
            for i, filters in enumerate(_FILTERS):
                x = layers.Conv2D(
                    filters,
                    3,
                    1 + (min(x.shape[1:3]) > 4),
                    "same",
                    activation="swish",
                    name=f"conv_{i}",
                )(x)
            rest = layers.Concatenate()([layers.Flatten()(x), first[:, pixels:]])
        for i in range(_DEPTH):
            rest = layers.Dense(_UNITS, "swish", name=f"dense_{i}")(rest)
        last = layers.Dense(front.heads * front.players, name="values")(rest)
        return keras.Model(first, last)


def loss_of(front: Front, scale: float) -> Any:
    """The loss of raw heads beside targets [values (p), chosen, total (1)], over `scale`."""
    import keras

    p, heads = front.players, front.heads

    def loss(wanted: Any, raw: Any) -> Any:
        values, chosen, total = wanted[:, :p], wanted[:, p : p + heads], wanted[:, p + heads :]
        made = keras.ops.reshape(raw, (-1, heads, p)) * chosen[:, :, None]
        made = keras.ops.sum(made, axis=1)
        made += (total - keras.ops.sum(made, axis=1, keepdims=True)) / p
        return keras.ops.sum((made - values) ** 2, axis=1) / scale

    return loss


def targets_of(front: Front, values: Doubles, p: Floats) -> Floats:
    """What the loss is given beside the raw heads: f32 (n, p + heads + 1)."""
    return np.concatenate([values, front.chosen(p), front.total(p)], axis=1).astype(np.float32)


def halve(net: Any) -> None:
    """Round the weights to what 16 bits hold, so that the file may keep them in as many."""
    net.set_weights([w.astype(np.float16).astype(np.float32) for w in net.get_weights()])


def corrected(front: Front, raw: Floats, p: Floats) -> Doubles:
    """The values of the foremost class from raw heads: f64 (n, p), summing as they must."""
    heads = raw.astype(np.float64).reshape(len(raw), front.heads, front.players)
    made = (heads * front.chosen(p)[:, :, None]).sum(axis=1)
    made += (front.total(p) - made.sum(axis=1, keepdims=True)) / front.players
    return np.asarray(made)


def written(net: Any, front: Front, shape: Shape, about: Facts) -> bytes:
    """The trained net with its front and the correction as an `.onnx`.

    Inputs "input" f32 (n, *shape) and "probabilities" f32 (n, k), output "attributions" f32 (n, p).
    about: metadata, text by text.
    """
    import onnx
    from onnx import TensorProto, helper

    graph = _Nodes()
    x, p = "input", "probabilities"
    flat = graph.add("Flatten", x, axis=1)
    picture = len(front.shape) == 3
    normal = graph.add("Div", graph.add("Sub", flat, front.mean), front.scale)
    told = [p, graph.add("Log", graph.add("Max", p, np.float32(_SMALL)))]
    if picture:
        pixels = graph.add("Reshape", normal, np.array([-1, *front.shape], np.int64))
        out = graph.add("Transpose", pixels, perm=[0, 3, 1, 2])
        for layer in (layer for layer in net.layers if layer.name.startswith("conv_")):
            out = graph.conv(out, layer)
        parts = [graph.add("Flatten", graph.add("Transpose", out, perm=[0, 2, 3, 1]), axis=1)]
    else:
        parts = [normal]
    for i, m in front.categories.items():
        column = graph.add("Gather", flat, np.array([i], np.int64), axis=1)
        same = graph.add("Equal", column, np.arange(m, dtype=np.float32)[None])
        parts.append(graph.add("Cast", same, to=TensorProto.FLOAT))
    out = graph.add("Concat", *parts, *told, axis=1)
    for i in range(_DEPTH):
        out = graph.swish(graph.dense(out, net.get_layer(f"dense_{i}")))
    heads = graph.dense(out, net.get_layer("values"))
    heads = graph.add("Reshape", heads, np.array([-1, front.heads, front.players], np.int64))
    first = graph.add("ArgMax", p, axis=1, keepdims=1)
    first = graph.add("Equal", first, np.arange(front.classes)[None])
    first = graph.add("Cast", first, to=TensorProto.FLOAT)
    chosen = first
    if front.heads == 1:
        # the second of two classes has the values of the first with the other sign
        chosen = graph.add("MatMul", first, np.array([[-1], [1]], np.float32))
    chosen = graph.add("Unsqueeze", chosen, np.array([2]))
    made = graph.add("ReduceSum", graph.add("Mul", heads, chosen), np.array([1]), keepdims=0)
    base = graph.add("MatMul", first, front.base.astype(np.float32)[:, None])
    total = graph.add("Sub", graph.add("ReduceMax", p, axes=[1], keepdims=1), base)
    gap = graph.add("Sub", total, graph.add("ReduceSum", made, np.array([1]), keepdims=1))
    even = graph.add("Div", gap, np.float32(front.players))
    graph.add("Add", made, even, name="attributions")
    kind = TensorProto.FLOAT
    proto = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "explainer",
            [
                helper.make_tensor_value_info(x, kind, ["n", *(int(d or 1) for d in shape)]),
                helper.make_tensor_value_info(p, kind, ["n", front.classes]),
            ],
            [helper.make_tensor_value_info("attributions", kind, ["n", front.players])],
            graph.held,
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        producer_name="keras-edge-toolkit",
    )
    proto.ir_version = 8
    helper.set_model_props(proto, {name: str(value) for name, value in about.items()})
    onnx.checker.check_model(proto, full_check=True)
    return bytes(proto.SerializeToString())


def proven(content: bytes, net: Any, front: Front, x: Floats, p: Floats) -> float:
    """The largest difference of a value between Keras and the file on rows.

    Raises ExportError when it is beyond `TOLERANCE`.
    """
    wanted = corrected(front, np.asarray(net(front.features(x, p), training=False)), p)
    difference = float(np.abs(answers(content, x, p) - wanted).max(initial=0.0))
    if not difference <= TOLERANCE:
        raise ExportError(
            f"the explainer as ONNX differs from Keras by {difference:.2g}",
            f"at most {TOLERANCE:g}",
            "report the data it was trained on",
        )
    return difference


def answers(content: Any, x: Floats, p: Floats) -> Floats:
    """What an explainer says of rows and their probabilities: f32 (n, p). content: or a session."""
    from toolkit.runtime import session

    opened = session(content, 1) if isinstance(content, bytes) else content
    shape = [d if isinstance(d, int) else -1 for d in opened.get_inputs()[0].shape[1:]]
    rows = np.asarray(x, np.float32).reshape(len(x), *shape)
    return np.asarray(opened.run(["attributions"], {"input": rows, "probabilities": p})[0])


def _any(front: Front) -> Floats:
    return np.full((1, front.classes), 1 / front.classes, np.float32)


class _Nodes:
    """Nodes and weights of a graph, each named by its number."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.held: list[Any] = []

    def add(self, operator: str, *inputs: str | NDArray[Any] | np.generic, **settings: Any) -> str:
        """A node; arrays among its inputs become weights. The name of what it gives."""
        import onnx

        names = []
        for value in inputs:
            if not isinstance(value, str):
                name = f"w{len(self.held)}"
                held = np.asarray(value)
                self.held.append(onnx.numpy_helper.from_array(np.ascontiguousarray(held), name))
                value = name  # noqa: PLW2901
            names.append(value)
        out = settings.pop("name", f"t{len(self.nodes)}")
        self.nodes.append(onnx.helper.make_node(operator, names, [out], **settings))
        return str(out)

    def swish(self, x: str) -> str:
        """The activation x * sigmoid(x)."""
        return self.add("Mul", x, self.add("Sigmoid", x))

    def dense(self, x: str, layer: Any) -> str:
        """A Dense layer before its activation."""
        kernel, bias = layer.get_weights()
        return self.add("Gemm", x, kernel, bias)

    def conv(self, x: str, layer: Any) -> str:
        """A Conv2D layer with its activation, channels first."""
        kernel, bias = layer.get_weights()
        made = self.add(
            "Conv",
            x,
            kernel.transpose(3, 2, 0, 1),
            bias,
            auto_pad="SAME_UPPER",
            strides=list(layer.strides),
        )
        return self.swish(made)
