"""Data files that want to run code, to write elsewhere, or to take all memory."""

import resource
import struct
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image

from toolkit.data import images, load
from toolkit.data.npz import read
from toolkit.errors import DataError


class Evil:
    """Unpickling it would leave a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def peak():
    """The most memory this process has had, bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def test_pickled_objects_are_never_loaded(tmp_path):
    mark = tmp_path / "was here"
    np.savez(
        tmp_path / "evil.npz", x_train=np.array([Evil(mark)], dtype=object), y_train=np.zeros(1)
    )
    with pytest.raises(DataError, match="nothing pickled"):
        read(tmp_path / "evil.npz")
    np.save(tmp_path / "evil.npy", np.array([Evil(mark)], dtype=object))
    np.save(tmp_path / "y.npy", np.zeros(1))
    with pytest.raises(DataError, match="cannot read"):
        load(f"{tmp_path}/evil.npy,{tmp_path}/y.npy")
    assert not mark.exists()


@pytest.mark.parametrize("suffix", ["csv", "parquet", "npz", "txt"])
def test_a_pickle_under_any_name_is_never_loaded(suffix, tmp_path):
    import pickle

    mark = tmp_path / "was here"
    (tmp_path / f"evil.{suffix}").write_bytes(pickle.dumps(Evil(mark)))
    with pytest.raises(DataError) as caught:
        load(tmp_path / f"evil.{suffix}")
    assert "\n" not in str(caught.value)
    assert not mark.exists()


def test_members_outside_the_archive_are_not_written(tmp_path):
    inside = tmp_path / "a" / "b"
    inside.mkdir(parents=True)
    path = inside / "evil.npz"
    np.savez(path, x_train=np.zeros((60, 2)), y_train=np.arange(60) % 2)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("../../outside.npy", b"x")
        archive.writestr(f"{tmp_path}/absolute.npy", b"x")
    assert len(load(path).test)
    assert not (tmp_path / "outside.npy").exists()
    assert not (tmp_path.parent / "outside.npy").exists()
    assert {p.name for p in tmp_path.rglob("*")} == {"a", "b", "evil.npz"}


def test_an_archive_that_unpacks_to_more_than_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("toolkit.data.npz.MOST_BYTES", 2**24)
    path = tmp_path / "bomb.npz"
    np.savez_compressed(path, x_train=np.zeros((2**22, 8), np.uint8), y_train=np.zeros(2**22))
    assert path.stat().st_size < 2**20
    with pytest.raises(DataError, match="unpacks to"):
        load(path)


def test_an_absurd_shape_takes_no_memory(tmp_path):
    """A header that says 10^12 rows over a file of a few bytes."""
    path = tmp_path / "x.npy"
    np.save(path, np.zeros((4, 2)))
    content = path.read_bytes().replace(b"(4, 2), }", b"(1000000000000, 2), }")
    path.write_bytes(content)
    np.save(tmp_path / "y.npy", np.zeros(4))
    before = peak()
    with pytest.raises(DataError, match="cannot read"):
        load(f"{path},{tmp_path}/y.npy")
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.write(path, "x_train.npy")
        archive.write(tmp_path / "y.npy", "y_train.npy")
    with pytest.raises(DataError):
        load(tmp_path / "x.npz")
    assert peak() - before < 2**27


def test_a_table_with_a_million_columns(tmp_path):
    path = tmp_path / "wide.csv"
    with path.open("w") as stream:
        stream.write(",".join(f"c{i}" for i in range(1_000_000)) + "\n")
        stream.write(",".join("1" for _ in range(1_000_000)) + "\n")
    with pytest.raises(DataError, match="columns"):
        load(path)


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.data"])
def test_broken_utf8_in_a_table(name, tmp_path):
    (tmp_path / name).write_bytes(b"a,y\n\xff\xfe,1\n" * 30)
    with pytest.raises(DataError, match="UTF-8"):
        load(tmp_path / name)


def test_bytes_that_are_no_text(tmp_path):
    (tmp_path / "t.txt").write_bytes(b"a\tb\0c\n" * 30)
    with pytest.raises(DataError, match="zero bytes"):
        load(tmp_path / "t.txt")


def test_a_line_without_an_end(tmp_path):
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_bytes(b"word " * 300_000)
    with pytest.raises(DataError, match="a line of over"):
        load(f"{tmp_path}/a.txt,{tmp_path}/b.txt")


@pytest.fixture
def folder(tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for i in range(4):
            Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / name / f"{i}.png")
    return tmp_path


def test_a_picture_that_unpacks_to_gigabytes(folder):
    """A PNG that says 60,000 x 60,000 in a hundred bytes."""

    def chunk(kind, body):
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
    (folder / "cat" / "bomb.png").write_bytes(bomb)
    with pytest.raises(DataError, match=r"bomb\.png"):
        images.read(folder)


def test_an_absurd_size_is_refused_before_memory_is_taken(folder):
    with pytest.raises(DataError, match="smaller --size"):
        images.read(folder, (100_000, 100_000))


def test_a_saved_run_never_unpickles(full_run):
    import json

    from toolkit import run

    raw = json.loads(run.to_json(full_run))
    raw["layers"][0]["values"]["dtype"] = "|O"
    with pytest.raises(DataError, match="objects"):
        run.from_json(json.dumps(raw))
