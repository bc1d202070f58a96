"""The gate: what passes, what fails, and what cannot be told."""

from dataclasses import replace
from xml.etree import ElementTree

import pytest

from toolkit.errors import RecipeError
from toolkit.gate import checked, enough, junit, verdicts
from toolkit.glossary import Measurement
from toolkit.run import Run


def run(*places):
    """A run whose models stand at these places: (subject, value, low, n), or None for no scale."""
    measured = []
    for subject, value, low, n in places:
        measured.append(Measurement(subject, "reason_cosine shapley", 0.9, "", n, 0.8, 1.0))
        measured.append(Measurement(subject, "reason_cosine shapley class:a", 0.1, "", 5, 0, 1))
        if value is not None:
            high = None if low is None else 2 * value - low
            measured.append(Measurement(subject, "reason_place shapley", value, "", n, low, high))
    return Run("t", "now", "explain", "base", None, {}, measurements=tuple(measured))


def test_the_lower_end_of_the_interval_decides():
    good, short = verdicts(run(("good", 0.9, 0.85, 24), ("short", 0.82, 0.7, 24)), 0.8)
    assert (good.passed, good.subject, good.low) == (True, "good", 0.85)
    assert not short.passed
    assert short.sentence == (
        "short beside base by shapley: the agreement of reasons is 0.820 (95 %: 0.700 to 0.940; "
        "0 random, 1 the base beside itself): its lower end does not reach 0.8."
    )


def test_what_cannot_be_told_does_not_pass():
    few, blank, none = verdicts(
        run(("few", 0.99, 0.98, 7), ("blank", 0.99, None, 3), ("none", None, None, 24)), 0.5
    )
    assert not few.passed
    assert "7 rows are too few" in few.sentence
    assert not blank.passed
    assert not none.passed
    assert "no scale" in none.sentence


@pytest.mark.parametrize("who", ["base", "good"])
def test_a_guess_does_not_pass_however_alike_its_reasons_are(who):
    found = run(("good", 0.99, 0.98, 30))
    other = "base" if who == "good" else "good"
    well = Measurement(other, "informedness", 0.8, "", 400, 0.7, 0.9)

    def judged(low):
        chance = Measurement(who, "informedness", 0.02, "", 400, low, 0.06)
        measured = (*found.measurements, well, chance)
        return verdicts(replace(found, measurements=measured), 0.9)[0]

    assert not judged(0.0).passed
    assert f"{who} is not clearly better than guessing" in judged(0.0).sentence
    assert judged(0.001).passed


@pytest.mark.parametrize("least", [0.5, 0.8, 0.9, 0.95])
def test_so_many_rows_that_what_would_fail_is_among_them(least):
    """A share of 1 - least of rows at 0, the others at 1, has its mean at the limit."""
    n = enough(least)
    assert least**n <= 0.05
    assert n == 8 or least ** (n - 1) > 0.05
    (verdict,) = verdicts(run(("good", 0.999, 0.998, n - 1)), least)
    assert not verdict.passed
    assert f"{n - 1} rows are too few for {least:g}, {n} are needed" in verdict.sentence
    assert verdicts(run(("good", 0.999, 0.998, n)), least)[0].passed


def test_junit_is_what_a_build_server_reads(tmp_path):
    names = '<script>"&'
    found = verdicts(run((names, 0.9, 0.85, 24), ("short", 0.82, 0.7, 24)), 0.8)
    suite = ElementTree.parse(junit(found, tmp_path / "gate.xml")).getroot()  # noqa: S314  # our own
    assert suite.tag == "testsuite"
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    first, second = suite.findall("testcase")
    assert (first.get("classname"), first.get("name")) == (names, "shapley")
    assert first.find("failure") is None
    assert second.find("failure").get("message") == found[1].sentence


@pytest.mark.parametrize(
    ("least", "rows"), [(-0.1, 24), (1, 24), (0.8, 13), (0.9, 24), (float("nan"), 24)]
)
def test_limits_with_which_nothing_can_be_said(least, rows):
    with pytest.raises(RecipeError):
        checked(least, rows)
    checked(0.8, 14)


def test_a_run_of_one_model_has_no_verdicts():
    assert verdicts(replace(run(), measurements=()), 0.8) == ()
