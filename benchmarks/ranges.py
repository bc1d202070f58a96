"""Rounding after training beside onnxruntime's own tool: accuracy on every CPU, bytes, times.

TOOLKIT_DATA=FOLDER TOOLKIT_MODELS=FOLDER python benchmarks/ranges.py [--quick] [--net NAME ...]

Nets: ResNet-8 on CIFAR-10 and the MobileNet of visual wake words (MLPerf Tiny; on squares of
photographs, right means that it answers as its float does), and four that are trained here on
8,000 rows (nets.py). Peers: quantize_static as it comes, and as its documentation recommends
(shapes inferred and folded first, a step a channel, U8S8, 7 bits), quantize_dynamic as it comes,
and, where they are installed, onnxsim before the recommended way, Intel's onnx-neural-compressor
(which wants transformers), and ai-edge-litert with the TFLite files of MLPerf Tiny. All that
calibrate are given the same 200 rows. --never-slower, with --max-drop 3: int8-repair where it
is no slower, else the mix of float and integer layers that is found, or the float file where there
is none. right: of the test rows on CPUs whose sums clip (avx2) and on all others. near: mean change
of a probability on the others. x float: time of one row on one thread beside the float file,
interleaved, median and 95 % interval. --quick: 200 test rows, not 1,000.
"""

import argparse
import os
import tempfile
import time
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np
import onnx
from beside import interleaved, ratio
from lite import tflite
from nets import MODELS, adult, depthwise, lstm, mnist, mobilenet, resnet8
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantType,
    quantize_dynamic,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from toolkit import Budget, compress, recipe
from toolkit.passes import PASSES, apply
from toolkit.predict import predictor
from toolkit.runtime import session
from toolkit.targets import spread

NETS = {f.__name__: f for f in (resnet8, mobilenet, depthwise, mnist, adult, lstm)}
LITE = {"resnet8": "pretrainedResnet_quant.tflite", "mobilenet": "vww_96_int8.tflite"}
asked = argparse.ArgumentParser()
asked.add_argument("--quick", action="store_true")
asked.add_argument("--net", action="append", choices=sorted(NETS))
args = asked.parse_args()


class Rows(CalibrationDataReader):
    """The calibration rows, 25 a call."""

    def __init__(self, name, x):
        self.left = iter([{name: part} for part in np.array_split(x, 8)])

    def get_next(self):
        return next(self.left, None)


def peer(*, recommended):
    """One way of calling quantize_static."""

    def run(model, fit):
        reader = Rows(model.graph.input[0].name, fit.calibration.x[:200])
        with tempfile.TemporaryDirectory() as folder:
            source, ready, made = (str(Path(folder) / n) for n in ("a.onnx", "b.onnx", "c.onnx"))
            onnx.save(model, source)
            if not recommended:
                quantize_static(source, made, reader)
                return onnx.load(made)
            quant_pre_process(source, ready, skip_symbolic_shape=True)
            quantize_static(
                ready,
                made,
                reader,
                per_channel=True,
                reduce_range=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
            )
            return onnx.load(made)

    return run


def dynamic(model, fit):
    """quantize_dynamic as it comes."""
    with tempfile.TemporaryDirectory() as folder:
        source, made = (str(Path(folder) / n) for n in ("a.onnx", "b.onnx"))
        onnx.save(model, source)
        quantize_dynamic(source, made)
        return onnx.load(made)


def simplified(model, fit):
    """Simplified by onnxsim, then quantize_static as recommended."""
    import onnxsim

    return peer(recommended=True)(onnxsim.simplify(model)[0], fit)


def neural_compressor(model, fit):
    """Intel's quantiser of ONNX files, a step a channel and, as it recommends, 7 bits."""
    from onnx_neural_compressor import data_reader, quantization
    from onnx_neural_compressor.quantization.config import StaticQuantConfig

    class Again(Rows, data_reader.CalibrationDataReader):
        def rewind(self):
            self.__init__(model.graph.input[0].name, fit.calibration.x[:200])

    reader = Again(model.graph.input[0].name, fit.calibration.x[:200])
    settings = StaticQuantConfig(reader, per_channel=True, reduce_range=True)
    settings.calibration_sampling_size = 200
    with tempfile.TemporaryDirectory() as folder:
        source, made = (str(Path(folder) / n) for n in ("a.onnx", "b.onnx"))
        onnx.save(model, source)
        quantization.quantize(source, made, settings)
        return onnx.load(made)


def ours(name, *before):
    """The passes of a recipe, with some put before them."""

    def run(model, fit):
        for step in (*before, *recipe.load(name).passes):
            model = apply(step, model, fit).model
        return model

    return run


MOST = Budget(never_slower=True, max_drop=3.0)


def never_slower(model, fit):
    """What `compress --recipe int8-repair --never-slower --max-drop 3` takes, or the float."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "float.onnx"
        onnx.save(model, source)
        parts = replace(splits, fit=fit)
        found = compress(source, parts, ["int8-repair"], budget=MOST, out=folder)
        return onnx.load(found.chosen.path if found.chosen else source)


WAYS = {
    "quantize_static": peer(recommended=False),
    "quantize_static, recommended": peer(recommended=True),
    **({"onnxsim, quantize_static": simplified} if find_spec("onnxsim") else {}),
    **({"neural compressor": neural_compressor} if find_spec("onnx_neural_compressor") else {}),
    "quantize_dynamic": dynamic,
    "int8": ours("int8"),
    "int8-repair": ours("int8-repair"),
    "equalise, int8-repair": ours("int8-repair", PASSES["equalise"]()),
    "int8-repair, never slower": never_slower,
    "int8-dynamic": ours("int8-dynamic"),
    "int4-weights": ours("int4-weights"),
}
DENSE = ("quantize_dynamic", "int8-dynamic", "int4-weights")
"""Ways for nets that are not mostly convolutions."""
for net in args.net or NETS:
    model, splits = NETS[net](200 if args.quick else 1000)
    float_answers = predictor(model.SerializeToString())(splits.test.x)
    right = 100 * float((float_answers.argmax(axis=1) == splits.test.y).mean())
    print(f"{net}: float {right:.2f} % right, {model.ByteSize():,} bytes")
    print(
        f"{'':30} {'bytes':>8} {'right avx2':>10} {'others':>7} {'near':>7} {'made, s':>8}  x float"
    )
    row = splits.test.x[:1]
    made, figures = {"float": model}, {}
    convolves = any(n.op_type == "Conv" for n in model.graph.node)
    for name, way in WAYS.items():
        if convolves and name in DENSE:
            continue
        start = time.perf_counter()
        small = way(model, splits.fit)
        seconds = time.perf_counter() - start
        found = {m.name: m.value for m in spread(small, splits.test, name)}
        answers = predictor(small.SerializeToString())(splits.test.x)
        near = float(np.abs(answers - float_answers).mean())
        figures[name] = (
            f"{small.ByteSize():8,} {found.get('accuracy target:avx2', np.nan):10.2f} "
            f"{found['accuracy target:vnni']:7.2f} {near:7.4f} {seconds:8.1f}"
        )
        made[name] = small
    runs = {}
    for name, small in made.items():
        opened = session(small.SerializeToString(), threads=1)
        runs[name] = partial(opened.run, None, {opened.get_inputs()[0].name: row})
    if net in LITE and find_spec("ai_edge_litert"):
        answer, runs["TFLite int8"] = tflite(MODELS / LITE[net], row)
        answers = answer(splits.test.x)
        right = 100 * float((answers.argmax(axis=1) == splits.test.y).mean())
        near = float(np.abs(answers - float_answers).mean())
        size = (MODELS / LITE[net]).stat().st_size
        figures["TFLite int8"] = f"{size:8,} {right:10.2f} {right:7.2f} {near:7.4f} {'-':>8}"
    times = interleaved(runs, rounds=20)
    for name, text in figures.items():
        value, low, high = ratio(times[name], times["float"])
        print(f"{name:30} {text}  {value:.2f} ({low:.2f} to {high:.2f})", flush=True)
