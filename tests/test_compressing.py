"""`compress` as people type it, on a file that needs no TensorFlow: a time, a CPU, processes."""

import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from toolkit.cli import run


@pytest.fixture(scope="module")
def base(digits, tmp_path_factory):
    """A classifier of digits with a hidden layer, made by scikit-learn."""
    from sklearn.neural_network import MLPClassifier

    x = digits.fit.train.x.reshape(len(digits.fit.train), -1)
    net = MLPClassifier((24,), max_iter=60, random_state=0, tol=0.1).fit(x, digits.fit.train.y)
    held = {"shape": np.array([-1, 64])}
    for i, (w, b) in enumerate(zip(net.coefs_, net.intercepts_, strict=True)):
        held |= {f"w{i}": w.astype(np.float32), f"b{i}": b.astype(np.float32)}
    nodes = [
        helper.make_node("Reshape", ["x", "shape"], ["flat"]),
        helper.make_node("Gemm", ["flat", "w0", "b0"], ["h"]),
        helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("Gemm", ["r", "w1", "b1"], ["z"]),
        helper.make_node("Softmax", ["z"], ["y"]),
    ]
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, shape) for n, shape in
            (("x", ["n", 8, 8, 1]), ("y", ["n", 10]))]  # fmt: skip
    tensors = [numpy_helper.from_array(v, n) for n, v in held.items()]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], tensors)
    path = tmp_path_factory.mktemp("base") / "base.onnx"
    opsets = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
    return path


def called(capsys, *arguments):
    code = run(["compress"], [str(a) for a in arguments], "compress")
    said = capsys.readouterr()
    return code, said.out, said.err


def kept(out):
    return json.loads((out / "run.json").read_text())


def test_a_time_tries_what_suits_the_file_and_keeps_the_frontier(base, tmp_path, capsys):
    out, cache = tmp_path / "a", tmp_path / "cache"
    shared = (base, "--data", "digits", "--budget", "10m", "--cache", cache)
    code, _, _ = called(capsys, *shared, "--jobs", 2, "--out", out)
    assert code == 0
    found = kept(out)
    tried, of, rest = found["budget"]["tried"].split(" ", 2)
    assert (tried, of) == ("4", "of")
    assert rest.startswith("4 recipes in")
    files = {p.stem for p in out.glob("*.onnx")} - {"base"}
    # half the bytes are beaten by a quarter and an eighth with the same answers, or beat them
    assert "int4-weights" in files
    assert found["chosen"] in files
    sizes = {a["name"]: a["nbytes"] for a in found["artifacts"]}
    assert sizes["int4-weights"] == min(sizes.values())

    again = tmp_path / "b"
    code, _, _ = called(capsys, *shared, "--out", again)
    assert code == 0
    one, two = ({p.name: p.read_bytes() for p in folder.glob("*.onnx")} for folder in (out, again))
    assert one == two


def test_a_cpu_decides_the_width_and_what_others_answer_is_told(base, tmp_path, capsys):
    peaks = {}
    for name in ("generic", "vnni"):
        out = tmp_path / name
        code, _, _ = called(
            capsys, base, "--data", "digits", "--recipe", "int8", "--target", name,
            "--max-drop", 20, "--out", out,
        )  # fmt: skip
        assert code == 0
        model = onnx.load(out / "int8.onnx")
        held = [numpy_helper.to_array(t) for t in model.graph.initializer]
        peaks[name] = max(np.abs(w.astype(int)).max() for w in held if w.dtype == np.int8)
        told = {m["name"]: m["value"] for m in kept(out)["measurements"] if m["subject"] == "int8"}
        assert {"accuracy target:avx2", "accuracy target:arm64", "target_spread"} < told.keys()
        if name == "generic":
            assert told["target_spread"] == 0
    assert peaks["generic"] <= 64 < peaks["vnni"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("--budget", "soon"), "90s, 10m or 1h"),
        (("--budget", "0s"), "90s, 10m or 1h"),
        (("--target", "arm"), "arm64"),
        (("--jobs", 0), "greater than or equal to 1"),
        (("--recipe", "int4-weight"), "int4-weights"),
    ],
)
def test_what_means_nothing_is_one_line(given, said, base, tmp_path, capsys):
    out = tmp_path / "none"
    code, told, err = called(capsys, base, "--data", "digits", "--out", out, *given)
    assert code == 2
    assert not told
    assert len(err.strip().splitlines()) == 1
    assert said in err
    assert not out.exists()
