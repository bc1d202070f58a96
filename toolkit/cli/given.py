"""The command as it was given, for the page that says how to repeat it."""

from __future__ import annotations

import shlex
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
    """A word without the folders of the path in it, if it holds one."""
    option, equal, value = word.partition("=") if word.startswith("-") else ("", "", word)
    path = Path(value)
    there = len(path.parts) > 1 and (path.exists() or path.parent.is_dir())
    return option + equal + (path.name if there else value)
