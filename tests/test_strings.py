import ast
import re
import string
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from toolkit.errors import BadInput
from toolkit.glossary import Finding
from toolkit.report import origin, quantities, strings
from toolkit.run import TITLES, Run, from_json, to_json

REPORT = Path(strings.__file__).parent
TABLE, FINDINGS = (
    tomllib.loads((REPORT / "page" / f"{name}.toml").read_text(encoding="utf-8"))
    for name in ("strings", "findings")
)
IN_TEMPLATES = re.compile(r'\bt\("((?:[^"\\]|\\.)*)"')


def said():
    """Every text that code and templates say, and all strings that stand in a table of texts."""
    for path in REPORT.rglob("*.html"):
        yield from IN_TEMPLATES.findall(path.read_text(encoding="utf-8"))
    for path in REPORT.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            called = isinstance(node, ast.Call) and getattr(node.func, "id", "") == "say"
            if called and isinstance(node.args[0], ast.Constant):
                yield node.args[0].value


def tables():
    """Texts that are said by way of a table: headings, names of figures."""
    from toolkit.report import _PAGES, explanation, index, naming, reasons, words

    yield from TITLES.values()
    yield from (heading for heading, _ in _PAGES.values())
    yield from (title for _, title, _ in index._HEADS)
    yield "Reasons kept ({method}), 0 to 1"
    yield "Cosine of reasons, {method}"
    yield from explanation._QUALITY.values()
    yield from explanation._AGREED.values()
    yield from explanation.HIDDEN
    yield from words.HIDDEN.values()
    yield from naming.NAMELESS.values()
    # kinds and parts of data
    yield from ("tabular", "image", "text", "train", "validation", "calibration", "test")
    yield from reasons._LIKENESS.values()


def fields(text):
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def test_every_text_is_in_the_table_and_no_other():
    assert set(TABLE) == {*said(), *tables()}


def texts_in(path):
    """Every text of a module, and those that `Finding.of` is given there as they stand."""
    every, given = set(), set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            every.add(node.value)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "Finding.of":
            parts = (part for argument in node.args[3:] for part in ast.walk(argument))
            given |= {p.value for p in parts if isinstance(getattr(p, "value", None), str)}
    return every, given - {""}


def test_every_finding_can_be_said():
    every, given = map(set.union, *(texts_in(path) for path in REPORT.parent.rglob("*.py")))
    assert given - set(FINDINGS) == set()
    assert set(FINDINGS) - every == set()


@pytest.mark.parametrize("language", sorted(set(strings.LANGUAGES) - {"en"}))
def test_every_language_has_every_text_with_its_fields(language):
    for text, spoken in (TABLE | FINDINGS).items():
        assert spoken[language].strip() or not text.strip(), text
        assert fields(spoken[language]) == fields(text), text
    # the two are languages of their own
    same = [text for text, spoken in TABLE.items() if spoken[language] == text]
    assert len(same) < 0.03 * len(TABLE), same


def test_a_text_is_said_in_the_language_of_the_page():
    with strings.speaking("zh"):
        assert strings.say("Row {row}", row=7) == "第 7 条"
    assert strings.say("Row {row}", row=7) == "Row 7"


def test_numbers_are_written_as_the_language_does():
    with strings.speaking("de"):
        assert quantities.number(-12345.678, 1) == "−12\u202f345,7"
        assert quantities.interval(0.5, 1.25, 2) == "0,50 bis 1,25"
    assert quantities.number(-12345.678, 1) == "−12,345.7"


def test_an_unknown_language_is_refused_in_a_line():
    with pytest.raises(BadInput, match="choose one of de, en, zh"), strings.speaking("klingon"):
        pass


def test_a_code_means_one_thing():
    """Codes are stable and one a meaning, so that a build may act on one."""
    where = {}
    for path in REPORT.parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("Finding.of", "Finding"):
                where.setdefault(node.args[0].value, set()).add(path.name)
    assert {code: files for code, files in where.items() if len(files) > 1} == {}


def test_a_finding_is_said_with_its_numbers():
    finding = Finding.of(
        "W1",
        "warning",
        "base",
        "The base is right in {right:.1f} % of rows, and over its {classes} classes not clearly "
        "more often than by guessing.",
        right=51.25,
        classes=2,
    )
    run = Run("t", "now", "explain", "base", None, {"classes": ["a", "b"]}, findings=(finding,))
    again = from_json(to_json(run))
    assert again.findings == run.findings
    for one in (run, again):
        with strings.speaking("de"):
            _, _, html = origin.findings(one)
        assert "in 51,2 % der Zeilen richtig" in html
        assert "lang=" not in html
    # what nobody translated stays English, and says so
    foreign = Finding("X9", "info", "base", "Something {else}.", "")
    with strings.speaking("de"):
        _, _, html = origin.findings(replace(run, findings=(foreign,)))
    assert 'lang="en"' in html
    assert "Something {else}." in html
