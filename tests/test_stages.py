"""Step by step along a recipe, and reasons as a limit of a search."""

import dataclasses
import json

import pytest

from toolkit.choice import Budget, miss
from toolkit.cli import run as command
from toolkit.errors import RecipeError
from toolkit.gate import verdicts
from toolkit.glossary import Artifact, Measurement
from toolkit.passes import PASSES
from toolkit.recipe import Recipe
from toolkit.run import Run
from toolkit.search import compress
from toolkit.stages import stages

CHAIN = Recipe("chain", (PASSES["prune"](epochs=1), PASSES["static_int8"](), PASSES["shorten"]()))


@pytest.fixture(scope="module")
def along(mlp, digits, tmp_path_factory):
    return stages(CHAIN, mlp, digits.fit, tmp_path_factory.mktemp("cache"))


def test_each_pass_is_a_model_of_its_own(along, digits):
    assert [p.name for p in along] == [
        "base", "chain/1 prune", "chain/2 static_int8", "chain/3 shorten",
    ]  # fmt: skip
    x = digits.test.x[:60]
    base, pruned, rounded, short = (p(x) for p in along)
    assert abs(pruned - base).max() > 1e-3
    assert abs(rounded - pruned).max() > 1e-4
    # shortening leaves every bit
    assert short.tobytes() == rounded.tobytes()


def test_the_last_is_what_compress_makes(along, mlp, digits, tmp_path):
    found = compress(mlp, digits, [CHAIN], out=tmp_path)
    from toolkit.predict import predictor

    x = digits.test.x[:60]
    assert predictor(found.candidates[0].path)(x).tobytes() == along[-1](x).tobytes()


def test_on_the_command_line(saved, tmp_path, capsys):
    (tmp_path / "two.toml").write_text(
        'name = "two"\nabout = "x"\n[[pass]]\nkind = "static_int8"\n[[pass]]\nkind = "shorten"\n'
    )
    arguments = [
        str(saved), "--data", "digits", "--stages", str(tmp_path / "two.toml"),
        "--method", "lime", "--sample", "8", "--rows", "2", "--json",
        "--out", str(tmp_path / "why.html"),
    ]  # fmt: skip
    assert command(["explain"], arguments, "explain") == 0
    figures = json.loads(capsys.readouterr().out)["measurements"]
    told = {m["subject"]: m["value"] for m in figures if m["name"] == "reason_place lime"}
    assert set(told) == {"two/1 static_int8", "two/2 shorten"}
    assert told["two/1 static_int8"] == told["two/2 shorten"]
    assert "two/1" in (tmp_path / "why.html").read_text()


def test_an_onnx_has_no_stages(frontier, tmp_path, capsys):
    arguments = [str(frontier.base.path), "--data", "digits", "--stages", "int8", "--out",
                 str(tmp_path / "why.html")]  # fmt: skip
    assert command(["explain"], arguments, "explain") == 2
    assert "a Keras model" in capsys.readouterr().err


def figures(*more):
    return [
        Measurement("small", "accuracy_drop", 0, "points", 500, -1, 1),
        Measurement("small", "accuracy_drop_bound", 0.8, "points", 500),
        Measurement("small", "latency_ratio", 0.8, "x", 31, 0.7, 0.9),
        Measurement("small", "latency_p50", 10, "us", 31),
        *more,
    ]


def test_reasons_are_a_limit(tmp_path):
    made = Artifact("small", tmp_path / "small.onnx", "", (), "0", 10)
    cosine = Measurement("small", "reason_cosine shapley", 0.9, "", 60, 0.85, 0.95)
    place = Measurement("small", "reason_place shapley", 0.9, "", 60, 0.85, 0.95)
    # the same over another cut of the pictures stands beside it and decides nothing
    recut = Measurement("small", "reason_place shapley cut:9", 0.7, "", 60, 0.6, 0.8)

    def missed(least, *measured):
        run = Run("t", "now", "explain", "base", None, {}, measurements=measured)
        return miss(made, figures(), Budget(min_agreement=least), verdicts(run, least))

    assert missed(0.8, cosine, place, recut) == ""
    assert "its lower end does not reach 0.9" in missed(0.9, cosine, place, recut)
    # what was not compared, or over too few rows, or of a guess, is not shown to agree
    assert "3 rows are too few" in missed(0.1, cosine, dataclasses.replace(place, n=3))
    assert missed(0.1) == "has no reasons that were compared"
    guess = Measurement("base", "informedness", 0.02, "", 400, -0.03, 0.06)
    assert "base is not clearly better than guessing" in missed(0.1, cosine, place, guess)
    for wrong in (0, 1, 1.2, -1):
        with pytest.raises(RecipeError):
            Budget(min_agreement=wrong)


def test_a_search_measures_reasons_where_they_are_a_limit(mlp, digits, tmp_path):
    budget = Budget(min_agreement=0.9, max_drop=5)
    found = compress(mlp, digits, ["float16"], budget=budget, out=tmp_path)
    assert found.chosen is not None
    place = found.run.measured("float16", "reason_place shapley")
    assert place.low > 0.9
    assert found.run.budget["min_agreement"] == 0.9
    assert found.run.decisions
