"""Zip files: the same bytes for the same content, and read only when nothing in them is a trap."""

from __future__ import annotations

import io
import lzma
import re
import stat
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

from toolkit.errors import DataError

MOST_BYTES = 2**30
"""All members together, unpacked."""

MOST_MEMBERS = 64

_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a zip can tell; the true one would make every file another."""


def zipped(files: Mapping[str, bytes]) -> bytes:
    """A zip of `files`, in their order; equal content gives equal bytes under one zlib.

    >>> zipped({"a.txt": b"a"}) == zipped({"a.txt": b"a"})
    True
    """
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, content in files.items():
            member = zipfile.ZipInfo(name, _EPOCH)
            member.compress_type = zipfile.ZIP_DEFLATED
            member.create_system = 3  # whatever system writes it
            member.external_attr = (stat.S_IFREG | 0o644) << 16
            archive.writestr(member, content)
    return out.getvalue()


def unzipped(path: Path) -> dict[str, bytes]:
    """The members of a zip, all of them plain files at its top.

    Raises DataError for what is no zip, is damaged or encrypted, holds folders, links, names twice,
    more than `MOST_MEMBERS` members or unpacks to more than `MOST_BYTES`.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            _guarded(path, members)
            return {member.filename: _read(archive, member) for member in members}
    except FileNotFoundError as error:
        raise DataError(f"no file at {path}", "a bundle.zip", "check the path") from error
    except (
        *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, UnicodeDecodeError),
        *(OSError, EOFError, NotImplementedError),
    ) as error:
        raise DataError(
            f"{path} is not a whole zip ({error})", "a bundle that compress wrote", "copy it again"
        ) from error


def _guarded(path: Path, members: list[zipfile.ZipInfo]) -> None:
    """Refuse, by what the directory of the zip says, before anything is unpacked."""
    names = [member.filename for member in members]
    size = sum(member.file_size for member in members)
    wrong = ""
    if len(members) > MOST_MEMBERS:
        wrong = f"holds {len(members):,} members"
    elif size > MOST_BYTES:
        wrong = f"unpacks to {size:,} bytes"
    # some file systems do not tell A from a
    elif len({name.lower() for name in names}) < len(names):
        wrong = "holds a name twice"
    for member in members:
        if not _PLAIN.fullmatch(member.filename):
            wrong = wrong or f"holds {member.filename[:80]!r}"
        if stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG):
            wrong = wrong or f"holds {member.filename}, which is no plain file"
        if member.flag_bits & 1:
            wrong = wrong or "is encrypted"
    if wrong:
        raise DataError(
            f"{path} {wrong}",
            f"at most {MOST_MEMBERS} plain files of {MOST_BYTES:,} bytes in all",
            "do not unpack it: get the bundle from its maker",
        )


def _read(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    with archive.open(member) as stream:
        # never more than the directory claimed, whatever the stream holds
        content = stream.read(member.file_size + 1)
    if len(content) != member.file_size:
        raise zipfile.BadZipFile(f"{member.filename} is not as long as it claims")
    return content
