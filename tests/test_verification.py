"""A page is true to its models and data, or it is not."""

import dataclasses
import json

import numpy as np
import pytest

from toolkit import verification
from toolkit.checks import checked
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
    run = study(pair, digits, methods=quick, rows=[1, 5, 9, 12, 20, 33])
    hashes = {f"model {p.name}": sha256(path) for p, path in zip(pair, paths, strict=True)}
    return checked(dataclasses.replace(run, hashes={**run.hashes, **hashes}))


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


def changed_figure(run, name, **values):
    """The run with one figure of the small model changed."""
    one = run.measured("int8", name)
    others = [m for m in run.measurements if m is not one]
    return dataclasses.replace(run, measurements=(*others, dataclasses.replace(one, **values)))


def refigured(run, paths, digits):
    predictors = {p.stem: predictor(p) for p in paths}
    return {c.about: c for c in verification.figures(run, predictors, digits)}


def test_figures_that_were_changed_are_seen(told, paths, digits):
    true = refigured(told, paths, digits)
    assert true["figures"].matches is True
    assert true["decisions"].matches is True
    assert "findings" not in true
    assert "reason_transfer" in true["figures left"].sentence

    lying = told
    for name, values in (
        ("reason_place shapley", {"value": 1.2}),
        ("reason_cosine_p5 lime", {"value": 0.5}),
        ("accuracy", {"value": 99.0}),
        ("agreement", {"n": 10_000}),
        ("reason_moved lime", {"low": -0.1}),
    ):
        lying = changed_figure(lying, name, **values)
    without = [m for m in lying.measurements if m.name != "reason_drift lime"]
    first, second, third, fourth, *others = told.decisions
    wrong = (
        dataclasses.replace(first, label=(first.label + 1) % 10),
        dataclasses.replace(second, row=10_000),
        dataclasses.replace(third, x=third.x + 1),
        dataclasses.replace(fourth, probabilities={"base": np.float32([0.1] * 10)}),
    )
    lying = dataclasses.replace(
        lying, measurements=tuple(without), decisions=(*wrong, *others), findings=()
    )
    seen = refigured(lying, paths, digits)
    assert seen["figures"].matches is False
    assert seen["figures"].sentence.startswith("6 of ")
    assert seen["decisions"].sentence.startswith("4 of 6 decisions are not")
    assert seen["findings"].matches is False
    assert "F1 of base" in seen["findings"].sentence


def test_a_page_that_shows_something_else_is_seen(told, tmp_path):
    page = written(told, tmp_path)
    run = verification.page(page)
    first, *rest = verification.shown(page, run)
    assert first.matches is True
    assert all(c.matches is None for c in rest)
    german = write_page(told, "explanation", tmp_path / "de.html", lang="de")
    assert verification.shown(german, run)[0].matches is True
    text = page.read_text()
    start = text.index('<section id="likeness"')
    page.write_text(text[:start] + text[start:].replace("1.0000", "1.0001", 1))
    (seen,) = verification.shown(page, run)
    assert seen.matches is False
    assert "likeness" in seen.sentence
    assert "version" not in seen.sentence
    older = dataclasses.replace(run, versions={**run.versions, "keras-edge-toolkit": "0.0"})
    (seen,) = verification.shown(page, older)
    assert seen.matches is False
    assert seen.sentence.endswith("the page names version 0.0: verify it by that")
    # the figures beside an untouched text
    (seen,) = verification.shown(german, changed_figure(run, "reason_cosine lime", value=0.5))
    assert seen.matches is False


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
    assert "sections show what the page carries" in out
    assert out.endswith("verified\n")

    wrong = dataclasses.replace(told, hashes={**told.hashes, "model int8": "0" * 64})
    save(wrong, tmp_path / "why.json")
    code = command(["verify"], [str(tmp_path / "why.json"), *arguments, "--json"], "verify")
    said = json.loads(capsys.readouterr().out)
    assert (code, said["passed"]) == (1, False)

    assert command(["verify"], [page], "verify") == 2
    assert "--data" in capsys.readouterr().err
    missing = [page, str(tmp_path / "gone.keras"), "--data", "digits"]
    assert command(["verify"], missing, "verify") == 2
    said = capsys.readouterr().err
    assert "gone.keras" in said
    assert said.rstrip().endswith("check the path")


def test_a_page_without_explanations_is_refused(told, paths, tmp_path, capsys):
    save(dataclasses.replace(told, attributions=()), tmp_path / "run.json")
    arguments = [str(tmp_path / "run.json"), *(str(p) for p in paths), "--data", "digits"]
    assert command(["verify"], arguments, "verify") == 2
    assert "is no page of explain" in capsys.readouterr().err


@pytest.fixture(scope="module")
def of_table(tabular, wine):
    """A page about a table, whose cards have no pictures, and its models."""
    pair = [predictor(tabular, name) for name in ("base", "twin")]
    quick = [EXPLAINERS["shapley"](samples=400)]
    return checked(study(pair, wine, methods=quick, rows=[1, 5, 9])), pair


def test_cards_and_sections_that_were_changed_are_seen(of_table, tmp_path):
    run, _ = of_table
    page = written(run, tmp_path)
    text = page.read_text()
    assert verification.shown(page, verification.page(page))[0].matches is True
    card = text.index('<section id="decisions"')
    for forged, anchor in (
        (text[:card] + text[card:].replace("class_0", "class_2", 1), "decisions"),
        (text.replace('<section id="verdict"', '<section class="x" id="verdict"'), None),
        (text[: text.index('<section id="verdict"')] + text[card:], "verdict"),
    ):
        page.write_text(forged)
        seen = verification.shown(page, verification.page(page))[0]
        assert seen.matches is (anchor is None)
        assert anchor is None or anchor in seen.sentence


@pytest.mark.parametrize("what", ["features", "classes", "data"])
def test_names_that_changed_places_are_seen(what, of_table, wine):
    """Each column would be given the reasons of the other, and each class."""
    run, pair = of_table
    names = {p.name: p for p in pair}
    true = {c.about: c for c in verification.figures(run, names, wine)}
    assert true["names"].matches is True
    told = {} if what == "data" else {**run.data, what: list(reversed(run.data[what]))}
    lying = dataclasses.replace(run, data=told)
    seen = {c.about: c for c in verification.figures(lying, names, wine)}
    assert seen["names"].matches is False
