"""The Jinja2 templates of the pages, autoescaped; what a section passes in is text or Markup."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import zlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from toolkit.report import quantities, words
from toolkit.report.strings import isolated, say

FOLDER = Path(__file__).parent / "page"


@cache
def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=isolated,
    )
    made.globals["t"] = say
    made.filters["plain"] = quantities.plain
    made.filters["number"] = quantities.number
    made.filters["probability"] = quantities.probability
    made.filters["signed"] = quantities.signed
    made.filters["share"] = quantities.share
    made.filters["similarity"] = quantities.similarity
    made.filters["count"] = lambda n: quantities.number(n, 0)
    made.filters["method"] = words.name_of
    made.filters["figure"] = words.figure
    made.filters["ends"] = words.ends
    made.filters["slug"] = slug
    made.filters["likeness"] = words.likeness
    made.filters["likeness_ends"] = words.likeness_ends
    made.filters["sortable"] = words.sortable
    return made


def slug(text: str) -> str:
    """A text as part of an anchor: letters and digits, and a number that keeps others apart.

    >>> slug("int8"), slug("a b/c")
    ('int8', 'a-b-c-111f')
    """
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", text)
    return plain if plain == text else f"{plain}-{zlib.crc32(text.encode('utf-8')) & 0xFFFF:x}"


def rendered(name: str, /, **values: Any) -> Markup:
    """A template of the folder `page` with its values filled in."""
    return Markup(_environment().get_template(name).render(**values))  # noqa: S704  # autoescaped


def figure(
    drawing: Markup,
    name: str,
    caption: str,
    columns: Sequence[str] = (),
    rows: Sequence[Sequence[str]] = (),
) -> Markup:
    """A chart with its caption and, folded away, its figures as a table of `columns`."""
    wide = 'class="wide"' in drawing
    return rendered(
        "figure.html",
        drawing=drawing,
        name=name,
        caption=caption,
        columns=columns,
        rows=rows,
        scrolls=wide,
        kind="",
    )


@cache
def style() -> str:
    """The style sheet of every page."""
    return (FOLDER / "style.css").read_text(encoding="utf-8")


@cache
def script() -> str:
    """The script of every page."""
    return (FOLDER / "page.js").read_text(encoding="utf-8")


@cache
def script_hash() -> str:
    """What a Content-Security-Policy knows our script by, so that no other runs."""
    digest = hashlib.sha256(script().encode("utf-8")).digest()
    return f"sha256-{base64.b64encode(digest).decode('ascii')}"


def embedded(text: str) -> Markup:
    r"""JSON text as it may stand inside a <script> element: nothing in it ends the element.

    >>> print(embedded('{"a": "</script><b>"}'))
    {"a": "\u003c/script\u003e\u003cb\u003e"}
    """
    for code in (ord("<"), ord(">"), ord("&"), 0x2028, 0x2029):
        text = text.replace(chr(code), f"\\u{code:04x}")
    return Markup(text)  # noqa: S704  # no mark-up can be left in it


def script_words() -> Markup:
    """What the script says, in the language of the page."""
    return embedded(
        json.dumps(
            {
                "dark": say("Dark"),
                "light": say("Light"),
                "save": say("Save the data (JSON)"),
                "shown": say("{n} of {all} shown"),
            },
            ensure_ascii=False,
        )
    )
