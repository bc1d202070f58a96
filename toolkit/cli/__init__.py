"""The commands: parse, call, print. Frameworks are imported inside them, so that help is quick.

Exit codes: 0 done, 1 a gate failed, 2 bad input, 130 interrupted.
"""

from __future__ import annotations

import io
import os
import sys
import warnings
from collections.abc import Callable
from typing import Any

import typer

from toolkit.cli import (
    compressing,
    demonstrating,
    explaining,
    given,
    measuring,
    reporting,
    screen,
    training,
    verifying,
)
from toolkit.errors import ToolkitError

_COMMANDS: dict[str, Callable[..., int]] = {
    "train": training.train,
    "compress": compressing.compress,
    "explain": explaining.explain,
    "measure": measuring.measure,
    "verify": verifying.verify,
    "report": reporting.report,
    "demo": demonstrating.demo,
}


INTERRUPTED = 130


def main() -> None:
    """Run `toolkit COMMAND`."""
    _silence_native()
    sys.exit(run(list(_COMMANDS), sys.argv[1:], "toolkit"))


def compress() -> None:
    """Run `compress`."""
    _silence_native()
    sys.exit(run(["compress"], sys.argv[1:], "compress"))


def explain() -> None:
    """Run `explain`."""
    _silence_native()
    sys.exit(run(["explain"], sys.argv[1:], "explain"))


def run(names: list[str], arguments: list[str], program: str) -> int:
    """Run one of the commands `names` and give its exit code; every refusal is one line."""
    _quiet()
    if isinstance(sys.stdout, io.TextIOWrapper):
        # a terminal that has no letters for a name shows a question mark
        sys.stdout.reconfigure(errors="replace")
    given.keep(program, arguments)
    if (names if len(names) == 1 else arguments)[:1] not in (["train"], ["compress"]):
        # they take --devices; nothing else is worth waking a GPU for
        os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    app = typer.Typer(
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        no_args_is_help=True,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
        help="Make Keras classifiers small, measure what it cost, and show why they decide.",
    )
    for name in names:
        app.command(name, no_args_is_help=name != "demo")(_COMMANDS[name])
    command = typer.main.get_command(app)
    try:
        with screen.interrupts():
            code: Any = command.main(arguments, prog_name=program, standalone_mode=False)
        sys.stdout.flush()
        if code == INTERRUPTED:  # typer has caught it
            raise KeyboardInterrupt
        return int(code or 0)
    except ToolkitError as error:
        print(f"{program}: {error}", file=sys.stderr)  # noqa: T201
        return 2
    except (KeyboardInterrupt, typer.Abort):
        print(f"{program}: interrupted, nothing half-written", file=sys.stderr)  # noqa: T201
        return INTERRUPTED
    except OSError as error:
        return _unread(program, error)
    except Exception as error:
        # typer's own refusals: an unknown option, a value of the wrong type, no command
        if not hasattr(error, "format_message"):
            raise
        if type(error).__name__ == "NoArgsIsHelpError":
            typer.echo(error.format_message())
            return 0
        text = " ".join(error.format_message().split())
        if text:
            print(f"{program}: {text} Try: {program} --help", file=sys.stderr)  # noqa: T201
        return 2 if text else 0


def _unread(program: str, error: OSError) -> int:
    """What the system did not let pass: a file, a folder, a full disk, a reader who is gone."""
    if not error.filename:
        # what is left to print goes nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if isinstance(error, BrokenPipeError):
        return 0
    where = error.filename or "standard output"
    text = f"{where} ({error.strerror or error}); a place to read and write; check rights and room"
    print(f"{program}: {text}", file=sys.stderr)  # noqa: T201
    return 2


def _silence_native() -> None:
    """Send what TensorFlow's C++ writes past Python to nowhere; errors come through sys.stderr.

    It logs a page about devices and libraries before any setting of it is read.
    """
    sys.stderr = os.fdopen(os.dup(2), "w", buffering=1, encoding="utf-8", errors="replace")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)


def _quiet() -> None:
    """Keep the frameworks' own talk off the screen; it must be set before they are imported."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    warnings.simplefilter("ignore")
    import logging

    logging.disable(logging.WARNING)
