"""What the commands show: a progress bar on a terminal, a closing summary, or JSON."""

from __future__ import annotations

import json
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from toolkit.progress import also, listening

RECENT = 6
"""Finished bars that stay on the screen, so that the running one is never below its edge."""


_heard = threading.Event()


@contextmanager
def interrupts() -> Iterator[None]:
    """Remember Ctrl-C: one that arrives inside a callback of native code would be lost there.

    What shows progress raises KeyboardInterrupt again when work next tells of itself.
    """

    def hear(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        _heard.set()
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, hear)
    _heard.clear()
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        _heard.clear()


def _going_on(*_: object) -> None:
    if _heard.is_set():
        raise KeyboardInterrupt


@contextmanager
def progress() -> Iterator[None]:
    """Draw what long work tells on stderr when that is a terminal; in a pipe draw nothing."""
    if not sys.stderr.isatty():
        with also(_going_on):
            yield
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TaskID,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    bar = Progress(
        TextColumn("{task.description:<22}", style="bold"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
    tasks: dict[str, TaskID] = {}

    def show(name: str, done: int, total: int) -> None:
        _going_on()
        if name not in tasks or bar.tasks[tasks[name]].total != total:
            # what was done before the bar began says nothing of the speed
            tasks[name] = bar.add_task(name, total=total, completed=done)
            for old in [t for t in bar.tasks if t.finished][:-RECENT]:
                bar.update(old.id, visible=False)
        bar.update(tasks[name], completed=done)

    with bar, listening(show):
        yield


def say(text: str = "") -> None:
    """Print a line of the summary."""
    print(text)  # noqa: T201


def note(text: str) -> None:
    """Print a line beside the summary, which a program that reads stdout does not get."""
    print(text, file=sys.stderr)  # noqa: T201


def say_json(value: dict[str, Any]) -> None:
    """Print a result for a program."""
    print(json.dumps(value, indent=1, allow_nan=False))  # noqa: T201


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """Columns in plain text: the first to the left, figures to the right.

    >>> print(table(("model", "bytes"), [("base", "5,832"), ("int8", "980")]))
    model  bytes
    base   5,832
    int8     980
    """
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    lines = []
    for row in (head, *rows):
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
