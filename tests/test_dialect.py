"""Tables as people write them: names that are numbers, quotes, decimals, labels called None."""

import csv

import numpy as np
import pandas as pd
import pytest

from toolkit.data import load
from toolkit.data.dialect import decimals_of, headless, separator_of

RNG = np.random.default_rng(0)
Y = RNG.integers(0, 2, 200)
X = np.round(RNG.normal(size=(200, 3)), 3)


def rows(splits):
    fit = splits.fit
    return sum(map(len, (fit.train, fit.validation, fit.calibration, splits.test)))


@pytest.mark.parametrize("index", [False, True])
@pytest.mark.parametrize("words", [False, True])
def test_names_that_are_numbers_are_names(index, words, tmp_path):
    """What pandas writes of an array: 0, 1, 2, label."""
    frame = pd.DataFrame(X)
    frame["label"] = np.where(Y, "yes", "no") if words else Y
    frame.to_csv(tmp_path / "t.csv", index=index)
    found = load(tmp_path / "t.csv")
    assert rows(found) == 200
    assert found.test.classes == (("no", "yes") if words else ("0", "1"))
    assert found.test.features == ("0", "1", "2")


def test_values_without_names_are_known(tmp_path):
    """Numbers, or texts that come again below."""
    assert headless([["39", "Private", "?"], ["50", "Self", "3"]])
    assert headless([["p", "x", "s"], ["e", "x", "y"]])
    assert not headless([["sepal", "petal", "kind"], ["1", "2", "a"]])
    assert not headless([["1_1", "inf", "label"], ["0.5", "2", "a"]])
    (tmp_path / "t.data").write_text(
        "\n".join(f"{'ep'[y]},{'xyz'[i % 3]}" for i, y in enumerate(Y))
    )
    assert rows(load(tmp_path / "t.data")) == 200


@pytest.mark.parametrize("names", [["400", "402", "404.5"], ["2019", "2021", "2020"]])
def test_numbers_over_a_text_that_comes_again_are_names(names, tmp_path):
    """Spectra by their wavelengths, sums by their years."""
    frame = pd.DataFrame(X, columns=names)
    frame["variety"] = np.where(Y, "plum", "pear")
    frame.to_csv(tmp_path / "t.csv", index=False)
    found = load(tmp_path / "t.csv")
    assert rows(found) == 200
    assert found.test.features == tuple(names)
    assert found.test.classes == ("pear", "plum")
    # and a line of values stays one
    frame.to_csv(tmp_path / "u.csv", index=False, header=False)
    assert rows(load(tmp_path / "u.csv")) == 200
    assert load(tmp_path / "u.csv").test.classes == ("pear", "plum")


def test_a_code_is_one_class_however_long_the_table(tmp_path):
    """Read in parts, 01 was a number in the first and a text in the last."""
    many = 40_000
    codes = np.array([f"0{i % 3 + 1}" for i in range(many)], object)
    codes[-5_000::50] = "A"
    frame = pd.DataFrame(RNG.integers(0, 9, (many, 40))).add_prefix("f")
    frame["code"] = codes
    frame.to_csv(tmp_path / "t.csv", index=False)
    assert load(tmp_path / "t.csv").test.classes == ("01", "02", "03", "A")


def test_quotes_in_texts_take_no_rows(tmp_path):
    lines = [
        f"{'spam' if y else 'ham'}\t" + ('"' if i % 50 == 7 else "") + f"go until {i}, crazy, ok"
        for i, y in enumerate(Y)
    ]
    (tmp_path / "t.tsv").write_text("label\ttext\n" + "\n".join(lines))
    found = load(tmp_path / "t.tsv")
    assert rows(found) == 200
    assert found.test.classes == ("ham", "spam")
    # quotes that close are those of the file
    frame = pd.DataFrame({"label": np.where(Y, "a", "b"), "text": ["two\nlines, yes"] * 200})
    frame.to_csv(tmp_path / "q.tsv", sep="\t", index=False, quoting=csv.QUOTE_ALL)
    assert rows(load(tmp_path / "q.tsv")) == 200


@pytest.mark.parametrize(
    ("lines", "suffix", "separator"),
    [
        (["ham\tGo until 0, crazy, ok", "spam\tno"], ".tsv", "\t"),
        (["1,50;2,30;-0,70;ja", "2,10;0,30;1,70;nein"], ".csv", ";"),
        (["Laenge, mm;Breite, mm;label", "1,5;2,5;ja"], ".csv", ";"),
        (["a,b,note", "1,2,x;y"], ".csv", ","),
        (["a|b", "1|2"], ".csv", "|"),
    ],
)
def test_what_parts_the_values(lines, suffix, separator):
    assert separator_of(lines, suffix) == separator


@pytest.mark.parametrize(
    ("cells", "found"),
    [
        (["1,5", "2,25"], (",", None)),
        (["0,008", "1,250"], (",", None)),
        (["950", "1,250", "12,500"], (".", ",")),
        (["1,250", "2,750"], (",", None)),
        (["1.5", "2.5"], (".", None)),
        (["01.01.2020", "v1.2"], (".", None)),
    ],
)
def test_what_stands_before_decimals(cells, found):
    assert decimals_of([[cell] for cell in cells]) == found


def test_dates_and_versions_leave_decimals_alone(tmp_path):
    lines = ["breite;version;label"]
    lines += [
        f"{x:.2f};v1.{i % 3};{'ab'[y]}".replace(".", ",", 1)
        for i, (x, y) in enumerate(zip(X[:, 0], Y, strict=True))
    ]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    found = load(tmp_path / "t.csv")
    assert found.test.categories.keys() == {1}
    assert np.allclose(
        np.sort(np.concatenate([found.fit.train.x[:, 0]]))[:1], np.round(X[:, 0], 2).min(), atol=0.5
    )


@pytest.mark.parametrize("names", [("+", "-"), ("None", "Insomnia")])
def test_labels_that_look_missing_are_labels(names, tmp_path):
    frame = pd.DataFrame(X, columns=list("abc"))
    frame["label"] = np.where(Y, *names)
    frame.to_csv(tmp_path / "t.csv", index=False)
    found = load(tmp_path / "t.csv")
    assert rows(found) == 200
    assert set(found.test.classes) == set(names)


def test_a_shuffled_index_is_no_feature(tmp_path):
    """Rows sorted by class before they were numbered: the number alone would give the class."""
    frame = pd.DataFrame(X, columns=list("abc"))
    frame["label"] = Y
    frame = frame.sort_values("label").reset_index(drop=True).sample(frac=0.7, random_state=0)
    frame.to_csv(tmp_path / "t.csv")
    found = load(tmp_path / "t.csv")
    assert found.test.features == ("a", "b", "c")
    assert found.facts["dropped"] == ["Unnamed: 0"]


def test_a_note_among_pictures_makes_no_texts_of_them(tmp_path):
    from PIL import Image

    for part in ("train", "eval"):
        for name in ("cat", "dog"):
            folder = tmp_path / part / name
            folder.mkdir(parents=True)
            for i in range(24):
                pixels = RNG.integers(0, 255, (8, 8, 3)).astype(np.uint8)
                Image.fromarray(pixels).save(folder / f"{i}.png")
            (folder / "readme.txt").write_text("from somewhere")
            hidden = folder / ".ipynb_checkpoints"
            hidden.mkdir()
            Image.fromarray(pixels).save(hidden / "0-checkpoint.png")
    found = load(tmp_path)
    assert found.test.kind == "image"
    assert rows(found) == 96


def test_scaled_twice_is_told_as_once(wine):
    from toolkit.data import scaled

    found = scaled(scaled(wine, 1 / 255), 2.0, -1.0)
    assert (found.facts["scale"], found.facts["offset"]) == (pytest.approx(2 / 255), -1.0)
    told = wine.test.x * found.facts["scale"] + found.facts["offset"]
    assert np.allclose(found.test.x, told, atol=1e-4)


def test_decimals_that_come_late_are_seen(tmp_path):
    lines = ["a;b;label", *(f"{i};{i % 7};{'ab'[i % 2]}" for i in range(100))]
    lines += [f"{i},5;{i % 7};{'ab'[i % 2]}" for i in range(100)]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    found = load(tmp_path / "t.csv")
    assert not found.test.categories
    assert found.fit.train.x[:, 0].max() > 90.4


def test_a_quantity_of_such_a_name_is_a_feature(tmp_path):
    """All different, but far apart: no count of rows."""
    frame = pd.DataFrame({"number": RNG.permutation(200) * 97, "b": X[:, 0], "label": Y})
    frame.to_csv(tmp_path / "t.csv", index=False)
    assert load(tmp_path / "t.csv").test.features == ("number", "b")
