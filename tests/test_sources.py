"""Rows read in chunks are the rows read at once, and what is wrong with one is told at once."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from toolkit.data import images, load
from toolkit.data.sources import of_file, of_rows, of_splits
from toolkit.data.unlabelled import rows
from toolkit.errors import DataError


@pytest.fixture(scope="module")
def frame():
    rng = np.random.default_rng(0)
    number = rng.normal(size=120).round(3)
    number[5] = np.nan
    town = rng.choice(["7", "Bonn", "Rome"], 120).astype(object)
    town[9] = None
    return pd.DataFrame({"n": number, "town": town, "k": np.arange(120) % 5, "label": number > 0})


@pytest.fixture(scope="module")
def known(frame, tmp_path_factory):
    path = tmp_path_factory.mktemp("known") / "known.csv"
    frame.to_csv(path, index=False)
    return load(path)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("size", [7, 50, 1000])
def test_a_table_in_chunks(suffix, size, frame, known, tmp_path):
    path = tmp_path / f"log{suffix}"
    # a whole chunk of 7 in which a category looks like a number, another without any value
    some = frame.assign(town=["7"] * 7 + [None] * 7 + frame["town"].tolist()[14:])[
        ["town", "k", "n"]
    ]
    if suffix == ".csv":
        some.to_csv(path, index=False)
    else:
        some.to_parquet(path, index=False, row_group_size=11)
    source = of_file(path, known.test)
    read = list(source.read(size))
    assert [len(x) for x in read[:-1]] == [size] * (len(read) - 1)
    names = known.test.categories[1]
    towns = [names.index(t) if isinstance(t, str) else names.index("missing") for t in some["town"]]
    n = some["n"].fillna(known.test.fill[0])
    wanted = np.stack([n, towns, some["k"]], axis=1).astype(np.float32)
    assert np.array_equal(np.concatenate(read), wanted)
    assert np.array_equal(rows(path, known.test), wanted)
    assert source.rows == 120
    assert source.sha256 == of_rows("log", wanted).sha256
    # the rows beside are scaled as well, and with them what stands for a gap
    like = replace(known.test, fill={0: known.test.fill[0] / 2 + 1})
    halved = of_file(path, like, scale=0.5, offset=1)
    assert np.array_equal(np.concatenate(list(halved.read(size))), wanted / 2 + 1)


def test_a_bad_row_far_down_is_told_at_once(frame, known, tmp_path):
    path = tmp_path / "log.csv"
    like = replace(known.test, fill={})
    frame.to_csv(path, index=False)
    with pytest.raises(DataError, match=r"row 5 of log\.csv has NaN"):
        of_file(path, like)
    pd.concat([frame] * 200 + [frame.assign(town="Oslo")]).to_csv(path, index=False)
    with pytest.raises(DataError, match=r"'town' of .* holds 'Oslo'"):
        of_file(path, known.test)
    frame.drop(columns="k").to_csv(path, index=False)
    with pytest.raises(DataError, match="no column 'k'"):
        of_file(path, known.test)
    path.write_text("n,town,k\n")
    with pytest.raises(DataError, match=r"log\.csv has no rows"):
        of_file(path, known.test)
    (tmp_path / "log.parquet").write_text("n,town,k\n")
    with pytest.raises(DataError, match="cannot read"):
        of_file(tmp_path / "log.parquet", known.test)


def test_parts_and_arrays(digits, tmp_path):
    names = [(s.name, s.rows) for s in of_splits(digits)]
    assert [name for name, _ in names] == ["train", "validation", "calibration", "test"]
    assert sum(rows for _, rows in names) == 1797
    np.save(tmp_path / "x.npy", digits.test.x)
    source = of_file(tmp_path / "x.npy", digits.test)
    assert source.sha256 == of_splits(digits)[-1].sha256
    assert np.array_equal(next(source.read(3)), digits.test.x[:3])


def test_pictures_stay_in_their_files(digits, tmp_path, monkeypatch):
    from PIL import Image

    for i in range(3):
        Image.fromarray(np.full((8, 8), i, np.uint8)).save(tmp_path / f"{i}.png")
    whole = of_file(tmp_path, digits.test)
    monkeypatch.setattr(images, "IN_MEMORY", 0)
    source = of_file(tmp_path, digits.test)
    assert [x.max() for x in source.read(1)] == [x.max() for x in whole.read(1)] == [0, 1, 2]
    before = source.sha256
    Image.fromarray(np.full((8, 8), 9, np.uint8)).save(tmp_path / "1.png")
    assert of_file(tmp_path, digits.test).sha256 != before


def test_gaps_stand_for_the_same_in_scaled_rows(frame, tmp_path):
    frame.drop(columns="town").to_csv(tmp_path / "t.csv", index=False)
    splits = load(tmp_path / "t.csv", scale=0.01, offset=3.0)
    parts = [splits.fit.train, splits.fit.validation, splits.fit.calibration, splits.test]
    every = np.concatenate([part.x for part in parts])
    asked = {"scale": 0.01, "offset": 3.0}
    source = of_file(tmp_path / "t.csv", splits.test, **asked)
    for read in (
        np.concatenate(list(source.read(50))),
        rows(tmp_path / "t.csv", splits.test, **asked),
    ):
        assert sorted(map(tuple, read.tolist())) == sorted(map(tuple, every.tolist()))


def test_truths_are_read_as_pandas_names_them(tmp_path):
    lines = ["n,flag,label", *(f"{i},{('true', 'FALSE', '')[i % 3]},{i % 2}" for i in range(120))]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    splits = load(tmp_path / "t.csv", label="label")
    read = np.concatenate(list(of_file(tmp_path / "t.csv", splits.test).read(50)))
    names = [splits.test.categories[1][int(code)] for code in read[:, 1]]
    assert names == ["True", "False", "missing"] * 40
