"""Rows without labels: read as the labelled ones are, refused where they do not fit, and learnt."""

import dataclasses
import json

import numpy as np
import pytest
from PIL import Image

from toolkit.cli import run
from toolkit.data import images, load
from toolkit.data.streams import Pictures
from toolkit.data.unlabelled import fitting, rows
from toolkit.errors import DataError, MatchError, RecipeError
from toolkit.passes.together import Together
from toolkit.search import compress


def test_arrays(digits, tmp_path):
    like, x = digits.fit.train, digits.test.x[:7, :, :, 0]
    np.save(tmp_path / "x.npy", x)
    np.savez(tmp_path / "x.npz", x_train=x, y_train=np.arange(7))
    for name in ("x.npy", "x.npz"):
        found = fitting(rows(tmp_path / name, like, scale=0.5, offset=1.0), like)
        assert found.dtype == np.float32
        assert np.array_equal(found[..., 0], 0.5 * x + 1)


def test_a_table_takes_the_codes_of_the_labelled_one(tmp_path):
    known = "size,colour,label\n" + "".join(f"{i},{c},{c}\n" for i in range(30) for c in "rgb")
    (tmp_path / "known.csv").write_text(known)
    like = load(tmp_path / "known.csv", label="label").fit.train
    # other order of columns, a column too many, one category missing
    (tmp_path / "more.csv").write_text("id,colour,size\n1,r,5\n2,g,7\n")
    assert rows(tmp_path / "more.csv", like).tolist() == [[5.0, 2.0], [7.0, 1.0]]
    (tmp_path / "strange.csv").write_text("colour,size\nviolet,5\n")
    with pytest.raises(DataError, match="violet"):
        rows(tmp_path / "strange.csv", like)
    (tmp_path / "short.csv").write_text("colour,length\nr,5\n")
    with pytest.raises(DataError, match="no column 'size'"):
        rows(tmp_path / "short.csv", like)


def test_texts_take_the_words_of_the_labelled_ones(tmp_path):
    for name, word in (("pos", "good"), ("neg", "bad")):
        (tmp_path / f"{name}.txt").write_text(f"a {word} film\n" * 40)
    like = load(f"{tmp_path / 'pos.txt'},{tmp_path / 'neg.txt'}").fit.train
    (tmp_path / "more.txt").write_text("good bad\n\nfilm\n")
    place = like.words.vocabulary.index
    found = rows(tmp_path / "more.txt", like)
    assert found.shape == (2, like.x.shape[1])
    assert found[0][:2].tolist() == [place("good"), place("bad")]


@pytest.mark.parametrize("name", ["none", "none.npz", "none.csv", "none.txt"])
def test_a_path_where_nothing_is(name, digits, tmp_path):
    with pytest.raises(DataError, match=r"no unlabelled rows at .*check --unlabelled"):
        rows(tmp_path / name, digits.fit.train)


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "deep").mkdir()
    for i in range(5):
        picture = Image.fromarray(rng.integers(0, 255, (8, 8), np.uint8))
        picture.save(tmp_path / ("deep" if i % 2 else ".") / f"{i}.png")
    return tmp_path


def test_large_folders_stay_in_their_files(folder, digits, monkeypatch):
    """A batch of labelled and unlabelled rows decodes the pictures of that batch alone."""
    like = digits.fit.train
    whole = rows(folder, like)
    monkeypatch.setattr(images, "IN_MEMORY", 0)
    streamed = fitting(rows(folder, like), like)
    assert isinstance(streamed, Pictures)
    assert np.array_equal(streamed[:], whole)
    asked = []
    take = Pictures.__getitem__
    monkeypatch.setattr(Pictures, "__getitem__", lambda p, i: (asked.append(i), take(p, i))[1])
    both = Together(like.x, streamed)
    batch = np.array([len(like) + 3, 0, len(like)])
    assert np.array_equal(both[batch], np.stack([whole[3], like.x[0], whole[0]]))
    assert [list(i) for i in asked] == [[3, 0]]


def test_what_does_not_fit_is_refused(digits, wine, tmp_path):
    np.save(tmp_path / "x.npy", wine.test.x)
    with pytest.raises(MatchError, match=r"rows of shape \(13,\)"):
        fitting(rows(tmp_path / "x.npy", digits.fit.train), digits.fit.train)
    np.save(tmp_path / "nan.npy", np.full((2, 13), np.nan))
    with pytest.raises(DataError, match="finite"):
        rows(tmp_path / "nan.npy", wine.fit.train)
    with pytest.raises(DataError, match="finite"):
        fitting(np.full((2, 13), np.nan, np.float32), wine.fit.train)
    for missing in ("none.npy", "none.xyz"):
        with pytest.raises(DataError):
            rows(tmp_path / missing, wine.fit.train)
    with pytest.raises(DataError, match="pictures"):
        rows(tmp_path, wine.fit.train)


def test_compress_learns_from_them(tabular, wine, tmp_path, capsys):
    tabular.save(tmp_path / "base.keras")
    np.save(tmp_path / "more.npy", wine.test.x)
    np.save(tmp_path / "wrong.npy", wine.test.x[:, :4])
    recipe = tmp_path / "short.toml"
    lines = ["name = 'short'", "[[pass]]", "kind = 'distil'", "teacher = 'base'", "epochs = 1"]
    recipe.write_text("\n".join([*lines, "student = 'base*0.5'", ""]))
    command = [tmp_path / "base.keras", "--data", "wine", "--recipe", recipe]
    for name, code in (("more", 1), ("wrong", 2)):
        out = tmp_path / name
        given = [*command, "--out", out, "--unlabelled", tmp_path / f"{name}.npy"]
        # one epoch loses too much: exit code 1, the files are there
        assert run(["compress"], [str(g) for g in given], "compress") in (0, code)
        assert (out / "manifest.json").is_file() == (name == "more")
    assert "rows of shape (4,)" in capsys.readouterr().err
    made = json.loads((tmp_path / "more" / "manifest.json").read_text())
    assert f'"unlabelled_rows": {len(wine.test)}' in json.dumps(made)


def test_unlabelled_rows_in_together_keep_their_order(wine):
    both = Together(wine.fit.train.x, wine.test.x)
    joined = np.concatenate([wine.fit.train.x, wine.test.x])
    order = np.random.default_rng(0).permutation(len(both))
    assert np.array_equal(both[order], joined[order])
    assert dataclasses.is_dataclass(both)


def test_where_nothing_is_trained_nothing_can_learn_from_them(dense_onnx, digits, tmp_path):
    with pytest.raises(RecipeError, match="unlabelled rows for float16, int8; a recipe that"):
        compress(
            dense_onnx, digits, ["float16", "int8"], unlabelled=digits.test.x, out=tmp_path / "out"
        )
    assert not (tmp_path / "out").exists()
