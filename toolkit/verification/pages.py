"""What a page carries, and whether it shows just that."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

from toolkit import provenance, report
from toolkit.errors import DataError
from toolkit.report.strings import LANGUAGES
from toolkit.run import Run, from_json


@dataclass(frozen=True)
class Checked:
    """One thing that a page says, and whether it matches; None where it is only told."""

    about: str
    matches: bool | None
    sentence: str


def page(path: Path) -> Run:
    """The Run that a page, or the .json beside it, was made from.

    Raises DataError when there is none.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read {path}", "a page or its .json", "give its path") from error
    if path.suffix in (".html", ".htm"):
        found = _Script()
        found.feed(text)
        text = "".join(found.parts)
        if not text:
            raise DataError(
                f"{path} carries no run", "a page of this version", "give the .json beside it"
            )
    return from_json(text)


def shown(path: Path, run: Run) -> tuple[Checked, ...]:
    """Whether a page has all the sections of the Run that it carries, as that makes them.

    A page carries no pictures: sections that show some are told and not compared. Nothing of a
    .json, which shows nothing. A page of another version may be written otherwise: that is said.
    """
    if path.suffix not in (".html", ".htm"):
        return ()
    text = path.read_text(encoding="utf-8")
    tag = re.search(r'<html lang="([^"]*)"', text)
    lang = next((name for name, its in LANGUAGES.items() if tag and its == tag[1]), "en")
    made = report.sections(run, lang=lang)
    # a page is one of those that a Run can have: the one with most of its sections
    there = set(re.findall(r'<section[^>]*\bid="([^"]+)"', text))
    page = max(made, key=lambda name: (len(there & set(made[name])), -len(set(made[name]) - there)))
    drawn = () if run.data.get("kind") != "image" else _PICTURED
    other = [a for a, html in made[page].items() if a not in drawn and html not in text]
    if other:
        said = f"what the page shows under {', '.join(other)} is not what it carries"
        then, now = run.versions.get(PACKAGE), provenance.versions()[PACKAGE]
        if then != now:
            said += (
                f", as version {now} writes it; the page names version {then}: verify it by that"
            )
        return (Checked("shown", False, said),)
    count = len(made[page].keys() - set(drawn))
    found = [Checked("shown", True, f"{count} sections show what the page carries")]
    left = sorted(there - (made[page].keys() - set(drawn)))
    if left:
        said = f"pictures and what is not carried are not compared: {', '.join(left)}"
        found.append(Checked("pictures", None, said))
    return tuple(found)


PACKAGE = "keras-edge-toolkit"
"""What the versions of a Run call this toolkit."""

_PICTURED = ("decisions", "overall", "worst", "disagreements")
"""Sections of a page about pictures that show some."""


class _Script(HTMLParser):
    """Collects what stands in <script type="application/json" id="run">."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)
        self.parts: list[str] = []
        self._inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Notice where the run begins."""
        about = dict(attrs)
        self._inside = (
            tag == "script" and about.get("id") == "run" and about.get("type") == "application/json"
        )

    def handle_endtag(self, tag: str) -> None:  # noqa: ARG002  # the parser calls it so
        """Notice where it ends."""
        self._inside = False

    def handle_data(self, data: str) -> None:
        """Keep what stands between."""
        if self._inside:
            self.parts.append(data)
