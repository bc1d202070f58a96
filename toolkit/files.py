"""Files are written whole or not at all: to a temporary name beside the target, then renamed."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from toolkit.errors import OutputError


def write_with(path: Path, write: Callable[[Path], object]) -> Path:
    """Let `write` fill a temporary file in the folder of `path`, then give it that name.

    The temporary name keeps the suffix, which some writers look at. Raises OutputError when the
    place cannot be written or the disk is full; then nothing is left behind.
    """
    path = Path(path)
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise IsADirectoryError(f"{path} is a folder")
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".writing-", suffix=path.suffix)
        os.close(handle)
        temporary = Path(name)
        write(temporary)
        # mkstemp makes a private file; the result gets the rights any new file would have
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)
        temporary.replace(path)
    except OSError as error:
        raise OutputError(
            f"cannot write {path} ({error.strerror or error})",
            "a file in a writable folder with room on its disk",
            "choose another place",
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
    return path


def write_bytes(path: Path, content: bytes) -> Path:
    """Write `content` to `path`, whole or not at all."""
    return write_with(path, lambda temporary: temporary.write_bytes(content))


def write_text(path: Path, content: str) -> Path:
    """Write `content` to `path` as UTF-8, whole or not at all."""
    return write_bytes(path, content.encode("utf-8"))


def writable_folder(path: Path) -> Path:
    """Make the folder `path` and prove that it can be written, before long work starts."""
    if Path(path).is_file():
        raise OutputError(f"{path} is a file", "a folder", "name another, or remove it")
    write_bytes(Path(path) / ".writable", b"")
    (Path(path) / ".writable").unlink()
    return Path(path)


def spared(made: Iterable[Path], read: Iterable[Path]) -> None:
    """Raise OutputError where a file to write is a folder, or one of those that are read."""
    there = [path for path in read if path.exists()]
    for out in made:
        if out.is_dir():
            raise OutputError(f"{out} is a folder", "a file to write", "name one in it")
        if out.exists() and any(out.samefile(path) for path in there):
            raise OutputError(f"{out} is what is read", "another file", "write somewhere else")


def sha256(path: Path) -> str:
    """The SHA-256 of the file at `path`, in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
