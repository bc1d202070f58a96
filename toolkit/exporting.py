"""Keras model -> ONNX: the single door, and nothing passes it that computes differently."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from toolkit import lattice
from toolkit.bridge import answering, to_tf_keras
from toolkit.conversion import OPSET, converted, failed
from toolkit.errors import ExportError, cause
from toolkit.glossary import Data, Floats, Step
from toolkit.keeping import keeping_floats
from toolkit.models.heads import head_of
from toolkit.models.keras_predictor import KerasPredictor
from toolkit.models.precision import full
from toolkit.models.vocabulary import parted
from toolkit.predict import OnnxPredictor
from toolkit.shapes import in_shape
from toolkit.undisturbed import undisturbed

TOLERANCE = 1e-5
"""The largest difference of a probability on real rows between Keras and ONNX."""

LEAST_SAME = 0.99
"""The least share of rows that integers and fake quantisation must answer alike."""

MOST_APART = 5e-3
"""The mean difference of a probability between the two; what was seen is below 1e-3."""

_VALUES = 2**25
"""Values of the rows that are compared, at most."""

_FEW = 64


@undisturbed()
def export(model: Any, rows: Data, *, name: str = "classifier") -> Step:
    """Convert a Keras classifier to an onnx.ModelProto and prove that both compute the same.

    rows: real rows that both are asked; their classes go into the metadata. A model that takes
    text is converted from its word indices on, one of mixed precision as float32. The result takes
    "input" f32 (n, ...) and gives "probabilities" f32 (n, k), any n, rows summing to 1.
    The model and its twin in tf_keras are both tried; of the files that compute the same the
    smaller is given, of rounded ones that with fewer float layers. facts: not_through says of a
    road that led nowhere why.
    Raises ExportError when the conversion fails or probabilities differ by more than `TOLERANCE`,
    or in rows where Keras itself is no surer than that, by more than four times what it is.
    """
    import keras
    import onnx
    import tensorflow as tf
    import tf2onnx

    model = full(parted(model)[0])
    head, shape = head_of(model), tuple(model.inputs[0].shape[1:])
    most = max(_VALUES // max(math.prod(rows.x.shape[1:]), 1), 32)
    asked = in_shape(rows.x[:most], shape)
    keras_says = KerasPredictor(model, name)
    wanted = keras_says(asked)

    def unsure(differences: Floats) -> bool:
        # Keras adds up in another order where it is asked fewer rows, and may answer otherwise
        # when each value moves by its last bit: no file can be nearer. Asked of the rows that
        # differ most, which are those where least is sure
        apart = differences.max(axis=1)
        which = np.argsort(-apart, kind="stable")[:_FEW]
        few = asked[which]
        alone = np.concatenate([keras_says(row[None]) for row in few])
        moved = keras_says(np.nextafter(few, np.float32(np.inf)))
        by_order, by_bit = (np.abs(one - wanted[which]).max(axis=1) for one in (alone, moved))
        # what moves an answer by more is no rounding but a threshold that a value stands on,
        # and lets that row alone through
        noise = np.maximum(by_order, np.minimum(by_bit, MOST_APART))
        allowed = np.full(len(apart), np.median(noise))
        allowed[which] = np.maximum(noise, allowed[which])
        return bool((apart <= np.maximum(4 * allowed, TOLERANCE)).all())

    made: list[_Made] = []
    missed: dict[str, ExportError] = {}
    for road, net in _ROADS.items():
        try:
            proto = converted(net(model), head, shape, len(rows.classes), name=name)
            made.append(_proven(road, proto, (asked, wanted), name, unsure))
        except ExportError as error:
            missed[road] = error
    if not made:
        raise missed["keras"]
    # a kernel that stays float may be small, and is slow
    best = min(made, key=lambda one: (len(one.float_layers or ()), one.proto.ByteSize()))
    proto = best.proto
    facts: dict[str, str] = {
        "classes": "\n".join(rows.classes),
        "producer": f"keras {keras.__version__}, tensorflow {tf.__version__}, "
        f"tf2onnx {tf2onnx.__version__}",
    }
    onnx.helper.set_model_props(proto, facts)
    proto.producer_name, proto.producer_version = "keras-edge-toolkit", ""
    return Step(
        proto,
        {
            "pass": "export",
            "largest_difference": best.difference,
            "same_answers": best.same,
            "rows_compared": len(asked),
            **({} if best.float_layers is None else {"float_layers": best.float_layers}),
            "opset": OPSET,
            "through": best.road,
            **({"not_through": {k: str(e) for k, e in missed.items()}} if missed else {}),
            "parameters": int(sum(math.prod(w.shape) for w in model.weights)),
        },
    )


def _itself(model: Any) -> Any:
    return model


def _twin(model: Any) -> Any:
    """The twin, often a shorter file, with GRU as one node. Raises ExportError without one."""
    try:
        return to_tf_keras(model, make=answering).model
    except Exception as error:  # whatever tf_keras cannot hold, the model itself may be converted
        raise ExportError(cause(error)) from error


_ROADS = {"keras": _itself, "tf_keras": _twin}


@dataclass(frozen=True)
class _Made:
    """A graph that was proven, the road it came by, and how near to Keras it is."""

    road: str
    proto: Any
    difference: float
    same: float
    float_layers: dict[str, str] | None


def _proven(
    road: str,
    proto: Any,
    rows: tuple[Floats, Floats],
    name: str,
    unsure: Callable[[Floats], bool],
) -> _Made:
    """The graph, in integers where the model was trained so, compared with Keras.

    Raises ExportError when it is no valid graph or answers otherwise.
    """
    import onnx

    asked, wanted = rows
    rounded = lattice.is_rounded(proto)
    left: dict[str, str] = {}
    try:
        if rounded:
            proto, left = lattice.compiled(onnx.shape_inference.infer_shapes(proto))
            proto = keeping_floats(proto)
        onnx.checker.check_model(proto, full_check=True)
        small = OnnxPredictor(proto.SerializeToString(), name, exact=rounded)
    except Exception as error:
        raise failed(name, str(error)) from error
    given = np.concatenate([small(asked[:1]), small(asked[1:])])  # one row, and many
    differences = np.abs(wanted - given)
    difference = float(differences.max(initial=0.0))
    same = _same(wanted, given) if len(asked) else 1.0
    if rounded:
        # a sum that lies between two steps may fall to either side; few answers hang on that
        apart = float(differences.mean()) if len(asked) else 0.0
        if same < LEAST_SAME or apart > MOST_APART:
            raise ExportError(
                f"{name} as integers answers otherwise than Keras in {1 - same:.1%} of rows, "
                f"a probability by {apart:.2g} on average",
                f"at most {1 - LEAST_SAME:.1%} and {MOST_APART:g}",
                "report the layers of this model",
            )
    elif not difference <= TOLERANCE and not unsure(differences):
        raise ExportError(
            f"{name} as ONNX differs from Keras by {difference:.2g} in a probability",
            f"at most {TOLERANCE:g}",
            "report the layers of this model",
        )
    return _Made(road, proto, difference, same, left if rounded else None)


def _same(wanted: Floats, given: Floats) -> float:
    """The share of rows that get the same class, or one that was as probable: f32 (n, k) each."""
    theirs = np.take_along_axis(wanted, given.argmax(axis=1)[:, None], axis=1)[:, 0]
    return float((theirs >= wanted.max(axis=1) - TOLERANCE).mean())
