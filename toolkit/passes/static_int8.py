"""Int8 weights and activations, ranges measured on calibration data."""

from __future__ import annotations

import io
import tempfile
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from toolkit.errors import RecipeError, near
from toolkit.glossary import Facts, Fit, Floats, Stage, Step
from toolkit.keeping import keeping_floats
from toolkit.lattice import MOVING
from toolkit.onnx_graph import Graph
from toolkit.passes import ranges
from toolkit.passes.base import Pass, positive
from toolkit.passes.dynamic_int8 import integers, prepared, seven_or_eight
from toolkit.passes.levelling import levelled
from toolkit.passes.mending import mended, only_floats
from toolkit.shapes import in_shape, shape_of

_FLOAT = ("Softmax", "Sigmoid", "Sub", "Mul", "Div")
"""Kept float: probabilities need fine steps, and what scales raw input is taken into its steps."""
_MADE = ("Softmax", "Sigmoid")
_TRIED = 32
"""Rows of which every value that a rounded net makes is looked at."""
_LAYERS = ("Conv", "ConvTranspose", "Gemm", "MatMul")


@dataclass(frozen=True, kw_only=True)
class StaticInt8(Pass):
    """Quantise weights and activations with onnxruntime's static quantiser (QDQ form).

    rows: calibration rows used, from all over the part. calibration: minmax, entropy, percentile
    or mse for all tensors, or best, which picks one for each by the answers of the net. bits 7
    keeps the 16-bit sums of AVX2 without VNNI from saturating, so that every CPU computes the same.
    signed: activations as signed bytes, which ARM multiplies sooner; x86 is quicker without.
    keep_float: layers that stay float, each by what it makes or by its node, as
    `diagnosis.diagnose` and the graph name it.
    """

    stage: ClassVar[Stage] = "onnx"
    rows: int = 200
    calibration: str = "minmax"
    per_channel: bool = True
    bits: int = 7
    signed: bool = False
    keep_float: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse settings that do not exist."""
        positive(self.name, rows=self.rows)
        seven_or_eight(self.name, self.bits)
        if self.calibration not in ranges.METHODS:
            raise RecipeError(
                f"unknown calibration '{self.calibration}'", near(self.calibration, ranges.METHODS)
            )

    def __call__(self, model: Any, fit: Fit, seed: int = 0) -> Step:  # noqa: ARG002
        """Give the model with int8 weights and activations; `fit.ranging` gives the rows for it."""
        ready = prepared(model)
        some = fit.ranging(self.rows)
        if self.calibration != "minmax":
            some = some.spread(ranges.even(len(some)))
        x = in_shape(np.asarray(some.x[:], np.float32), shape_of(ready))
        ready = levelled(ready, x)
        kept = {n.name: n.op_type for n in ready.graph.node if n.op_type in _FLOAT}
        kept |= {n.name: n.op_type for n in ranges.scaling(ready) if n.op_type == "Add"}
        kept |= _of_probabilities(ready)
        kept |= {
            n.name: "onnxruntime rounds no transposed convolution of groups"
            for n in ready.graph.node
            if n.op_type == "ConvTranspose"
            and any(a.name == "group" and a.i > 1 for a in n.attribute)
        }
        kept |= _forms_of_floats(ready)
        kept |= _asked_for(ready, self.keep_float)
        kept |= _beside_no_layer(ready, kept)
        seen = len(np.unique(some.y))
        facts: Facts = {"skipped": kept, "calibration_rows": len(x), "calibration_classes": seen}
        facts["calibration_alike"] = len(x) > 1 and bool((x == x[:1]).all())
        if self.calibration == "minmax":
            small = self._rounded(ready, x, kept, "MinMax", ranges.of_input(ready, x))
        elif self.calibration in ranges.CALIBRATORS:
            small = self._rounded(ready, x, kept, ranges.CALIBRATORS[self.calibration])
        else:
            # a first rounding says which tensors need a range
            first = self._rounded(ready, x[:1], kept, "MinMax")
            tensors = _measured(ready, first)
            given, chosen = ranges.found(ready, self.calibration, x, tensors)
            of_input = ranges.of_input(ready, x)
            given |= {t: of_input[t] for t in given if t in of_input}
            small = self._rounded(ready, x, kept, "MinMax", given)
            facts["ranges"] = chosen
        _still_finite(ready, small, x)
        return Step(small, {"changed": integers(small), **facts})

    def _rounded(
        self,
        ready: Any,
        x: Floats,
        kept: dict[str, str],
        method: str,
        given: ranges.Ranges | None = None,
    ) -> Any:
        """The file of onnxruntime's quantiser, with the ranges of `given` where there are any."""
        import onnx
        from onnxruntime.quantization import (
            CalibrationMethod,
            QuantFormat,
            QuantType,
            quantize_static,
        )

        of_rows = QuantType.QInt8 if self.signed else QuantType.QUInt8
        extra = {
            "TensorQuantOverrides": {
                tensor: [{"rmin": np.float32(low), "rmax": np.float32(high)}]
                for tensor, (low, high) in (given or {}).items()
            }
        }
        copy = type(ready)()
        copy.CopyFrom(ready)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "out.onnx"
            with redirect_stdout(io.StringIO()):  # its histograms print
                quantize_static(
                    copy,
                    path,
                    ranges.reader(ready.graph.input[0].name, x),
                    quant_format=QuantFormat.QDQ,
                    nodes_to_exclude=list(kept),
                    per_channel=self.per_channel,
                    reduce_range=self.bits == 7,
                    activation_type=of_rows,
                    weight_type=QuantType.QInt8,
                    calibrate_method=getattr(CalibrationMethod, method),
                    extra_options=extra if given else {},
                )
            return keeping_floats(mended(onnx.load(path), ready, _FLOAT))


def _still_finite(ready: Any, small: Any, x: Floats) -> None:
    """Raise RecipeError where rounding has made infinite, or no number, what was finite."""
    made = {o for n in small.graph.node for o in n.output if o}
    both = [o for n in ready.graph.node for o in n.output if o in made]
    floats, rounded = (ranges.values(m, both, x[:_TRIED]) for m in (ready, small))
    for before, after in zip(floats, rounded, strict=True):
        for tensor in both:
            if _finite(before[tensor]) and not _finite(after[tensor]):
                raise RecipeError(
                    f"rounded to 8 bits, '{tensor}' is no longer finite",
                    "nets that divide by nothing that 8 bits round to 0",
                    "keep what it is made of float (keep_float), or take float16",
                )


def _finite(values: Any) -> bool:
    return values.dtype.kind != "f" or bool(np.isfinite(values).all())


def _measured(ready: Any, rounded: Any) -> list[str]:
    """The tensors of the float graph whose values a rounded file rounds."""
    there = {i.name for i in ready.graph.input} | {o for n in ready.graph.node for o in n.output}
    read = [n.input[0] for n in rounded.graph.node if n.op_type == "QuantizeLinear"]
    return [t for t in dict.fromkeys(read) if t in there]


def _of_probabilities(ready: Any) -> dict[str, str]:
    """The nodes that only put probabilities together, as those of a sigmoid: name -> kind.

    They stand behind the last layer; what stands before one works on activations.
    """
    nodes = list(ready.graph.node)
    last = max((i for i, n in enumerate(nodes) if n.op_type in _LAYERS), default=-1)
    made = {o for n in nodes[last + 1 :] if n.op_type in _MADE for o in n.output}
    fixed = {i.name for i in ready.graph.initializer}
    fixed |= {o for n in nodes if n.op_type == "Constant" for o in n.output}
    found = {}
    for node in nodes[last + 1 :]:
        read = [i for i in node.input if i and i not in fixed]
        if read and made.issuperset(read):
            made.update(node.output)
            found[node.name] = node.op_type
    return found


def _forms_of_floats(ready: Any) -> dict[str, str]:
    """Nodes that only change the form of logits, which would be rounded there: name -> kind."""
    work = Graph(ready)
    return {
        n.name: n.op_type
        for n in ready.graph.node
        if n.op_type in MOVING
        and work.readers(n.output[0])
        and only_floats(work, n.output[0], _MADE)
    }


def _beside_no_layer(ready: Any, kept: dict[str, str]) -> dict[str, str]:
    """Nodes that round for the sake of no layer, since all around them stay float: name -> why.

    Joined columns would be rounded, and turned back into floats for the float layer behind them;
    the small variances of a layer normalisation would be rounded to 0, and divided by.
    """
    fixed = {i.name: len(i.dims) for i in ready.graph.initializer}
    wide = {name for name, axes in fixed.items() if axes > 1}
    rest = [n for n in ready.graph.node if n.name not in kept]
    ahead = [n for n in rest if n.op_type in (*_LAYERS, "Gather") and wide & {*n.input}]
    reached = {id(n) for n in ahead}
    while ahead:
        node = ahead.pop()
        near = {*node.input, *node.output} - {"", *fixed}
        found = [n for n in rest if id(n) not in reached and near & {*n.input, *n.output}]
        reached |= {id(n) for n in found}
        ahead += found
    return {n.name: "only float layers beside it" for n in rest if id(n) not in reached}


def _asked_for(ready: Any, names: tuple[str, ...]) -> dict[str, str]:
    """The nodes that are to stay float, each with its kind.

    Raises RecipeError for a name that no node bears or makes.
    """
    nodes = {name: n for n in ready.graph.node for name in (n.name, *n.output)}
    for name in names:
        if name not in nodes:
            layers = [n.output[0] for n in ready.graph.node if n.op_type in _LAYERS]
            raise RecipeError(f"static_int8 keeps '{name}', which is no layer", near(name, layers))
    return {nodes[name].name: nodes[name].op_type for name in names}
