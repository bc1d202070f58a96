"""Int8 weights and activations, ranges measured on calibration data."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from toolkit.errors import RecipeError, near
from toolkit.glossary import Fit, Floats, Stage, Step
from toolkit.passes.base import Pass, positive
from toolkit.passes.dynamic_int8 import integers, prepared, seven_or_eight

_METHODS = {"minmax": "MinMax", "entropy": "Entropy", "percentile": "Percentile"}
_FLOAT = ("Softmax", "Sigmoid", "Sub", "Mul", "Div")
"""Kept float: probabilities need fine steps, and the scaling of raw input costs next to nothing."""
_LAYERS = ("Conv", "ConvTranspose", "Gemm", "MatMul")


@dataclass(frozen=True, kw_only=True)
class StaticInt8(Pass):
    """Quantise weights and activations with onnxruntime's static quantiser (QDQ form).

    rows: calibration rows used. calibration: minmax, entropy or percentile. bits 7 keeps the
    16-bit sums of AVX2 without VNNI from saturating, so that every CPU computes the same.
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
        if self.calibration not in _METHODS:
            raise RecipeError(
                f"unknown calibration '{self.calibration}'", near(self.calibration, _METHODS)
            )

    def __call__(self, model: Any, fit: Fit, seed: int = 0) -> Step:  # noqa: ARG002
        """Give the model with int8 weights and activations; `fit.calibration` sets the ranges."""
        import onnx
        from onnxruntime.quantization import (
            CalibrationMethod,
            QuantFormat,
            QuantType,
            quantize_static,
        )

        ready = prepared(model)
        shape = [d.dim_value for d in ready.graph.input[0].type.tensor_type.shape.dim[1:]]
        x = fit.calibration.x[: self.rows]
        x = x.reshape(len(x), *shape) if all(shape) else x
        kept = {n.name: n.op_type for n in ready.graph.node if n.op_type in _FLOAT}
        kept |= _asked_for(ready, self.keep_float)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "out.onnx"
            quantize_static(
                ready,
                path,
                _reader(ready.graph.input[0].name, x),
                quant_format=QuantFormat.QDQ,
                nodes_to_exclude=list(kept),
                per_channel=self.per_channel,
                reduce_range=self.bits == 7,
                activation_type=QuantType.QInt8 if self.signed else QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                calibrate_method=getattr(CalibrationMethod, _METHODS[self.calibration]),
            )
            small = onnx.load(path)
        return Step(
            small,
            {"changed": integers(small), "skipped": kept, "calibration_rows": len(x)},
        )


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


def _reader(name: str, x: Floats) -> Any:
    """The calibration rows as onnxruntime wants them, in batches that bound its memory."""
    from onnxruntime.quantization import CalibrationDataReader

    class Rows(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.batches = iter(np.array_split(x, max(len(x) // 32, 1)))

        def get_next(self) -> dict[str, Floats] | None:
            batch = next(self.batches, None)
            return None if batch is None else {name: batch}

    return Rows()
