"""The words of the pages in the languages they are shown in: one table, `page/strings.toml`.

The English text is its own key, so that code and templates read as the page does; findings, which
a Run holds as texts and values, have a table of their own, `page/findings.toml`. Names stay.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import Any

from toolkit.errors import BadInput, near

LANGUAGES = {"en": "en", "de": "de", "zh": "zh-Hans"}
"""The names that `--lang` takes -> the tag of the page."""

_NOW: ContextVar[str] = ContextVar("language", default="en")


def say(text: str, **values: Any) -> str:
    """The text in the language of this page, its {fields} filled in.

    >>> with speaking("de"):
    ...     say("{n} pictures", n=3)
    '3 Bilder'
    """
    spoken = _table().get(text, {}).get(_NOW.get(), text)
    return spoken.format(**values) if values else spoken


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
