import ast
import re
import string
import tomllib
from pathlib import Path

import pytest

from toolkit.errors import BadInput
from toolkit.report import quantities, strings

REPORT = Path(strings.__file__).parent
TABLE = tomllib.loads((REPORT / "page" / "strings.toml").read_text(encoding="utf-8"))
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
    from toolkit.report import _PAGES, explanation, index, reasons

    yield from (heading for heading, _ in _PAGES.values())
    yield from (title for _, title, _ in index._HEADS)
    yield "Reasons kept ({method}), 0 to 1"
    yield "Cosine of reasons, {method}"
    yield from explanation._QUALITY.values()
    yield from explanation._AGREED.values()
    yield from explanation.HIDDEN
    yield from reasons._LIKENESS.values()


def fields(text):
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def test_every_text_is_in_the_table_and_no_other():
    assert set(TABLE) == {*said(), *tables()}


@pytest.mark.parametrize("language", sorted(set(strings.LANGUAGES) - {"en"}))
def test_every_language_has_every_text_with_its_fields(language):
    for text, spoken in TABLE.items():
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
