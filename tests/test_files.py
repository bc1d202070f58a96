from pathlib import Path

import pytest

from toolkit.errors import OutputError
from toolkit.files import sha256, writable_folder, write_bytes, write_with


def test_a_failing_writer_leaves_the_old_file_and_nothing_else(tmp_path: Path):
    path = write_bytes(tmp_path / "a.bin", b"old")

    def half(temporary: Path) -> None:
        temporary.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    with pytest.raises(OutputError, match="No space left"):
        write_with(path, half)
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.bin"]


def test_an_interrupt_leaves_nothing(tmp_path: Path):
    def stopped(temporary: Path) -> None:
        temporary.write_bytes(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_with(tmp_path / "a.bin", stopped)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_one_line():
    with pytest.raises(OutputError, match="cannot write"):
        write_bytes(Path("/dev/full/x"), b"1")


def test_a_folder_that_is_a_file(tmp_path: Path):
    (tmp_path / "f").write_text("x")
    with pytest.raises(OutputError):
        writable_folder(tmp_path / "f")


def test_sha256_of_known_text(tmp_path: Path):
    path = write_bytes(tmp_path / "abc", b"abc")
    # FIPS 180-2, appendix B.1
    assert sha256(path).startswith("ba7816bf8f01cfea414140de5dae2223")
