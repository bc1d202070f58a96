"""An `.onnx` that somebody else exported -> a base whose graph passes can change, or why not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from toolkit.errors import MatchError, ModelError
from toolkit.glossary import Data, Floats, Step
from toolkit.in_floats import in_floats
from toolkit.models.opening import kind_of
from toolkit.onnx_graph import nodes_inside, places, plain
from toolkit.predict import OnnxPredictor, fitting
from toolkit.shapes import in_shape

LEAST_OPSET = 13
"""Older graphs are brought to it: before it, axes were settings and rounding knew no channels."""

MOST_BYTES = 2**31 - 1
"""What one protobuf message can hold."""

TOLERANCE = 1e-5
"""The largest change of a probability by a newer opset or a free number of rows."""

_DOMAINS = ("", "ai.onnx", "ai.onnx.ml", "com.microsoft")
_ROWS = 3


def is_onnx(model: Any) -> bool:
    """Whether a model is the path of an `.onnx`, told by its content.

    Raises ModelError when it is the path of no model.
    """
    return isinstance(model, str | Path) and kind_of(Path(model)) == "onnx"


def opened(path: Path, rows: Data) -> Step:
    """Open an `.onnx` as a base: one file, opset 13 or later, any number of rows.

    rows: real rows that it must fit; the answers to some of them prove that what was changed here
    (weights drawn in from beside the file, an older opset, a fixed number of rows) changed no
    answer. TensorFlow is not loaded.
    Raises ModelError for what cannot be changed safely, MatchError for what does not fit the rows.
    """
    path = Path(path)
    written = _whole(path)
    graph = in_floats(_inlined(written))
    facts: dict[str, Any] = {"pass": "open", "opset": _opset(graph)}
    if written.functions:
        left = {f.name for f in graph.functions}
        facts["inlined"] = [f.name for f in written.functions if f.name not in left]
    if _ends(graph) != _ends(written):
        facts["casts"] = "what it takes or gives is cast from or to float32"
    _known_operators(path, graph)
    given = OnnxPredictor(path, path.stem)
    fitting(given, rows)
    asked = in_shape(np.asarray(rows.x[:_ROWS], np.float32), given.shape)
    changed = graph
    if facts["opset"] < LEAST_OPSET:
        changed = _raised(path, changed)
        facts["raised_to"] = LEAST_OPSET
    changed = _held(changed)
    if _fixed(changed):
        changed, facts["rows_at_once"] = _freed(changed), _fixed(graph)
    changed = plain(changed)
    if _is_rounded(graph):
        facts["integers"] = "it holds integers already"
    facts["largest_difference_here"] = _proven(path, changed, given(asked), asked)
    return Step(changed, facts)


def _whole(path: Path) -> Any:
    """The graph with all its weights, those that lie beside the file among them."""
    import onnx
    from onnx.external_data_helper import load_external_data_for_model, uses_external_data

    if path.stat().st_size > MOST_BYTES:
        raise ModelError(f"{path} has {path.stat().st_size:,} bytes", f"at most {MOST_BYTES:,}", "")
    try:
        graph = onnx.load(path, load_external_data=False)
    except Exception as error:  # protobuf's own error has no public name
        raise ModelError(
            f"{path} is cut off or damaged", "a whole .onnx", "copy it again"
        ) from error
    there = {p for t in graph.graph.initializer if uses_external_data(t) for p in places(t)}
    if not there:
        return graph
    try:
        # it refuses places outside the folder, and links
        load_external_data_for_model(graph, str(path.parent))
        size = graph.ByteSize()
    except Exception as error:  # it raises what the system, protobuf or its own checker raises
        raise ModelError(
            f"{path} keeps its weights in {', '.join(sorted(there)[:3])}, which cannot be read",
            "that file in the same folder",
            "put it there, or save the model as one file",
        ) from error
    if size > MOST_BYTES:
        raise ModelError(
            f"{path} and its weights have {size:,} bytes", f"at most {MOST_BYTES:,}", ""
        )
    return graph


def _inlined(graph: Any) -> Any:
    """The graph with what its own functions do in their place."""
    from onnx import inliner

    if not graph.functions:
        return graph
    other = inliner.inline_local_functions(graph)
    used = {n.domain for node in other.graph.node for n in (node, *nodes_inside(node))}
    own = {f.domain for f in graph.functions} - used
    kept = [o for o in other.opset_import if o.domain not in own]
    del other.opset_import[:]
    other.opset_import.extend(kept)
    return other


def _ends(graph: Any) -> list[str]:
    return [value.name for value in (*graph.graph.input, *graph.graph.output)]


def _opset(graph: Any) -> int:
    return next((int(o.version) for o in graph.opset_import if o.domain in ("", "ai.onnx")), 0)


def _known_operators(path: Path, graph: Any) -> None:
    """Refuse operators of other domains, opsets to come, and weights that are no number."""
    from onnx import TensorProto, defs, numpy_helper

    newest = defs.onnx_opset_version()
    if not 0 < _opset(graph) <= newest:
        raise ModelError(
            f"{path} is of opset {_opset(graph)}", f"1 to {newest}", "export it with an older opset"
        )
    for node in (n for outer in graph.graph.node for n in (outer, *nodes_inside(outer))):
        if node.domain not in _DOMAINS:
            raise ModelError(
                f"{path} holds {node.op_type} of the domain '{node.domain}'",
                "operators of ONNX and of onnxruntime",
                "export it without this operator",
            )
    for held in graph.graph.initializer:
        if held.data_type in (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE):
            values = numpy_helper.to_array(held)
            bad = values.size - int(np.isfinite(values).sum())
            # a mask may hold minus infinity; a number that is none is never meant
            if bad and np.isnan(values).any():
                raise ModelError(
                    f"{path} holds NaN in {int(np.isnan(values).sum())} of {values.size} values "
                    f"of {held.name}",
                    "finite weights",
                    "its training diverged: train it again",
                )


def _raised(path: Path, graph: Any) -> Any:
    from onnx import version_converter

    try:
        return version_converter.convert_version(graph, LEAST_OPSET)
    except Exception as error:  # whatever the converter meets
        raise ModelError(
            f"{path} is of opset {_opset(graph)} and cannot be brought to {LEAST_OPSET} "
            f"({str(error)[:100]})",
            f"opset {LEAST_OPSET} or later",
            "export it again with a newer one",
        ) from error


def _fixed(graph: Any) -> int:
    """How many rows the graph wants at once, or 0 where any number goes."""
    held = {t.name for t in graph.graph.initializer}
    first = next(i for i in graph.graph.input if i.name not in held)
    dims = first.type.tensor_type.shape.dim
    return int(dims[0].dim_value) if dims else 0


def _freed(graph: Any) -> Any:
    """A copy that declares any number of rows; whether it computes so is proven afterwards."""
    other = type(graph)()
    other.CopyFrom(graph)
    held = {t.name for t in other.graph.initializer}
    for value in (*other.graph.input, *other.graph.output):
        dims = value.type.tensor_type.shape.dim
        if value.name not in held and dims:
            dims[0].dim_param = "rows"
    # what was inferred for a fixed number of rows is true no more
    del other.graph.value_info[:]
    return other


def _held(graph: Any) -> Any:
    """The graph whose constants are initializers alone: neither inputs besides, nor nodes."""
    from onnx import numpy_helper

    other = type(graph)()
    other.CopyFrom(graph)
    inside, ends = other.graph, {o.name for o in other.graph.output}
    nodes = []
    for node in inside.node:
        value = None if node.output[0] in ends else _constant(node)
        if value is None:
            nodes.append(type(node).FromString(node.SerializeToString()))
        else:
            inside.initializer.append(numpy_helper.from_array(value, node.output[0]))
    held = {t.name for t in inside.initializer}
    inputs = [type(i).FromString(i.SerializeToString()) for i in inside.input]
    inputs = [i for i in inputs if i.name not in held]
    if len(inputs) == len(inside.input) and len(nodes) == len(inside.node):
        return graph
    del inside.node[:], inside.input[:]
    inside.node.extend(nodes)
    inside.input.extend(inputs)
    # before it, every initializer had to be an input too
    other.ir_version = max(other.ir_version, 4)
    return other


def _constant(node: Any) -> Any:
    """The value of a Constant node, or None of any other and of text."""
    from onnx import numpy_helper

    if node.op_type != "Constant" or node.domain not in ("", "ai.onnx"):
        return None
    (attribute,) = node.attribute
    if attribute.name == "value":
        return numpy_helper.to_array(attribute.t)
    forms: dict[str, tuple[str, Any]] = {
        "value_float": ("f", np.float32),
        "value_floats": ("floats", np.float32),
        "value_int": ("i", np.int64),
        "value_ints": ("ints", np.int64),
    }
    if attribute.name not in forms:
        return None
    field, dtype = forms[attribute.name]
    return np.asarray(getattr(attribute, field), dtype)


def _is_rounded(graph: Any) -> bool:
    return any("Quantize" in n.op_type or "QLinear" in n.op_type for n in graph.graph.node)


def _proven(path: Path, graph: Any, wanted: Floats, asked: Floats) -> float:
    """How far the answers of the graph lie from those of the file, one row a call and all at once.

    Raises ModelError where that is too far, where it does not run, or where the file gives NaN.
    """
    if np.isnan(wanted).any():
        raise ModelError(
            f"{path} answers rows of the data with NaN",
            "probabilities",
            "look for infinite weights: its training diverged",
        )
    try:
        ask = OnnxPredictor(graph.SerializeToString(), path.stem)
        found = np.concatenate([ask(asked[:1]), ask(asked[1:])])
        difference = float(np.abs(found - wanted).max(initial=0.0))
    except Exception as error:  # onnxruntime's errors share no public base
        if isinstance(error, MatchError):
            raise
        raise ModelError(
            f"{path} runs for the number of rows it was exported for alone ({str(error)[:100]})",
            "any number of rows",
            "export it with a dynamic batch axis",
        ) from error
    if not difference <= TOLERANCE:
        raise ModelError(
            f"{path} answers otherwise with another number of rows or a newer opset, by "
            f"{difference:.2g} of a probability",
            f"at most {TOLERANCE:g}",
            "export it with a dynamic batch axis and a newer opset",
        )
    return difference
