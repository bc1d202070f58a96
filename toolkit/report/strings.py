"""The words of the pages in the languages they are shown in: one table, `page/strings.toml`.

The English text is its own key, so that code and templates read as the page does; findings, which
a Run holds as texts and values, have a table of their own, `page/findings.toml`. Names stay.
"""

from __future__ import annotations

import tomllib
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import Any

from toolkit.errors import BadInput, near

LANGUAGES = {"en": "en", "de": "de", "zh": "zh-Hans"}
"""The names that `--lang` takes -> the tag of the page."""

_FSI, _PDI, _ENDING = "\u2068", "\u2069", "\u2069\u202c"
_TURNING = {"R", "AL", "RLE", "RLO", "RLI", "LRE", "LRO", "LRI", "FSI", "PDF", "PDI"}

_NOW: ContextVar[str] = ContextVar("language", default="en")


def say(text: str, **values: Any) -> str:
    """The text in the language of this page, its {fields} filled in, each `isolated`.

    >>> with speaking("de"):
    ...     say("{n} pictures", n=3)
    '3 Bilder'
    """
    spoken = _table().get(text, {}).get(_NOW.get(), text)
    if not values:
        return spoken
    return spoken.format(**{name: isolated(value) for name, value in values.items()})


def isolated(value: Any) -> Any:
    r"""A text, apart from what stands beside it where it would turn that around; else the value.

    What is written from right to left, or changes the direction, stands between FSI and PDI
    (Unicode Annex 9), so that signs and figures beside it stay where they are.

    >>> isolated("film"), isolated("\u05e9\u05dc"), isolated(3)
    ('film', '\u2068\u05e9\u05dc\u2069', 3)
    """
    if type(value) is not str or value.isascii():
        return value
    turning = {unicodedata.bidirectional(c) for c in value} & _TURNING
    if not turning or value.count(_FSI) == value.count(_PDI) > 0:
        # or made of parts that are
        return value
    # what ends more than it began would end this as well
    return f"{_FSI}{''.join(c for c in value if c not in _ENDING)}{_PDI}"


def spoken(text: str) -> bool:
    """Whether the text can be said in the language of this page."""
    return language() == "en" or not text or language() in _table().get(text, {})


def language() -> str:
    """The language of this page: a key of LANGUAGES."""
    return _NOW.get()


def known(language: str) -> str:
    """The language, where there is a table of it.

    Raises BadInput for another.
    """
    if language not in LANGUAGES:
        raise BadInput(f"language '{language}'", near(language, LANGUAGES), "take one of these")
    return language


@contextmanager
def speaking(language: str) -> Iterator[None]:
    """What is said inside is said in `language`.

    Raises BadInput for a language without a table.
    """
    token = _NOW.set(known(language))
    try:
        yield
    finally:
        _NOW.reset(token)


@cache
def _table() -> dict[str, dict[str, str]]:
    folder = Path(__file__).parent / "page"
    tables = [folder / name for name in ("strings.toml", "findings.toml")]
    return {k: v for t in tables for k, v in tomllib.loads(t.read_text(encoding="utf-8")).items()}
