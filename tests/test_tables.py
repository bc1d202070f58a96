import numpy as np
import pytest

from toolkit.data import load
from toolkit.errors import DataError


def written(tmp_path, text, name="t.csv"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def people(n=120, header=True, separator=","):
    """Age, town, income missing now and then; bought yes or no."""
    rng = np.random.default_rng(0)
    lines = [separator.join(["age", "town", "pay", "bought"])] if header else []
    for i in range(n):
        town = ["Rom", "Ulm", "<b>Bern</b>"][i % 3]
        income = "" if i % 10 == 0 else f"{rng.normal(3000, 500):.1f}"
        lines.append(separator.join([str(20 + i % 50), town, income, ["no", "yes"][i % 2]]))
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_columns_of_all_kinds(tmp_path, separator):
    splits = load(written(tmp_path, people(separator=separator)))
    data = splits.fit.train
    assert data.features == ("age", "town", "pay")
    assert data.classes == ("no", "yes")
    assert data.categories == {1: ("<b>Bern</b>", "Rom", "Ulm")}
    assert set(np.unique(data.x[:, 1])) == {0, 1, 2}
    assert np.isfinite(data.x).all()
    assert splits.facts["missing"] == {"pay": 12}


def test_missing_numbers_get_the_median_of_the_training_rows(tmp_path):
    """Computed by hand on the rows that ended up in training."""
    splits = load(written(tmp_path, people()))
    train = splits.fit.train.x[:, 2]
    values, counts = np.unique(train, return_counts=True)
    filled = values[counts.argmax()]
    rest = train[train != filled]
    assert filled == pytest.approx(np.median(rest), abs=1e-3)
    assert filled in splits.test.x[:, 2]


def test_a_missing_text_is_a_category(tmp_path):
    text = "c,y\n" + "".join(f"{['a', '?', 'b'][i % 3]},{i % 2}\n" for i in range(90))
    splits = load(written(tmp_path, text))
    assert splits.test.categories == {0: ("a", "b", "missing")}
    assert splits.facts["missing_categories"] == {"c": 30}
    assert "missing" not in splits.facts


def test_the_label_is_named_or_guessed_and_said(tmp_path):
    path = written(tmp_path, people())
    assert load(path).facts["label"] == "bought"
    assert load(path).facts["label_guessed"]
    found = load(path, label="town")
    assert found.test.classes == ("<b>Bern</b>", "Rom", "Ulm")
    assert not found.facts["label_guessed"]
    with pytest.raises(DataError, match="did you mean town"):
        load(path, label="towns")


def test_a_column_that_only_numbers_the_rows_is_left_out(tmp_path):
    """pandas writes it by default; a model must not learn the order of the file."""
    lines = people().splitlines()
    numbered = [f",{lines[0]}", *(f"{i},{line}" for i, line in enumerate(lines[1:]))]
    splits = load(written(tmp_path, "\n".join(numbered)))
    assert splits.test.features == load(written(tmp_path, people(), "b.csv")).test.features
    assert splits.facts["dropped"] == ["Unnamed: 0"]


def test_empty_columns_at_the_end_are_left_out(tmp_path):
    rows = "".join(f"ham,see you at the old place {i},,,\n" for i in range(50))
    rows += "".join(f"spam,buy all of this now {i},,,\n" for i in range(50))
    splits = load(written(tmp_path, "v1,v2,,,\n" + rows), label="v1", text="v2")
    assert splits.test.classes == ("ham", "spam")
    assert splits.test.texts is not None


def test_decimal_commas_where_commas_part_nothing(tmp_path):
    text = "a;b;y\n" + "".join(f"{i},5;{i};{'pq'[i % 2]}\n" for i in range(80))
    train = load(written(tmp_path, text)).fit.train
    assert not train.categories
    assert np.array_equal(train.x[:, 0], train.x[:, 1] + 0.5)


@pytest.mark.parametrize("word", ["True", "yes", "1.0"])
def test_labels_of_two_words(word, tmp_path):
    other = {"True": "False", "yes": "no", "1.0": "0.0"}[word]
    text = "a,y\n" + f"1,{word}\n2,{other}\n" * 40
    assert len(load(written(tmp_path, text)).test.classes) == 2


def test_lists_in_a_parquet_are_refused(tmp_path):
    pd = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow", reason="parquet needs pyarrow")
    pd.DataFrame({"v": [[1, 2]] * 60, "y": [0, 1] * 30}).to_parquet(tmp_path / "t.parquet")
    with pytest.raises(DataError, match="holds ndarray"):
        load(tmp_path / "t.parquet")


def test_the_index_of_a_parquet_is_a_column(tmp_path):
    pd = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow", reason="parquet needs pyarrow")
    frame = pd.DataFrame({"a": range(60), "b": range(60), "y": [0, 1] * 30})
    frame.set_index("a").to_parquet(tmp_path / "t.parquet")
    assert load(tmp_path / "t.parquet").test.features == ("a", "b")


def test_a_file_without_names(tmp_path):
    splits = load(written(tmp_path, people(header=False), "people.data"))
    assert splits.test.features == ("column 1", "column 2", "column 3")
    assert sum(len(p) for p in (splits.test, splits.fit.train)) > 90


def test_equal_rows_are_counted(tmp_path):
    text = people() + people().split("\n", 1)[1]
    assert load(written(tmp_path, text)).facts["duplicates"] >= 60


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("d,y\n" + "2024-01-02,a\n2024-03-04,b\n" * 40, "dates"),
        ("x\n1\n2\n", "two columns"),
        ("x,x,y\n1,2,a\n", "x, x"),
        ("x,y\n1,a\n2,\n" * 30, "no label"),
        ("x,y\n" + "1,a,9,9\n" * 30, "more values than names"),
        ("name,y\n" + "".join(f"person {i},{i % 2}\n" for i in range(1100)), "different texts"),
        (",".join(f"c{i}" for i in range(20_000)) + "\n1\n", "at most 10,000"),
        ("x,y\n" + "".join(f"{i},{i / 7}\n" for i in range(99)), "regression"),
        ("", "cannot read"),
        ("d,y\n" + "Jan 02, 2024,a\n".replace(", 2", " 2") * 40 + "Mar 04 2024,b\n" * 40, "dates"),
        ("d,y\n" + "11:05,a\n12:30,b\n" * 40, "dates"),
        (
            "x,y\n" + "".join(f"${i}.50,{i % 2}\n" for i in range(99)),
            "numbers written as texts",
        ),
        (
            "x,y\noops,1\n" + "".join(f"{i}.5,{i % 2}\n" for i in range(99)),
            "numbers written as texts .'oops'",
        ),
        ("x,y\n" + "".join(f"{i % 7},{i}\n" for i in range(40)), "40 rows of 40 classes"),
        (
            "ticket,x,y\n" + "".join(f"no {i} b,1,{i % 2}\n" for i in range(99)),
            "99 different texts in 99 rows",
        ),
    ],
)
def test_tables_that_cannot_be_used(text, said, tmp_path):
    with pytest.raises(DataError, match=said) as caught:
        load(written(tmp_path, text))
    assert "\n" not in str(caught.value)


def test_categories_are_spread_inside_the_model_and_its_onnx(tmp_path):
    """The device sends codes: renaming a code must change the answer, its size must not."""
    from toolkit import models, training
    from toolkit.exporting import export
    from toolkit.predict import predictor

    rng = np.random.default_rng(0)
    codes = rng.integers(0, 3, 600)
    label = np.where(codes == 1, "middle", "end")  # no order of codes can tell this linearly
    text = "kind,z,y\n" + "".join(
        f"{'abc'[c]},{rng.normal():.3f},{v}\n" for c, v in zip(codes, label, strict=True)
    )
    splits = load(written(tmp_path, text))
    start = models.build("tabular", splits.fit.train)
    model, _ = training.train(start, splits.fit, training.Settings(epochs=20, batch=32))
    small = predictor(export(model, splits.fit.validation).model.SerializeToString())
    assert (small(splits.test.x).argmax(axis=1) == splits.test.y).mean() == 1


def test_lime_treats_a_category_as_itself_or_another(tmp_path):
    from toolkit.explainers import EXPLAINERS, players_for
    from toolkit.glossary import Data

    class OnlyRome:
        name, classes, shape = "rome", 2, (2,)

        def __call__(self, x):
            assert set(np.unique(x[:, 0])) <= {0, 1, 2}, "a category that does not exist"
            yes = 0.1 + 0.8 * (x[:, 0] == 1)
            return np.stack([1 - yes, yes], axis=1).astype(np.float32)

    x = np.float32([[i % 3, i] for i in range(60)])
    data = Data(x, np.arange(60) % 2, ("n", "y"), ("town", "z"), categories={0: ("U", "R", "B")})
    found = EXPLAINERS["lime"]()(OnlyRome(), players_for(x[1], data), 1)
    # 0.8 when it is Rome, beside the third of rows that is Rome anyway
    assert found.values[0] == pytest.approx(0.8 * 2 / 3, abs=0.02)
    assert abs(found.values[1]) < 0.02


def test_adult_from_its_own_file(more_data):
    splits = load(more_data / "adult.data")
    assert splits.test.classes == ("<=50K", ">50K")
    assert len(splits.test.categories) == 8
    seen = [line.rpartition(",")[0] for line in (more_data / "adult.data").read_text().split("\n")]
    assert splits.facts["duplicates"] == len(seen) - len(set(seen))


def test_parquet_says_the_same_as_csv(tmp_path):
    import pandas as pd

    path = written(tmp_path, people())
    pd.read_csv(path).to_parquet(tmp_path / "t.parquet")
    one, two = load(path), load(tmp_path / "t.parquet")
    assert np.allclose(one.test.x, two.test.x)
    assert one.test.categories == two.test.categories
    assert (one.test.y == two.test.y).all()


def test_missing_numbers_are_filled_inside_the_model_and_its_onnx(tmp_path):
    """A device sends NaN where a number is missing, and gets the answer of the median."""
    from toolkit import models
    from toolkit.exporting import export
    from toolkit.predict import predictor

    rng = np.random.default_rng(0)
    rows = [
        f"{'' if i % 5 == 0 else round(v, 3)},{w:.3f},{int(v > w)}"
        for i, (v, w) in enumerate(rng.normal(size=(200, 2)))
    ]
    splits = load(written(tmp_path, "\n".join(["a,b,y", *rows])))
    assert list(splits.test.fill) == [0]
    model = models.build("tabular", splits.fit.train)
    small = predictor(export(model, splits.fit.validation).model.SerializeToString())
    filled = splits.test.x.copy()
    filled[:, 0] = splits.test.fill[0]
    gaps = filled.copy()
    gaps[:, 0] = np.nan
    for predict in (predictor(model), small):
        assert np.array_equal(predict(gaps), predict(filled))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
def test_texts_as_spreadsheets_write_them(encoding, tmp_path):
    """Windows writes a mark before UTF-8, UTF-16, or its own letters."""
    kinds = ("süß", "herb")
    lines = [f"{i / 7:.3f},{kinds[i % 2]},{'ja' if i % 3 else 'nein'}" for i in range(90)]
    path = tmp_path / "t.csv"
    path.write_bytes("\n".join(["größe,geschmack,label", *lines]).encode(encoding))
    found = load(path)
    assert found.test.features == ("größe", "geschmack")
    assert found.test.categories == {1: ("herb", "süß")}
    assert found.facts.get("encoding") == ("cp1252" if encoding == "cp1252" else None)


def test_values_with_spaces_between(tmp_path):
    lines = [f"{i / 7:8.3f}  {i % 5}   {i % 2}" for i in range(90)]
    path = written(tmp_path, "\n".join(["length width label", *lines]), "t.data")
    assert load(path).test.features == ("length", "width")
    headless = load(written(tmp_path, "\n".join(lines), "u.data"))
    assert headless.test.features == ("column 1", "column 2")


@pytest.mark.parametrize(("name", "kept"), [("Id", 0), ("row_number", 0), ("age", 1)])
def test_a_column_that_counts_the_rows_is_known_by_its_name(name, kept, tmp_path):
    lines = [f"{i + 1},{i / 7:.3f},{i % 2}" for i in range(90)]
    found = load(written(tmp_path, "\n".join([f"{name},length,label", *lines])))
    assert len(found.test.features) == 1 + kept
    assert found.facts.get("dropped") == (None if kept else [name])


def test_columns_are_dropped_by_name(tmp_path):
    lines = [f"Name{i},{i / 7:.3f},{i % 4},{i % 2}" for i in range(90)]
    path = written(tmp_path, "\n".join(["surname,length,width,label", *lines]))
    with pytest.raises(DataError, match="--drop 'surname'"):
        load(path)
    assert load(path, drop=["surname", "width"]).test.features == ("length",)
    with pytest.raises(DataError, match="did you mean surname"):
        load(path, drop=["surnam"])
    with pytest.raises(DataError, match="leave out --drop"):
        load("digits", drop=["x"])


def test_the_label_may_stand_first(tmp_path):
    """Digits as tables without names: the label, then pixels of which the last is always 0."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (90, 8))
    pixels[:, -1] = 0
    lines = [",".join(map(str, [i % 3, *row])) for i, row in enumerate(pixels)]
    found = load(written(tmp_path, "\n".join(lines)))
    assert (found.facts["label"], found.facts["label_guessed"]) == ("column 1", True)
    assert found.test.classes == ("0", "1", "2")


def test_utf8_with_a_broken_letter_is_not_taken_for_another_encoding(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes("größe,label\n".encode() + b"s\xfc\xdf,1\nherb,0\n" * 30)
    with pytest.raises(DataError, match="not UTF-8"):
        load(path)


def test_whole_numbers_that_float32_makes_alike_are_refused(tmp_path):
    """Seconds since 1970 in steps of a minute: float32 has steps of 128 seconds there."""
    lines = [f"{1_700_000_000 + 60 * i},{i % 7},{'ab'[i % 2]}" for i in range(60)]
    text = "\n".join(["when,what,label", *lines])
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(
        DataError, match=r"column 'when' holds whole numbers.*--drop when"
    ) as caught:
        load(tmp_path / "t.csv")
    assert "\n" not in str(caught.value)
    found = load(tmp_path / "t.csv", drop=["when"])
    assert found.test.features == ("what",)
    # a few beside each other are lost in many: no reason to refuse a column
    (tmp_path / "u.csv").write_text(text.replace("17000", "170"))
    assert load(tmp_path / "u.csv").test.features == ("when", "what")
