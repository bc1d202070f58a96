"""What a Keras net costs, known before anything is trained or exported."""

from __future__ import annotations

import math
from typing import Any

from toolkit.errors import ModelError
from toolkit.models.graph import graph_of, nodes_of

BYTES = 4
"""Of one weight as it is trained, f32."""


def nbytes(model: Any) -> int:
    """Bytes of all weights as f32; an `.onnx` of it has about as many, before int8 or float16."""
    return BYTES * int(model.count_params())


def macs(model: Any) -> int:
    """Multiplications of one row with the kernels of the net.

    Raises ModelError for rows of any length. Products of two activations, as in attention, are
    not counted.

    >>> import keras
    >>> net = [keras.layers.Input((4, 4, 1)), keras.layers.Conv2D(2, 3), keras.layers.Flatten()]
    >>> macs(keras.Sequential([*net, keras.layers.Dense(3)]))  # 2 * 2 * 18 + 8 * 3
    96
    """
    return sum(_of(node) for node in nodes_of(graph_of(model)))


def _of(node: Any) -> int:
    import keras

    layer = node.operation
    if isinstance(layer, keras.Model):
        return macs(layer)
    kernels = sum(math.prod(w.shape) for w in getattr(layer, "weights", ()) if "kernel" in w.path)
    if not kernels or isinstance(layer, keras.layers.Embedding):
        return 0
    recurrent = isinstance(layer, keras.layers.RNN | keras.layers.Bidirectional)
    turned = "Transpose" in type(layer).__name__
    places = tuple((node.input_tensors if recurrent or turned else node.outputs)[0].shape[1:])
    if recurrent:
        places = places[:1]
    elif getattr(layer, "data_format", "channels_last") == "channels_first":
        places = places[1:]
    else:
        places = places[:-1]
    if None in places:
        raise ModelError(
            f"layer {layer.name} takes rows of any length",
            "a fixed length, to count by",
            "give a limit in bytes",
        )
    return int(kernels * math.prod(places))
