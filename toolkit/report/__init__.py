"""Run -> self-contained HTML pages: no script, nothing from the network, all text escaped.

To add a section: a function in `compression.py` or `explanation.py`, and its name in the list
there.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from markupsafe import Markup

from toolkit.files import write_text
from toolkit.report import compression, explanation
from toolkit.report.templates import rendered, style
from toolkit.report.words import verdict
from toolkit.run import Run

__all__ = ["render", "verdict", "write", "write_page"]

Page = Literal["compression", "explanation"]
Section = Callable[[Run], tuple[str, str, Markup] | None]
"""Run -> anchor, title and safe HTML, or None where the Run has nothing for it."""

_PAGES: dict[Page, tuple[str, tuple[Section, ...]]] = {
    "compression": ("What compression cost", compression.SECTIONS),
    "explanation": ("Why it decides so", explanation.SECTIONS),
}


def write(run: Run, folder: Path) -> tuple[Path, ...]:
    """Write the pages that the run has results for, linked to each other, into `folder`."""
    pages: list[Page] = []
    if run.artifacts:
        pages.append("compression")
    if run.decisions:
        pages.append("explanation")
    return tuple(
        write_page(run, page, folder / f"{page}.html", beside=[p for p in pages if p != page])
        for page in pages
    )


def write_page(run: Run, page: Page, path: Path, *, beside: list[Page] | None = None) -> Path:
    """Write one page, whole or not at all; `beside` names pages in the same folder to link to."""
    return write_text(path, render(run, page, beside=beside))


def render(run: Run, page: Page, *, beside: list[Page] | None = None) -> str:
    """One page as HTML text."""
    heading, sections = _PAGES[page]
    found = [section for make in sections if (section := make(run)) is not None]
    links = [(f"{other}.html", _PAGES[other][0]) for other in beside or ()]
    return str(
        rendered(
            "page.html",
            run=run,
            heading=heading,
            sections=found,
            links=links,
            style=Markup(style()),  # noqa: S704  # our own file
        )
    )
