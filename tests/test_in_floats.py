"""An `.onnx` that takes or gives other numbers answers as it does by itself, and can be changed."""

import numpy as np
import onnx
import pytest
from onnx import numpy_helper, parser

from toolkit import bases, recipe
from toolkit.cache import Cache
from toolkit.glossary import Data, Fit
from toolkit.layers import activations
from toolkit.making import begun, make
from toolkit.measurement import _memory, latency
from toolkit.predict import predictor

RNG = np.random.default_rng(0)


def spoken(taken, given, work, opset=17):
    """A net of 12 tokens, or of values 0 to 49, that takes and gives tensors of the types named."""
    return parser.parse_model(
        f"""<ir_version: 8, opset_import: ["" : {opset}]>
        net ({taken}[n, 12] x) => ({given}[n, 3] p) {{ {work} }}"""
    )


WEIGHTS = {
    "e": RNG.normal(size=(50, 16)),
    "w": RNG.normal(size=(16, 3)),
    "v": RNG.normal(size=(12, 3)) / 50,
}
TOKENS = "g = Gather (e, x) m = ReduceMean <axes = [1], keepdims = 0> (g) z = MatMul (m, w)"
SPOKEN = {
    "int64": (spoken("int64", "float", f"{TOKENS} p = Softmax (z)"), np.float32),
    "int32": (spoken("int32", "float", f"{TOKENS} p = Softmax (z)"), np.float32),
    "uint8": (spoken("uint8", "float", "f = Cast <to = 1> (x) z = MatMul (f, v) p = Softmax (z)"),
              np.float32),
    "double": (spoken("double", "double", "z = MatMul (x, v) p = Softmax (z)"), np.float64),
    "float16": (spoken("float16", "float16", "z = MatMul (x, v) p = Softmax (z)"), np.float16),
}  # fmt: skip


@pytest.mark.parametrize("kind", SPOKEN)
def test_a_graph_of_other_numbers_is_asked_in_float32(kind, tmp_path):
    import onnxruntime

    model, dtype = SPOKEN[kind]
    read = {i for n in model.graph.node for i in n.input}
    held = [numpy_helper.from_array(v.astype(dtype), k) for k, v in WEIGHTS.items() if k in read]
    model.graph.initializer.extend(held)
    path = tmp_path / "spoken.onnx"
    onnx.save(model, path)
    x = np.random.default_rng(0).integers(0, 50, (120, 12)).astype(np.float32)
    itself = onnxruntime.InferenceSession(path)
    numbers = {"double": np.float64}.get(kind, kind)
    wanted = itself.run(None, {"x": x.astype(numbers)})[0].astype(np.float32)
    # half of its own last digit: between casts the runtime leaves numbers of 16 bits as they are
    assert np.abs(predictor(path)(x) - wanted).max() <= (2**-11 if kind == "float16" else 0)
    data = Data(x, wanted.argmax(1), ("a", "b", "c"))
    step = bases.opened(path, data)
    assert step.facts["casts"]
    assert step.facts["largest_difference_here"] <= 1e-6
    files = {"base": path, "again": path}
    assert len(latency(files, dict.fromkeys(files, x[:1]), rounds=5)) == 5
    assert _memory("base", path, x[:1]).value > 1
    assert activations(path, "base", x[0], 0)
    cache = Cache(tmp_path / "kept")
    recipes = [recipe.load(n) for n in ("float16", "int8-dynamic", "int8", "int8-repair")]
    whole = make(recipes, begun(step, Fit(data, data, data), cache), cache, tmp_path / "left")
    assert any(one.error is None for one in whole)
    for one in whole:
        if one.error is None:
            assert np.abs(predictor(one.content)(x) - wanted).max() < 0.2
        else:
            assert "\n" not in str(one.error)
