"""`compress` as people type it, on a file that needs no TensorFlow: a time, a CPU, processes."""

import json

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from toolkit.cli import run


def called(capsys, *arguments):
    code = run(["compress"], [str(a) for a in arguments], "compress")
    said = capsys.readouterr()
    return code, said.out, said.err


def kept(out):
    return json.loads((out / "run.json").read_text())


def test_a_time_tries_what_suits_the_file_and_keeps_the_frontier(dense_onnx, tmp_path, capsys):
    out, cache = tmp_path / "a", tmp_path / "cache"
    shared = (dense_onnx, "--data", "digits", "--budget", "10m", "--cache", cache)
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
    again.mkdir()
    (again / "old.onnx").write_bytes(b"of an earlier run")
    code, said, _ = called(capsys, *shared, "--out", again)
    assert code == 0
    assert f"not of this run, in {again}: old.onnx" in said
    (again / "old.onnx").unlink()
    one, two = ({p.name: p.read_bytes() for p in folder.glob("*.onnx")} for folder in (out, again))
    assert one == two


def test_a_bundle_of_an_earlier_run_is_not_taken_for_this_one_s(dense_onnx, tmp_path, capsys):
    old = tmp_path / "old.zip"
    old.write_bytes(b"of an earlier run")
    code, said, _ = called(
        capsys, dense_onnx, "--data", "digits", "--recipe", "float16", "--max-bytes", 10,
        "--bundle", old, "--out", tmp_path / "out",
    )  # fmt: skip
    assert code == 1
    assert f"not of this run: {old}" in said
    assert old.read_bytes() == b"of an earlier run"


def test_a_cpu_decides_the_width_and_what_others_answer_is_told(dense_onnx, tmp_path, capsys):
    peaks = {}
    for name in ("generic", "vnni"):
        out = tmp_path / name
        code, _, _ = called(
            capsys, dense_onnx, "--data", "digits", "--recipe", "int8", "--target", name,
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
def test_what_means_nothing_is_one_line(given, said, dense_onnx, tmp_path, capsys):
    out = tmp_path / "none"
    code, told, err = called(capsys, dense_onnx, "--data", "digits", "--out", out, *given)
    assert code == 2
    assert not told
    assert len(err.strip().splitlines()) == 1
    assert said in err
    assert not out.exists()
