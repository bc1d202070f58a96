"""Settings from the command line reach the methods that have them, and are refused elsewhere."""

import json

import pytest

from toolkit.cli import run
from toolkit.errors import RecipeError
from toolkit.explainers.choices import Choice
from toolkit.explainers.named import named
from toolkit.explanation import players_of


def test_each_method_takes_what_it_has():
    shapley, lime = named(["shapley", "lime"], samples=5000, evaluations=9000, stable=True)
    assert (shapley.samples, shapley.evaluations) == (5000, 9000)
    assert (lime.samples, lime.stable) == (5000, True)


def test_what_no_method_has_is_refused():
    with pytest.raises(RecipeError, match="--stable of shapley; methods that have it: lime"):
        named(["shapley"], stable=True)
    with pytest.raises(RecipeError, match="did you mean lime"):
        named(["lime2"])
    with pytest.raises(RecipeError, match="0 samples; at least 20"):
        named(["shapley"], samples=0)


def test_settings_that_change_nothing_are_refused():
    """Where no chance is there is no standard error to be within a tolerance."""
    for method, setting in (("partition", "tolerance"), ("deep", "tolerance"), ("deep", "samples")):
        with pytest.raises(RecipeError, match=f"--{setting} of {method}; .*shapley") as told:
            named([method], **{setting: 0.5})
        assert method not in str(told.value).partition(";")[2]
    shapley, partition = named(["shapley", "partition"], tolerance=0.5)
    assert (shapley.tolerance, partition.tolerance) == (0.5, None)


def test_a_size_of_the_background(wine, digits):
    one = players_of(wine.test, [3], wine.fit.train, 0, Choice(rows=20))[3]
    assert len(one.background) == 20
    assert one.hidden == "20 rows of the background"
    for data, size in ((wine, 999), (digits, 5)):
        with pytest.raises(RecipeError, match="background rows"):
            players_of(data.test, [0], data.fit.train, 0, Choice(rows=size))


@pytest.fixture(scope="module")
def onnx(tabular, wine, tmp_path_factory):
    from toolkit.artifact import save
    from toolkit.exporting import export

    folder = tmp_path_factory.mktemp("onnx")
    return save(export(tabular, wine.fit.validation).model, "net", folder).path


def test_the_command_says_and_verifies_its_settings(onnx, tmp_path, capsys):
    page = tmp_path / "why.html"
    command = ["explain", onnx, "--data", "wine", "--rows", "3,5", "--out", page]
    command += ["--background", 20, "--tolerance", 0.02, "--samples", 3000, "--stable"]
    assert run(["explain"], [str(c) for c in command[1:]], "explain") == 0
    settings = json.loads(page.with_suffix(".json").read_text())["settings"]
    assert settings["choice"]["rows"] == 20
    assert settings["methods"]["shapley"]["tolerance"] == 0.02
    assert settings["methods"]["lime"]["stable"] is True
    assert settings["methods"]["lime"]["samples"] == 3000
    capsys.readouterr()
    again = ["verify", str(page), str(onnx), "--data", "wine"]
    assert run(["verify"], again[1:], "verify") == 0
    assert "largest difference 0.0e+00" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--against", "{onnx}", "--tolerance", "0.01"], "several models"),
        (["--background", "0"], "0 background rows"),
        (["--method", "lime", "--evaluations", "9000"], "--evaluations of lime"),
        (["--jobs", "2"], "--rows all"),
        (["--rows", "all"], "ends in .parquet"),
        (["--rows", "all", "--quality", "all"], "--quality with --rows all"),
        (["--rows", "all", "--against", "{onnx}"], "--against with --rows all"),
        (["--rows", "all", "--lang", "zh"], "--lang with --rows all"),
        (["--rows", "all", "--sample", "3"], "--sample with --rows all"),
        (["--rows", "nowhere.csv"], "a file that is there"),
    ],
)
def test_refusals_leave_nothing(more, said, onnx, tmp_path, capsys):
    given = [str(onnx), "--data", "wine", "--out", str(tmp_path / "why.html")]
    # two models of one name are told apart by their paths
    twin = tmp_path / "twin.onnx"
    twin.write_bytes(onnx.read_bytes())
    given += [m.format(onnx=twin) for m in more]
    assert run(["explain"], given, "explain") == 2
    assert said in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["twin.onnx"]
