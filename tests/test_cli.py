"""The commands as people type them: what they say, what they leave behind, how they end."""

import html
import json
import re
import resource
import shlex
import signal
import subprocess
import sys
import time
import zipfile
from contextlib import suppress
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from toolkit.cli import run, screen
from toolkit.data import load
from toolkit.predict import predictor
from toolkit.progress import tell

BIN = Path(sys.executable).parent


def called(capsys, *arguments, names=("train", "compress", "explain", "measure", "verify", "demo")):
    code = run(list(names), [str(a) for a in arguments], "toolkit")
    said = capsys.readouterr()
    return code, said.out, said.err


@pytest.mark.parametrize("command", ["train", "compress", "explain", "measure", "verify", "demo"])
def test_help_fits_a_screen_and_has_an_example(command, capsys):
    code, out, _ = called(capsys, command, "--help")
    assert code == 0
    assert "Example: " in out
    assert len(out.splitlines()) <= 50
    assert all(len(line) <= 100 for line in out.splitlines())


@pytest.mark.parametrize("command", ["compress", "explain", "toolkit"])
def test_installed_commands_answer(command):
    done = subprocess.run([BIN / command, "--help"], capture_output=True, text=True, check=True)
    assert "Usage" in done.stdout


def test_train_then_compress_then_explain_then_measure(tmp_path, capsys):
    model = tmp_path / "m.keras"
    code, out, _ = called(capsys, "train", "--data", "wine", "--out", model, "--json")
    assert code == 0
    said = json.loads(out)
    assert said["epochs"] == 100  # few rows, and nothing said of it
    assert said["test_accuracy"] > 80
    assert len(said["history"]["val_loss"]) == 100

    small = tmp_path / "small"
    code, out, _ = called(
        capsys, "compress", model, "--data", "wine", "--recipe", "float16", "--out", small
    )
    assert code == 0
    assert f"take: {small}/float16.onnx" in out
    made = {p.name for p in small.iterdir()}
    pages = {"manifest.json", "run.json", "compression.html"}
    assert made == {"base.onnx", "float16.onnx", ".cache", *pages}

    page = tmp_path / "why.html"
    code, out, _ = called(
        capsys, "explain", small / "base.onnx", "--against", small / "float16.onnx",
        "--data", "wine", "--rows", "3,9", "--method", "shapley", "--out", page,
    )  # fmt: skip
    assert code == 0
    assert "cosine of reasons" in out
    assert "float16" in page.read_text()
    assert not (page.read_text().count('href="compression.html"'))

    code, out, _ = called(
        capsys, "measure", small / "base.onnx", small / "float16.onnx",
        "--data", "wine", "--rounds", 5, "--json",
    )  # fmt: skip
    assert code == 0
    figures = json.loads(out)["measurements"]
    assert {m["subject"] for m in figures} == {"base", "float16"}


def test_a_gate_that_fails_ends_in_1_with_the_page_written(saved, tmp_path, capsys):
    code, out, _ = called(
        capsys, "compress", saved, "--data", "digits", "--recipe", "float16",
        "--max-bytes", 10, "--out", tmp_path,
    )  # fmt: skip
    assert code == 1
    assert "more than 10" in out
    assert (tmp_path / "compression.html").is_file()


def test_the_command_on_the_page_does_it_again(saved, tmp_path, monkeypatch, capsys):
    out = tmp_path / "first"
    code, _, _ = called(
        capsys, "compress", saved, "--data", "digits", "--recipe", "float16", "--max-drop", "2.5",
        "--trust", "--require", "flips <= 500", "--seed", "3", f"--out={out}",
    )  # fmt: skip
    assert code == 0
    page = (out / "compression.html").read_text()
    said = html.unescape(re.search(r"<pre tabindex=.0.>toolkit (.*?)</pre>", page)[1])
    assert str(tmp_path) not in said
    assert str(saved.parent) not in said
    monkeypatch.chdir(saved.parent)
    assert "--trust" in shlex.split(said)
    again, _, _ = called(capsys, *shlex.split(said))
    assert again == code
    page = (saved.parent / "first" / "compression.html").read_text()
    repeated = html.unescape(re.search(r"<pre tabindex=.0.>toolkit (.*?)</pre>", page)[1])
    assert shlex.split(repeated) == shlex.split(said)
    # names of nodes count up in a process, so the files are compared by what they answer
    rows = load("digits").test.x
    for name in ("base.onnx", "float16.onnx"):
        answers = [predictor(folder / name)(rows) for folder in (out, saved.parent / "first")]
        assert answers[0].tobytes() == answers[1].tobytes()


def test_to_a_device_and_back(saved, tmp_path, capsys):
    """compress --bundle, verify, run.py --measure as a device does, measure --import."""
    small, packed = tmp_path / "small", tmp_path / "b.zip"
    code, out, _ = called(
        capsys, "compress", saved, "--data", "digits", "--recipe", "float16",
        "--bundle", packed, "--out", small,
    )  # fmt: skip
    assert code == 0
    assert f"bundle: {packed}" in out
    code, out, _ = called(capsys, "verify", packed)
    assert code == 0
    assert out.endswith("verified\n")
    with zipfile.ZipFile(packed) as inside:
        inside.extractall(tmp_path / "there")
    script = [sys.executable, tmp_path / "there" / "run.py", "--measure", "--out"]
    subprocess.run([*script, tmp_path / "pi.json"], check=True, capture_output=True)
    code, out, _ = called(capsys, "measure", small, "--import", tmp_path / "pi.json")
    assert code == 0
    assert "pi" in out
    assert "On devices" in (small / "compression.html").read_text()
    # the same zip with another byte in it
    raw = bytearray(packed.read_bytes())
    raw[len(raw) // 2] ^= 1
    packed.write_bytes(raw)
    assert called(capsys, "verify", packed)[0] in (1, 2)


def test_no_bundle_where_none_is_within_the_limits(saved, tmp_path, capsys):
    code, _, _ = called(
        capsys, "compress", saved, "--data", "digits", "--recipe", "float16",
        "--max-bytes", 10, "--bundle", tmp_path / "b.zip", "--out", tmp_path / "small",
    )  # fmt: skip
    assert code == 1
    assert not (tmp_path / "b.zip").exists()


@pytest.fixture(scope="module")
def grouped(tmp_path_factory, frontier):
    """A table whose one category says how hard its rows are, and a net that was trained on it."""
    from toolkit import data, models, training
    from toolkit.exporting import export

    rng = np.random.default_rng(0)
    hard = rng.random(600) < 0.5
    y = rng.integers(0, 2, 600)
    x = np.where(hard, rng.normal(size=600), y * 6 - 3 + rng.normal(size=600))
    folder = tmp_path_factory.mktemp("grouped")
    lines = [f"{v:.4f},{'hard' if h else 'easy'},{'ab'[k]}" for v, h, k in zip(x, hard, y)]  # noqa: B905
    (folder / "t.csv").write_text("\n".join(["x,kind,label", *lines]))
    splits = data.load(folder / "t.csv")
    net = models.build("tabular", splits.fit.train)
    net, _ = training.train(net, splits.fit, training.Settings(epochs=30))
    made = export(net, splits.fit.validation)
    (folder / "m.onnx").write_bytes(made.model.SerializeToString())
    return folder


def test_slices_are_shown_and_can_be_demanded(grouped, capsys):
    arguments = ("measure", grouped / "m.onnx", "--data", grouped / "t.csv", "--rounds", 5)
    code, out, _ = called(capsys, *arguments, "--slice", "kind")
    assert code == 0
    cells = [line.split() for line in out.splitlines() if line.startswith("kind=")]
    shares = {row[0]: float(row[2]) for row in cells}
    assert shares["kind=easy"] > 90 > shares["kind=hard"]
    code, _, said = called(capsys, *arguments, "--require", "accuracy slice:kind=* >= 90")
    assert code == 1
    assert said.startswith("m has accuracy slice:kind=hard of ")
    assert called(capsys, *arguments, "--require", "accuracy slice:kind=easy >= 90")[0] == 0


def test_gradients_beside_shapley_with_players_and_hiding_as_chosen(saved, tmp_path, capsys):
    page = tmp_path / "why.html"
    code, _, err = called(
        capsys, "explain", saved, "--data", "digits", "--rows", "3,5", "--out", page,
        "--method", "shapley", "--method", "integrated", "--method", "deep",
        "--players", "grid", "--patches", 4, "--hidden", "blur",
    )  # fmt: skip
    assert code == 0, err
    found = json.loads(page.with_suffix(".json").read_text())
    methods = {a["method"] for a in found["attributions"]}
    assert methods == {"shapley", "integrated", "deep"}
    assert all(len(a["names"]) == 4 for a in found["attributions"])
    assert {a["facts"]["hidden"] for a in found["attributions"]} == {"the blurred picture"}
    assert found["settings"]["choice"]["patches"] == 4
    text = page.read_text()
    said = "SHAP, Integrated Gradients, DeepSHAP: the blurred picture."
    assert f"In place of what is hidden: {said}" in text
    assert "gap 0.0" in text
    # and it can be verified
    assert called(capsys, "verify", page, saved, "--data", "digits", "--rows", 1)[0] == 0


def test_reasons_below_the_gate_end_in_1(frontier, cnn, tmp_path, capsys):
    paths = (frontier.base.path, tmp_path / "cnn.keras")
    cnn.save(paths[1])
    code, _, _ = called(
        capsys, "explain", paths[0], "--against", paths[1], "--data", "digits",
        "--method", "lime", "--min-agreement", 0.9, "--junit", tmp_path / "gate.xml",
        "--out", tmp_path / "why.html",
    )  # fmt: skip
    assert code == 1
    assert (tmp_path / "why.html").is_file()
    (case,) = ElementTree.fromstring((tmp_path / "gate.xml").read_bytes()).iter("failure")  # noqa: S314  # our own
    assert "cnn beside base by lime" in case.get("message")
    assert "does not reach 0.9" in case.get("message")


def test_reasons_above_the_gate_end_in_0_beside_a_retrained_base(frontier, saved, tmp_path, capsys):
    paths = [a.path for a in (frontier.base, *frontier.candidates)]
    code, out, _ = called(
        capsys, "explain", paths[0], "--against", paths[1], "--against", paths[2],
        "--ceiling", saved, "--method", "lime", "--sample", 14, "--data", "digits",
        "--min-agreement", 0.8, "--json", "--out", tmp_path / "why.html",
    )  # fmt: skip
    assert code == 0
    said = json.loads(out)
    assert [(v["subject"], v["passed"]) for v in said["gate"]] == [
        ("float16", True), ("int8", True),
    ]  # fmt: skip
    assert {"model base", "model int8", "data"} <= said["hashes"].keys()
    (ceiling,) = [m for m in said["measurements"] if m["name"] == "reason_ceiling lime"]
    # it was retrained into the very same model
    assert ceiling["value"] == pytest.approx(1, abs=1e-4)


def test_a_folder_that_cannot_be_written(saved, capsys):
    code, _, error = called(
        capsys, "compress", saved, "--data", "digits", "--recipe", "int8", "--out", "/proc/x"
    )
    assert code == 2
    assert "cannot write" in error


def test_a_full_disk_is_said_and_leaves_no_broken_file(tmp_path, capsys):
    """A real limit of the system: no file may grow beyond 30 kB."""
    out = tmp_path / "m.keras"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, before[1]))
    try:
        code, _, error = called(capsys, "train", "--data", "digits", "--epochs", "1", "--out", out)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert code == 2, error
    assert error.strip().splitlines()[-1].startswith("toolkit: cannot write")
    # what was trained is kept for the next run, and nothing broken stands there
    assert [p.name for p in tmp_path.iterdir()] == [".m.keras.checkpoints"]


def test_an_interrupt_leaves_no_broken_file(saved, tmp_path):
    command = [
        BIN / "compress",
        saved,
        "--data",
        "digits",
        "--recipe",
        "distil",
        "--out",
        tmp_path / "o",
    ]
    started = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    base = tmp_path / "o" / "base.onnx"
    until = time.time() + 120
    while not base.is_file() and started.poll() is None and time.time() < until:
        time.sleep(0.2)
    started.send_signal(signal.SIGINT)
    _, error = started.communicate(timeout=120)
    assert started.returncode == 130
    # a pipe hears of no bar, and nothing of what the frameworks have to say
    assert len(error.splitlines()) == 1, error
    assert "interrupted" in error
    import onnx

    for path in (tmp_path / "o").iterdir():
        if path.name in (".cache", ".checkpoints"):  # tests of their own
            continue
        assert path.suffix == ".onnx", path
        onnx.checker.check_model(onnx.load(path))


def test_an_interrupt_that_native_code_swallows_is_not_forgotten():
    with screen.interrupts(), screen.progress():
        tell("work", 1, 3)
        with suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            tell("work", 2, 3)
    with screen.progress():
        tell("work", 3, 3)


def test_the_demo_from_end_to_end(wine, tmp_path, capsys):
    table = tmp_path / "wine.csv"
    rows = pd.DataFrame(wine.fit.train.x[:, :5], columns=wine.test.features[:5])
    rows.assign(kind=wine.fit.train.y).to_csv(table, index=False)
    code, out, _ = called(
        capsys, "demo", "--data", table, "--epochs", 8, "--rows", 2, "--out", tmp_path
    )
    assert code == 0
    assert "page: " in out
    assert (
        f"toolkit demo --data wine.csv --epochs 8 --rows 2 --out {tmp_path.name}<"
        in (tmp_path / "compression.html").read_text()
    )
    pages = {p.name for p in tmp_path.glob("*.html")}
    assert pages == {"compression.html", "explanation.html", "reasons.html"}
    from toolkit.recipe import USUAL

    made = {p.stem for p in tmp_path.glob("*.onnx")}
    assert made == {"base", *USUAL}


def test_the_whole_job_on_mnist(more_data, tmp_path, capsys):
    """Real input from a file, a tenth of it: a short training, one recipe, two decisions."""
    model, small = tmp_path / "m.keras", tmp_path / "small"
    with np.load(more_data / "mnist.npz") as every:
        np.savez(tmp_path / "mnist.npz", **{name: every[name][::10] for name in every})
    data = ["--data", tmp_path / "mnist.npz"]
    assert called(capsys, "train", *data, "--epochs", 1, "--out", model)[0] == 0
    assert called(capsys, "compress", model, *data, "--recipe", "int8", "--out", small)[0] == 0
    code, _, _ = called(
        capsys, "explain", model, "--against", small / "int8.onnx", *data,
        "--rows", 2, "--sample", 6, "--out", tmp_path / "why.html",
    )  # fmt: skip
    assert code == 0
