"""Int8 weights, activations quantised on the fly: no ranges have to be measured."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from toolkit.errors import ModelError
from toolkit.glossary import Fit, Stage, Step
from toolkit.onnx_graph import inner_graphs, plain
from toolkit.passes.base import Pass
from toolkit.passes.levelling import levelled
from toolkit.shapes import in_shape, shape_of
from toolkit.squeezing import moved_ahead

_ROWS = 200
_KINDS = ["MatMul", "Gemm", "LSTM", "Attention", "Gather"]


@dataclass(frozen=True, kw_only=True)
class DynamicInt8(Pass):
    """Quantise the weights of dense layers and LSTMs with onnxruntime's dynamic quantiser.

    bits 7 keeps the 16-bit sums of AVX2 without VNNI from saturating, so that every CPU computes
    the same; 8 is finer where that cannot happen. Convolutions stay float: their dynamic integer
    kernel is slower than float. GRUs have none. Facts list them.
    """

    stage: ClassVar[Stage] = "onnx"
    per_channel: bool = True
    bits: int = 7

    def __post_init__(self) -> None:
        """Refuse other widths."""
        seven_or_eight(self.name, self.bits)

    def __call__(self, model: Any, fit: Fit, seed: int = 0) -> Step:  # noqa: ARG002
        """Give the model with int8 weights; rows of `fit` tell how far columns are apart."""
        import onnx
        from onnxruntime.quantization import QuantType, quantize_dynamic

        ready = prepared(model)
        x = in_shape(np.asarray(fit.ranging(_ROWS).x[:], np.float32), shape_of(ready))
        ready = levelled(ready, x)
        # onnxruntime's own has an integer form; the one of ONNX has another order of inputs
        others = [n for n in ready.graph.node if n.op_type == "Attention" and not n.domain]
        if any(map(inner_graphs, ready.graph.node)):
            # onnxruntime's optimiser ends the process over a rounded table beside a loop
            others += [n for n in ready.graph.node if n.op_type == "Gather"]
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "out.onnx"
            quantize_dynamic(
                ready,
                path,
                op_types_to_quantize=_KINDS,
                per_channel=self.per_channel,
                reduce_range=self.bits == 7,
                weight_type=QuantType.QInt8,
                nodes_to_exclude=[n.name for n in others],
            )
            small = onnx.load(path)
        kept = {n.name: "a float convolution is faster" for n in small.graph.node if _conv(n)}
        kept |= {n.name: "onnxruntime cannot open it in integers" for n in others}
        floats = [n for n in small.graph.node if n.op_type in ("GRU", "RNN")]
        kept |= {n.name: "onnxruntime has no integer form of it" for n in floats}
        return Step(small, {"changed": integers(small), "skipped": kept})


def seven_or_eight(owner: str, bits: int) -> None:
    """Raise RecipeError for another width of weights."""
    from toolkit.errors import RecipeError

    if bits not in (7, 8):
        raise RecipeError(f"{owner} has bits {bits}", "7 or 8", "correct it")


def prepared(model: Any) -> Any:
    """A new graph with shapes inferred, constants folded, bias adds merged and all nodes named.

    Raises ModelError for a weight that is NaN or infinite: no range holds it.
    """
    import onnx
    from onnx import TensorProto, numpy_helper
    from onnxruntime.quantization.shape_inference import quant_pre_process

    for tensor in model.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT:
            lost = int((~np.isfinite(numpy_helper.to_array(tensor))).sum())
            if lost:
                raise ModelError(
                    f"{tensor.name} holds {lost} values that are NaN or infinite",
                    "finite weights",
                    "train again, with a lower rate",
                )

    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "in.onnx", Path(folder) / "out.onnx"
        onnx.save(moved_ahead(model), source)
        quant_pre_process(source, target, skip_symbolic_shape=True)
        ready = onnx.load(target)
    # what was a sum becomes a bias of whatever shape it had
    ready = plain(ready)
    # the optimiser leaves the metadata of its input aside; its own says that it has run
    ready.metadata_props.extend(model.metadata_props)
    for node in ready.graph.node:
        # nodes are left out by their names, which a shortened file no longer has
        node.name = node.name or node.output[0]
    return ready


def integers(model: Any) -> int:
    """How many weight tensors are stored as int8."""
    from onnx import TensorProto

    kinds = (TensorProto.INT8, TensorProto.UINT8)
    return sum(1 for t in model.graph.initializer if t.data_type in kinds and len(t.dims) > 1)


def _conv(node: Any) -> bool:
    return str(node.op_type) in ("Conv", "ConvTranspose")
