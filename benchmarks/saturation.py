"""What the saturation simulator says beside real AVX2 kernels, file by file.

TOOLKIT_DATA=FOLDER TOOLKIT_MODELS=FOLDER python benchmarks/saturation.py [--quick]
    [--emulator qemu-x86_64-static] [--rows 20]

Files: ResNet-8 and the MobileNet of visual wake words (MLPerf Tiny; squares of photographs, their
labels the float net's own answers), rounded with onnxruntime's defaults (8 bits), with signed
bytes, a step a tensor, on the fly, and with our defaults. emulator: QEMU's user mode, which runs
onnxruntime as a CPU with AVX2 and no VNNI (-cpu Haswell); then every answer is compared bit by bit.
Without it, on a CPU with VNNI or ARM the exact mode is compared, on AVX2 the clipped one. --quick:
200 test rows instead of 1,000.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np
import onnx
from nets import mobilenet, resnet8
from onnxruntime.quantization import quantize_static
from onnxruntime.quantization.calibrate import CalibrationDataReader

from toolkit.passes import PASSES, apply
from toolkit.predict import predictor
from toolkit.saturation import IntegerPredictor
from toolkit.targets import spread

asked = argparse.ArgumentParser()
asked.add_argument("--quick", action="store_true")
asked.add_argument("--emulator")
asked.add_argument("--rows", type=int, default=20)
args = asked.parse_args()

CHILD = """
import sys
import numpy, onnxruntime
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
opened = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
rows, name = numpy.load(sys.argv[2]), opened.get_inputs()[0].name
made = [opened.run(None, {name: rows[i : i + 1]})[0] for i in range(len(rows))]
numpy.save(sys.argv[3], numpy.concatenate(made))
"""


class Rows(CalibrationDataReader):
    """One call with all rows."""

    def __init__(self, name, x):
        self.left = iter([{name: x}])

    def get_next(self):
        return next(self.left, None)


def defaults(model, fit):
    """The result of onnxruntime's quantize_static as it comes."""
    model = onnx.ModelProto.FromString(model.SerializeToString())  # it changes what it is given
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "q.onnx"
        quantize_static(model, path, Rows(model.graph.input[0].name, fit.calibration.x[:200]))
        return onnx.load(path)


def real(model, x):
    """What onnxruntime answers under the emulator, one row a call."""
    with tempfile.TemporaryDirectory() as folder:
        where = [str(Path(folder) / name) for name in ("m.onnx", "x.npy", "o.npy")]
        onnx.save(model, where[0])
        np.save(where[1], x)
        command = [args.emulator, "-cpu", "Haswell", sys.executable, "-c", CHILD, *where]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(done.stderr[-400:])
        return np.load(where[2])


def ours(name, **settings):
    """One of our passes with these settings."""
    return lambda model, fit: apply(PASSES[name](**settings), model, fit).model


FORMS = {
    "quantize_static, its defaults": defaults,
    "8 bits": ours("static_int8", bits=8),
    "8 bits, a step a tensor": ours("static_int8", bits=8, per_channel=False),
    "8 bits, signed bytes": ours("static_int8", bits=8, signed=True),
    "8 bits on the fly": ours("dynamic_int8", bits=8),
    "7 bits": ours("static_int8"),
}
print(
    f"{'net':9} {'file':30} {'avx2 %':>7} {'exact %':>7} {'spread':>7} {'agree %':>8}  to the bit"
)
for net, build in (("ResNet-8", resnet8), ("MobileNet", mobilenet)):
    model, splits = build(200 if args.quick else 1000)
    for form, rounded in FORMS.items():
        small = rounded(model, splits.fit)
        found = {m.name: m.value for m in spread(small, splits.test, form)}
        x = splits.test.x[: args.rows]
        if args.emulator:
            its, where = real(small, x), "AVX2 kernels, emulated"
            mine = IntegerPredictor(small)(x)
        else:
            flags = Path("/proc/cpuinfo").read_text()
            clips = "avx2" in flags and "vnni" not in flags
            where = "this machine"
            mine = IntegerPredictor(small, clipping=clips)(x)
            its = np.concatenate(
                [predictor(small.SerializeToString())(x[i : i + 1]) for i in range(len(x))]
            )
        same = (
            "all"
            if np.array_equal(mine, its)
            else f"largest difference {abs(mine - its).max():.1e}"
        )
        print(
            f"{net:9} {form:30} {found['accuracy target:avx2']:7.2f} "
            f"{found['accuracy target:vnni']:7.2f} {found['target_spread']:7.2f} "
            f"{found['target_agreement']:8.2f}  {same} of {len(x)} rows ({where})",
            flush=True,
        )
