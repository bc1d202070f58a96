"""`toolkit report`: the pages of saved Runs again, an index of a folder, two Runs compared."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import typer

from toolkit.cli import options, screen

if TYPE_CHECKING:  # it loads numpy, and help is quick
    from toolkit.run import Run

_DEEPEST = 3
"""Folders below the one given in which Runs are looked for."""


def report(
    paths: Annotated[
        list[Path], typer.Argument(help="A run.json, a folder of them, or two to compare.")
    ],
    *,
    out: Annotated[
        Path | None, typer.Option("--out", help="Where pages go; else beside the Run.")
    ] = None,
    lang: options.Lang = "en",
    as_json: options.AsJson = False,
) -> int:
    """Make the pages of a saved Run again, of all Runs in a folder, or compare two Runs.

    Example: toolkit report results --lang de

    A folder gets an index.html that links the pages of every Run below it.
    """
    from toolkit.errors import DataError
    from toolkit.run import load

    if len(paths) == 2:
        made = _compared(paths[0], paths[1], out, lang)
    elif len(paths) > 2:
        raise DataError(f"{len(paths)} paths", "a Run, a folder, or two Runs", "give fewer")
    elif paths[0].is_dir():
        made = _folder(paths[0], out, lang)
    else:
        made = _again(load(paths[0]), paths[0], out, lang)
    if as_json:
        screen.say_json({"pages": [str(path) for path in made]})
    else:
        for path in made:
            screen.say(f"page: {path}")
    return 0


def _again(run: Run, path: Path, out: Path | None, lang: str) -> list[Path]:
    """The pages of a Run at `path`: those of a job, or the one that `explain --out` wrote."""
    from toolkit import report as pages
    from toolkit.errors import DataError, OutputError

    if out is not None and out.suffix in (".html", ".htm"):
        page: Any = next(iter(pages.pages(run)), None)
        if page is None:
            raise DataError(
                f"{path} has nothing to show", "a run with figures", "run the job again"
            )
        if len(pages.pages(run)) > 1 and run.artifacts:
            raise OutputError(f"one file {out} for several pages", "a folder", "name a folder")
        return [pages.write_page(run, "explanation" if run.decisions else page, out, lang=lang)]
    if not run.artifacts and path.stem != "run" and out is None:
        name = path.with_suffix(".html")
        return [pages.write_page(run, "explanation", name, lang=lang)]
    # beside a run.json; any other name gets a folder of its own, since pages have fixed names
    folder = path.parent if path.stem == "run" else path.with_suffix("")
    return list(pages.write(run, out or folder, lang=lang))


def _folder(folder: Path, out: Path | None, lang: str) -> list[Path]:
    """The pages of every Run below a folder, and its index; `out` has the same folders in it."""
    from toolkit import report as pages
    from toolkit.errors import DataError, OutputError
    from toolkit.run import is_run, load

    if out is not None and out.suffix in (".html", ".htm"):
        raise OutputError(f"one file {out} for several pages", "a folder", "name a folder")
    top = out or folder
    found = [
        path
        for path in sorted(folder.rglob("*.json"))
        if len(path.relative_to(folder).parts) <= _DEEPEST + 1 and is_run(path)
    ]
    if not found:
        raise DataError(f"no Run in {folder}", "a folder with a run.json", "name another folder")
    made: list[Path] = []
    runs, links = {}, {}
    for path in found:
        run, below = load(path), path.relative_to(folder)
        own = _again(run, path, None if out is None else _beneath(run, out / below), lang)
        name = str(below.with_suffix("")).removesuffix("/run")
        runs[name] = run
        links[name] = [
            (f"./{quote(page.relative_to(top).as_posix())}", pages.title_of(_page_of(page)))
            for page in own
        ]
        made += own
    return [pages.write_index(runs, links, top / "index.html", lang=lang), *made]


def _beneath(run: Run, where: Path) -> Path:
    """Where the pages of a Run go that would lie at `where`: a folder, or one page by itself."""
    if where.stem == "run":
        return where.parent
    return where.with_suffix("" if run.artifacts else ".html")


def _page_of(path: Path) -> Any:
    known = ("compression", "explanation", "reasons")
    return path.stem if path.stem in known else "explanation"


def _compared(one: Path, other: Path, out: Path | None, lang: str) -> list[Path]:
    from toolkit import report as pages
    from toolkit.errors import OutputError
    from toolkit.run import load

    if out is None or out.suffix not in (".html", ".htm"):
        raise OutputError(
            f"--out {out or 'is not given'}", "a name that ends in .html", "add --out compare.html"
        )
    # a folder stands for the run.json in it
    first, second = (p / "run.json" if p.is_dir() else p for p in (one, other))
    short = one.name, other.name
    names = short if len(set(short)) == 2 else (str(one), str(other))
    return [pages.write_comparison(names, load(first), load(second), out, lang=lang)]
