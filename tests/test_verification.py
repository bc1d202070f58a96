"""A page is true to its models and data, or it is not."""

import dataclasses
import json

import numpy as np
import pytest

from toolkit import verification
from toolkit.cli import run as command
from toolkit.errors import DataError
from toolkit.explainers import EXPLAINERS
from toolkit.files import sha256
from toolkit.predict import predictor
from toolkit.report import write_page
from toolkit.run import save
from toolkit.studying import study


@pytest.fixture(scope="module")
def paths(frontier):
    return [frontier.base.path, frontier.candidates[1].path]


@pytest.fixture(scope="module")
def told(paths, digits):
    """What a page of explain holds."""
    pair = [predictor(path) for path in paths]
    quick = [EXPLAINERS["shapley"](samples=400), EXPLAINERS["lime"](samples=400)]
    run = study(pair, digits, methods=quick, rows=[1, 5, 9])
    hashes = {f"model {p.name}": sha256(path) for p, path in zip(pair, paths, strict=True)}
    return dataclasses.replace(run, hashes={**run.hashes, **hashes})


def written(run, folder):
    """A page that carries the run."""
    return write_page(run, "explanation", folder / "why.html")


def verified(run, paths, digits):
    found, checks = verification.named(run, paths)
    predictors = {name: predictor(path, name) for name, path in found.items()}
    return [*checks, *verification.recomputed(run, predictors, digits, rows=2)]


def test_a_true_page_matches_to_the_bit(told, paths, digits, tmp_path):
    back = verification.page(written(told, tmp_path))
    checks = verified(back, paths, digits)
    assert [c.about for c in checks] == ["base", "int8", "data", "shapley", "lime"]
    assert all(c.matches for c in checks)
    assert "6 attributions by shapley" in checks[3].sentence
    assert "0.0e+00" in checks[3].sentence
    assert verification.versions(back) == ()


def test_one_value_that_was_changed_is_seen(told, paths, digits):
    a, *others = told.attributions
    changed = dataclasses.replace(a, values=a.values + 0.01 * np.eye(16)[0])
    rows = sorted({x.row for x in told.attributions})
    lying = dataclasses.replace(told, attributions=(changed, *others))
    found, _ = verification.named(lying, paths)
    predictors = {name: predictor(path, name) for name, path in found.items()}
    checks = verification.recomputed(lying, predictors, digits, rows=len(rows))
    assert [c.matches for c in checks] == [True, False, True]
    assert "1.0e-02" in checks[1].sentence


def test_other_models_data_and_settings_are_seen(told, paths, digits, wine):
    swapped, checks = verification.named(told, [paths[0]])
    assert [c.matches for c in checks] == [True, False]
    assert set(swapped) == {"base"}
    base = {"base": predictor(paths[0], "base")}
    (other,) = verification.recomputed(told, base, wine)
    assert other.matches is False
    for settings, said in (
        ({}, "how it was made"),
        ({"methods": {"tealeaves": {}}}, "tealeaves"),
        ({"methods": {"shapley": {"spoons": 3}}}, "spoons"),
    ):
        bad = dataclasses.replace(told, settings=settings)
        with pytest.raises(DataError, match=said):
            verification.recomputed(bad, base, digits)


def test_another_version_is_told_and_not_judged(told):
    old = dataclasses.replace(told, versions={**told.versions, "numpy": "1.0"})
    (said,) = verification.versions(old)
    assert said.matches is None
    assert "the page has 1.0" in said.sentence


def test_pages_that_carry_nothing(tmp_path):
    for name, text in (("a.html", "<html></html>"), ("b.json", "{}"), ("c.html", None)):
        path = tmp_path / name
        if text is not None:
            path.write_text(text)
        with pytest.raises(DataError):
            verification.page(path)


def test_on_the_command_line(told, paths, tmp_path, capsys):
    arguments = [*(str(p) for p in paths), "--data", "digits", "--rows", "1"]
    page = str(written(told, tmp_path))
    assert command(["verify"], [page, *arguments], "verify") == 0
    out = capsys.readouterr().out
    assert "match: base is base.onnx" in out
    assert out.endswith("verified\n")

    wrong = dataclasses.replace(told, hashes={**told.hashes, "model int8": "0" * 64})
    save(wrong, tmp_path / "why.json")
    code = command(["verify"], [str(tmp_path / "why.json"), *arguments, "--json"], "verify")
    said = json.loads(capsys.readouterr().out)
    assert (code, said["passed"]) == (1, False)

    assert command(["verify"], [page], "verify") == 2
    assert "--data" in capsys.readouterr().err
