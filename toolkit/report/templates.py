"""The Jinja2 templates of the pages, autoescaped; what a section passes in is text or Markup."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from toolkit.report import quantities, words

FOLDER = Path(__file__).parent / "page"


@cache
def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["plain"] = quantities.plain
    made.filters["number"] = quantities.number
    made.filters["method"] = words.name_of
    made.filters["figure"] = words.figure
    made.filters["ends"] = words.ends
    return made


def rendered(name: str, **values: Any) -> Markup:
    """A template of the folder `page` with its values filled in."""
    return Markup(_environment().get_template(name).render(**values))  # noqa: S704  # autoescaped


@cache
def style() -> str:
    """The style sheet of every page."""
    return (FOLDER / "style.css").read_text(encoding="utf-8")
