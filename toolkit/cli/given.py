"""The command as it was given, for the page that says how to repeat it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from toolkit.run import Run

_words: ContextVar[tuple[str, ...]] = ContextVar("words", default=())


def keep(program: str, arguments: list[str]) -> None:
    """Keep the words of this call."""
    _words.set((program, *arguments))


def command() -> str:
    """The words of this call; where files lie is nobody else's business, so by name alone."""
    return shlex.join(map(_named, _words.get()))


def noted(run: Run) -> Run:
    """The run with the command."""
    return replace(run, settings={**run.settings, "command": command()})


def _named(word: str) -> str:
    """A word without the folders of the path in it, or of the paths joined by commas."""
    option, equal, value = word.partition("=") if word.startswith("-") else ("", "", word)
    return option + equal + ",".join(map(_alone, value.split(",")))


def _alone(value: str) -> str:
    path = Path(value)
    there = len(path.parts) > 1 and (path.exists() or path.parent.is_dir())
    return path.name if there else value


def apart(paths: Sequence[Path]) -> list[str]:
    """A name for each file: without its folder, which is added where two are called alike.

    >>> apart([Path("a/model.onnx"), Path("b/model.onnx"), Path("small.onnx")])
    ['model (a)', 'model (b)', 'small']
    """
    stems = [path.stem for path in paths]
    if len(set(stems)) == len(stems):
        return stems
    whole = [path.absolute() for path in paths]
    twice = [stems.count(stem) > 1 for stem in stems]
    for n in range(len(max(whole, key=lambda p: len(p.parts)).parts)):
        folders = ["-".join(p.parts[-n - 1 : -1]) for p in whole]
        for ends in ([""] * len(whole), [p.suffix.lstrip(".") for p in whole]):
            more = ["-".join(filter(None, both)) for both in zip(folders, ends, strict=True)]
            named = [f"{s} ({m})" if t else s for s, m, t in zip(stems, more, twice, strict=True)]
            if all(more) and len(set(named)) == len(named):
                return named
    return stems
