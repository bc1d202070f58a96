"""Run -> self-contained HTML pages: nothing from the network, all text escaped, whole unscripted.

To add a section: a function in `compression.py`, `explanation.py` or `reasons.py`, and its name in
the list there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from markupsafe import Markup, escape

from toolkit.files import write_text
from toolkit.report import compression, explanation, naming, reasons
from toolkit.report.data import slim
from toolkit.report.index import Links, beside, listing
from toolkit.report.quantities import number
from toolkit.report.strings import LANGUAGES, language, say, speaking
from toolkit.report.templates import (
    embedded,
    rendered,
    script,
    script_hash,
    script_words,
    style,
)
from toolkit.report.words import verdict
from toolkit.run import TITLES, Run, to_json

__all__ = [
    "pages",
    "render",
    "sections",
    "shown",
    "title_of",
    "verdict",
    "write",
    "write_comparison",
    "write_index",
    "write_page",
]

Page = Literal["compression", "explanation", "reasons"]
Section = Callable[[Run], tuple[str, str, Markup] | None]
"""Run -> anchor, title and safe HTML, or None where the Run has nothing for it."""

_PAGES: dict[Page, tuple[str, tuple[Section, ...]]] = {
    "compression": ("What compression cost", compression.SECTIONS),
    "explanation": ("Why it decides so", explanation.SECTIONS),
    "reasons": ("For the same reasons?", reasons.SECTIONS),
}


def write(run: Run, folder: str | Path, *, lang: str = "en") -> tuple[Path, ...]:
    """Write the pages that the run has results for, linked to each other, into `folder`.

    lang: "en", "de" or "zh". Raises BadInput for another, OutputError where it cannot be written.
    """
    folder = Path(folder)
    names = pages(run)
    return tuple(
        write_page(run, page, folder / f"{page}.html", beside=names, lang=lang) for page in names
    )


def pages(run: Run) -> list[Page]:
    """The pages that the run has results for."""
    found: list[Page] = []
    if run.artifacts:
        found.append("compression")
    if run.decisions:
        found.append("explanation")
    if any(a.subject != run.base for a in run.attributions):
        found.append("reasons")
    return found


def write_page(
    run: Run, page: Page, path: Path, *, beside: Sequence[Page] = (), lang: str = "en"
) -> Path:
    """Write one page, whole or not at all; `beside` names pages in the same folder to link to."""
    return write_text(path, render(run, page, beside=beside, lang=lang))


def render(run: Run, page: Page, *, beside: Sequence[Page] = (), lang: str = "en") -> str:
    """One page as HTML text; the explanation page holds the reasons too where it stands alone."""
    heading, sections = _PAGES[page]
    if page == "explanation" and "reasons" not in beside:
        sections = _with_reasons(sections)
    with speaking(lang):
        seen = naming.shown(run)
        found = [section for make in sections if (section := make(seen)) is not None]
        links = [(f"{other}.html", say(_PAGES[other][0])) for other in beside if other != page]
        rows = number(run.data["rows"]["test"], 0) if "rows" in run.data else ""
        meta = say(
            "{when} · data {name}, {rows} test rows · seed {seed}",
            when=run.created,
            name=run.data.get("name", ""),
            rows=rows,
            seed=run.seeds.get("seed", "–"),
        )
        data = embedded(to_json(slim(run)))
        return framed(say(heading), _titled(run.title), meta, found, links=links, data=data)


def sections(run: Run, *, lang: str = "en") -> dict[str, dict[str, str]]:
    """Page -> anchor -> the HTML of that section; "alone" is an explanation with the reasons."""
    every: dict[str, tuple[Section, ...]] = {page: made for page, (_, made) in _PAGES.items()}
    every["alone"] = _with_reasons(every["explanation"])
    with speaking(lang):
        seen = naming.shown(run)
        return {
            page: {s[0]: str(s[2]) for make in made if (s := make(seen)) is not None}
            for page, made in every.items()
        }


def framed(
    heading: str,
    title: str,
    meta: str,
    sections: Sequence[tuple[str, str, Markup]],
    *,
    links: Sequence[tuple[str, str]] = (),
    data: Markup | None = None,
) -> str:
    """A whole page in the language spoken here; data: JSON that it carries."""
    return str(
        rendered(
            "page.html",
            tag=LANGUAGES[language()],
            heading=heading,
            title=title,
            meta=meta,
            sections=sections,
            links=links,
            data=data,
            words=script_words(),
            style=Markup(style()),  # noqa: S704  # our own file
            script=Markup(script()),  # noqa: S704  # our own file
            script_hash=script_hash(),
        )
    )


def write_index(
    runs: Mapping[str, Run], links: Mapping[str, Links], path: Path, *, lang: str = "en"
) -> Path:
    """Write the page that lists Runs; links: address and heading, by `title_of`, of their pages."""
    with speaking(lang):
        spoken = {name: [(href, say(title)) for href, title in links[name]] for name in runs}
        sections = listing(runs, spoken)
        meta = say("Runs: {n}", n=len(runs))
        return write_text(path, framed(say("All runs"), path.resolve().parent.name, meta, sections))


def write_comparison(
    names: tuple[str, str], one: Run, other: Run, path: Path, *, lang: str = "en"
) -> Path:
    """Write the page that sets two Runs beside each other, under the names given."""
    with speaking(lang):
        heading, title = say("Two runs beside each other"), " / ".join(names)
        meta = f"{one.created} / {other.created}"
        return write_text(path, framed(heading, title, meta, beside(names, one, other)))


def title_of(page: Page) -> str:
    """The heading of a page, in English."""
    return _PAGES[page][0]


def shown(run: Run, *, lang: str = "en") -> str:
    """The run's first page in a frame of its own, as a notebook shows it."""
    page = (pages(run) or ["explanation"])[0]
    return (
        '<iframe sandbox="allow-scripts allow-downloads" style="width:100%;height:75vh;border:0" '
        f'title="{escape(run.title)}" srcdoc="{escape(render(run, page, lang=lang))}"></iframe>'
    )


def _titled(title: str) -> str:
    """In the language of the page, but for a title that somebody thought of."""
    name, colon, words = title.rpartition(": ")
    return f"{name}{colon}{say(words)}" if words in TITLES.values() else title


def _with_reasons(sections: tuple[Section, ...]) -> tuple[Section, ...]:
    """The reasons after the decisions, before what every page ends with."""
    return (*sections[:3], *reasons.WITHIN, *sections[3:])
