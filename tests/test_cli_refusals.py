"""Wrong input at the command line: one line, exit code 2, nothing left behind."""

import subprocess
import sys

import numpy as np
import pytest

from tests.test_cli import called


@pytest.fixture(scope="module")
def bad(tmp_path_factory, saved):
    """Files that are not what they should be."""
    folder = tmp_path_factory.mktemp("bad")
    (folder / "text.keras").write_text("hello")
    (folder / "cut.keras").write_bytes(saved.read_bytes()[:2000])
    x, y = np.zeros((300, 4, 4), np.float32), np.arange(300) % 10
    np.savez(folder / "shape.npz", x_train=x, y_train=y)
    x, y = np.zeros((60, 8, 8), np.float32), np.arange(60) % 10
    x[3] = np.nan
    np.savez(folder / "nan.npz", x_train=x, y_train=y)
    np.savez(folder / "empty.npz", x_train=x[:0], y_train=y[:0])
    np.savez(
        folder / "labels.npz",
        x_train=np.zeros((60, 8, 8)),
        y_train=y,
        x_test=np.zeros((3, 8, 8)),
        y_test=[0, 1, 77],
    )
    np.savez(folder / "classes.npz", x_train=np.zeros((60, 8, 8)), y_train=np.arange(60) % 3)
    return folder


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["compress", "missing.keras", "--data", "digits"], "does not exist"),
        (["compress", "{bad}/text.keras", "--data", "digits"], "not a model"),
        (["compress", "{bad}/cut.keras", "--data", "digits"], "an archive whose end is missing"),
        (["compress", "{onnx}", "--data", "wine"], "shape"),
        (["compress", "{onnx}", "--data", "digits", "--recipe", "distil"], "the base is an .onnx"),
        (["compress", "{model}", "--data", "digits", "--slice", "x"], "column of a table"),
        (["compress", "{model}", "--data", "digits", "--require", "flips class:x < 1"], "class:x"),
        (["compress", "{model}", "--data", "digit"], "did you mean digits"),
        (["compress", "{model}", "--data", "no/such.npz"], "no data file"),
        (["compress", "{model}", "--data", "{bad}/shape.npz"], "shape"),
        (["compress", "{model}", "--data", "{bad}/nan.npz"], "NaN"),
        (["compress", "{model}", "--data", "{bad}/empty.npz"], "shape (0, 8, 8)"),
        (["compress", "{model}", "--data", "{bad}/labels.npz"], "label 77"),
        (["compress", "{model}", "--data", "{bad}/classes.npz"], "10 classes"),
        (["compress", "{model}", "--data", "digits", "--recipe", "int-8"], "did you mean int8"),
        (["compress", "{model}", "--data", "digits", "--max-drop", "-1"], "above 0"),
        (["compress", "{model}", "--data", "digits", "--max-dorp", "1"], "max-dorp"),
        (["compress", "{model}"], "--data"),
        (["explain", "{onnx}", "--data", "digits", "--method", "shap"], "did you mean"),
        (["explain", "{onnx}", "--data", "digits", "--method", "integrated"], "give the Keras"),
        (["explain", "{onnx}", "--data", "digits", "--players", "groups"], "grid, superpixels"),
        (["explain", "{onnx}", "--data", "digits", "--hidden", "mask"], "hidden mask of image"),
        (["explain", "{onnx}", "--data", "digits", "--rows", "a"], "--rows a"),
        (["explain", "{onnx}", "--data", "digits", "--rows", "3,9999"], "row 9999"),
        (["explain", "{onnx}", "--data", "wine"], "shape"),
        (["explain", "{onnx}", "--data", "digits", "--min-agreement", "0.9"], "--against"),
        (["explain", "{onnx}", "--data", "digits", "--ceiling", "{onnx}"], "--against"),
        (["explain", "{onnx}", "--data", "digits", "--junit", "g.xml"], "--against"),
        (
            ["explain", "{onnx}", "--against", "{model}", "--data", "digits", "--junit", "g.xml"],
            "--min-agreement",
        ),
        (
            [
                "explain",
                "{onnx}",
                "--against",
                "{model}",
                "--data",
                "digits",
                "--rows",
                "1,2",
                "--min-agreement",
                "0.8",
            ],
            "at least 14",
        ),
        (
            [
                "explain",
                "{onnx}",
                "--against",
                "{model}",
                "--data",
                "digits",
                "--min-agreement",
                "1.5",
            ],
            "0 (as random) to below 1",
        ),
        (["explain", "{onnx}", "--data", "digits", "--sample", "0"], "--sample without another"),
        (
            [
                "explain",
                "{onnx}",
                "--against",
                "{model}",
                "--data",
                "digits",
                "--rows",
                "1,2",
                "--sample",
                "7",
            ],
            "--sample 7 with --rows 1,2",
        ),
        *(
            ([command, "{onnx}", "--data", "digits", *option], f"{option[0]} with an .onnx")
            for command in ("compress", "explain")
            for option in (["--trust"], ["--custom", "no.py:Z"], ["--architecture", "no.py:f"])
        ),
        (["measure", "{model}", "--data", "digits"], "Keras file"),
        (["measure", "{onnx}"], "--data"),
        (["measure", "{onnx}", "--data", "wine", "--slice", "hueue"], "did you mean hue"),
        (["measure", "{onnx}", "--data", "digits", "--require", "flips class:12 < 1"], "class:12"),
        (["measure", "{onnx}", "--data", "digits", "--require", "speed > 1"], "speed"),
        (["measure", "{onnx}", "--import", "x.json"], "one folder"),
        (["verify", "{model}"], "holds"),
        (["verify", "missing.zip"], "no file at"),
        (["compress", "{model}", "--data", "digits", "--bundle", "b.tar"], "ends in .zip"),
        (["train", "--data", "digits", "--model", "mpl"], "did you mean mlp"),
        (["train", "--data", "digits", "--optimizer", "adm"], "did you mean adam"),
        (["train", "--data", "digits", "--epochs", "x"], "epochs"),
        (["nothing"], "nothing"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(  # noqa: PLR0917
    arguments, said, bad, saved, frontier, tmp_path, capsys
):
    names = {"bad": bad, "model": saved, "onnx": frontier.base.path}
    arguments = [a.format(**names) for a in arguments]
    command = arguments[0]
    out = {
        "compress": tmp_path / "o",
        "explain": tmp_path / "o.html",
        "train": tmp_path / "o.keras",
    }
    if command in out:
        arguments += ["--out", str(out[command])]
    code, printed, error = called(capsys, *arguments)
    assert code == 2
    assert printed == ""
    assert said in error
    assert len(error.strip().splitlines()) == 1
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []


def test_what_is_read_and_other_results_are_not_written_over(frontier, saved, tmp_path, capsys):
    from toolkit import run

    model = tmp_path / "base.onnx"
    model.write_bytes(frontier.base.path.read_bytes())
    run.save(frontier.run, tmp_path / "run.json")
    (tmp_path / "notes.json").write_text("{}")
    (tmp_path / "folder.html").mkdir()
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir() if p.is_file()}
    explain = ["explain", str(model), "--data", "digits", "--rows", "1"]
    for arguments, line in (
        (["compress", str(model), "--data", "digits", "--out", str(tmp_path)], "is what is read"),
        ([*explain[:-2], "--distil-explainer", str(model)], "is what is read"),
        ([*explain, "--out", f"{tmp_path}/run.html"], "holds other results"),
        ([*explain, "--out", f"{tmp_path}/notes.html"], "holds other results"),
        ([*explain, "--out", f"{tmp_path}/folder.html"], "is a folder"),
    ):
        code, printed, error = called(capsys, *arguments)
        assert (code, printed, len(error.splitlines())) == (2, "", 1), arguments
        assert line in error
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir() if p.is_file()} == before


def test_models_of_one_name_are_named_by_their_folders(frontier, tmp_path, capsys):
    """The page says whether reasons differ, and can be verified."""
    paths = [tmp_path / folder / "model.onnx" for folder in "ab"]
    for path in paths:
        path.parent.mkdir()
        path.write_bytes(frontier.base.path.read_bytes())
    page = tmp_path / "same.html"
    one, other = map(str, paths)
    asked = ["--data", "digits", "--rows", "2", "--sample", "3", "--method", "shapley"]
    code, _, error = called(capsys, "explain", one, "--against", other, *asked, "--out", str(page))
    assert code == 0, error
    text = page.read_text()
    assert "model (a)" in text
    assert str(tmp_path) not in text
    assert "Decisions of" not in text
    code, printed, _ = called(capsys, "verify", str(page), one, other, "--data", "digits")
    assert code == 0, printed


def test_a_full_disk_is_a_line(frontier):
    """/dev/full is one: whatever is written to it has no room."""
    arguments = ["measure", frontier.base.path, "--data", "digits"]
    with open("/dev/full", "w") as full:  # noqa: PTH123  # a device
        found = subprocess.run(
            [sys.executable, "-c", "from toolkit.cli import main; main()", *arguments],
            stdout=full,
            check=False,
            stderr=subprocess.PIPE,
            text=True,
            timeout=300,
        )
    assert found.returncode == 2
    assert "No space left on device" in found.stderr
    assert len(found.stderr.splitlines()) == 1


def test_measured_models_of_one_name_are_named_by_their_folders(frontier, tmp_path, capsys):
    paths = [tmp_path / folder / "model.onnx" for folder in "ab"]
    for path in paths:
        path.parent.mkdir()
        path.write_bytes(frontier.base.path.read_bytes())
    code, printed, error = called(capsys, "measure", *map(str, paths), "--data", "digits")
    assert code == 0, error
    assert "model (b)" in printed
    assert str(tmp_path) not in printed
