"""What commands say of how data are read."""

import json
import shlex

import numpy as np
import pytest

from tests.test_cli import called


def test_the_next_command_reads_the_data_as_training_did(tmp_path, capsys):
    """A table with two columns that could be the label, and one that is left out."""
    rng = np.random.default_rng(0)
    lines = [
        f"{'ab'[i % 2]},{'xyz'[i % 3]},{i % 2 + rng.normal(0, 0.1):.3f},{i % 7}" for i in range(120)
    ]
    table = tmp_path / "my rows.csv"
    table.write_text("\n".join(["class,target,size,my note", *lines]) + "\n")
    model = tmp_path / "net.keras"
    code, out, err = called(
        capsys, "train", "--data", table, "--label", "class", "--drop", "target",
        "--drop", "my note", "--epochs", 1, "--out", model,
    )  # fmt: skip
    assert code == 0, err
    assert "label: column" not in err
    (said,) = (line for line in out.splitlines() if line.startswith("next: "))
    assert said == (
        f"next: compress {model} --data '{table}' --label class --drop target --drop 'my note' "
        "--out small"
    )
    words = shlex.split(said.removeprefix("next: "))
    code, _, err = called(capsys, *words[:-1], tmp_path / "small", "--recipe", "float16")
    assert code == 0, err
    assert json.loads((tmp_path / "small" / "run.json").read_text())["data"]["classes"] == [
        "a",
        "b",
    ]
    # what is guessed is said
    code, _, err = called(
        capsys, "train", "--data", table, "--epochs", 1, "--out", tmp_path / "other.keras"
    )
    assert code == 0
    assert "label: column 'target', by its name or place; --label names another" in err


@pytest.mark.parametrize("option", [("--size", "8x8"), ("--label", "y"), ("--text", "t")])
def test_what_has_no_meaning_for_the_data_is_refused(option, saved, tmp_path, capsys):
    code, _, err = called(
        capsys, "compress", saved, "--data", "digits", *option, "--out", tmp_path / "small"
    )
    assert code == 2
    assert f"{option[0]} for digits" in err
    assert not (tmp_path / "small").exists()
