"""`toolkit verify`: whether what somebody sent is whole and holds what it says."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from toolkit.cli import options, screen


def verify(
    file: Annotated[Path, typer.Argument(help="A bundle.zip that compress --bundle wrote.")],
    *,
    as_json: options.AsJson = False,
) -> int:
    """Check a bundle: every file by its hash, the answers to its samples on this machine.

    Example: toolkit verify bundle.zip

    Nothing in the bundle is run. Exit code 1 when a file was changed or an answer differs.
    """
    return _bundle(file, as_json=as_json)


def _bundle(file: Path, *, as_json: bool) -> int:
    from toolkit.bundle import verify as verified
    from toolkit.bundle.device import told

    found = verified(file)
    if as_json:
        screen.say_json({**asdict(found), "passed": found.passed})
        return 0 if found.passed else 1
    screen.say(f"{found.name}: SHA-256 of the bundle {found.sha256}")
    for name, what in found.altered.items():
        screen.say(f"{name} {what}")
    if found.replay is not None:
        screen.say(f"{found.files} files are whole")
        screen.say(told(found.replay))
    if not found.ours:
        screen.say("run.py is not the script of this version of the toolkit; it was not run")
    screen.say("verified" if found.passed else "not verified: do not use it")
    return 0 if found.passed else 1
