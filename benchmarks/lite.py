"""TFLite files as peers, where ai-edge-litert is installed."""

from functools import partial
from importlib.util import find_spec

import numpy as np

RESNET8 = {
    "TFLite float": "pretrainedResnet.tflite",
    "TFLite int8": "pretrainedResnet_quant.tflite",
}
"""The files of MLPerf Tiny for its ResNet-8."""


def peers(folder, files, row):
    """What tflite() gives of each of `files`, and its bytes, by name; none where it is missing."""
    if not find_spec("ai_edge_litert"):
        print("ai-edge-litert is not installed: the peers are left out")
        return {}
    return {
        name: (*tflite(folder / file, row), (folder / file).stat().st_size)
        for name, file in files.items()
    }


def tflite(path, row):
    """A TFLite classifier as a function of rows f32 (n, ...), and one run of it on `row`."""
    from ai_edge_litert.interpreter import Interpreter

    peer = Interpreter(str(path), num_threads=1)
    peer.allocate_tensors()
    first, last = peer.get_input_details()[0], peer.get_output_details()[0]

    def ready(x):
        if first["dtype"] == np.float32:
            return x
        scale, zero = first["quantization"]
        ends = np.iinfo(first["dtype"])
        return np.clip(np.rint(x / scale + zero), ends.min, ends.max).astype(first["dtype"])

    def run(given):
        peer.set_tensor(first["index"], given)
        peer.invoke()

    def answer(x):
        out = []
        for i in range(len(x)):
            run(ready(x[i : i + 1]))
            made = peer.get_tensor(last["index"])[0].astype(np.float32)
            scale, zero = last["quantization"]
            out.append((made - zero) * scale if last["dtype"] != np.float32 else made)
        return np.array(out, np.float32)

    return answer, partial(run, ready(row))
