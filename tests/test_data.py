import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.data import load, scaled
from toolkit.data.splits import Raw, split
from toolkit.errors import DataError


def parts(splits):
    fit = splits.fit
    return fit.train, fit.validation, fit.calibration, splits.test


def test_digits_have_every_row_once(digits):
    assert sum(len(p) for p in parts(digits)) == 1797
    assert digits.test.x.dtype == np.float32
    assert digits.test.kind == "image"


def test_named_tables_keep_their_names(wine):
    assert wine.test.kind == "tabular"
    assert wine.test.features[0] == "alcohol"
    assert wine.test.classes == ("class_0", "class_1", "class_2")


@settings(max_examples=30)
@given(st.integers(60, 300), st.integers(2, 4), st.integers(0, 5))
def test_parts_share_no_row_and_lose_none(n, k, seed):
    x = np.arange(n, dtype=np.float32)[:, None]
    y = np.arange(n) % k
    found = split(Raw("r", x, y), seed=seed)
    values = np.concatenate([p.x[:, 0] for p in parts(found)])
    assert sorted(values) == list(range(n))
    again = split(Raw("r", x, y), seed=seed)
    assert all((a.x == b.x).all() for a, b in zip(parts(found), parts(again), strict=True))
    for part in parts(found):
        assert (part.y == part.x[:, 0].astype(int) % k).all()  # labels travel with their rows


def test_npz_with_its_own_test_part(tmp_path):
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 255, (200, 6, 6), np.uint8), np.arange(200) % 2
    path = tmp_path / "own.npz"
    np.savez(path, x_train=x, y_train=y, x_test=x[:20], y_test=y[:20])
    found = load(path, scale=0.5)
    assert found.test.x.shape == (20, 6, 6, 1)
    assert np.allclose(found.test.x[..., 0], x[:20] / 2)
    assert found.facts["scale"] == 0.5


@pytest.mark.parametrize(
    ("x", "y", "said"),
    [
        (np.full((60, 2), np.nan), np.arange(60) % 2, "NaN"),
        (np.zeros((0, 2)), np.zeros(0), "shape"),
        (np.zeros((60, 2)), np.arange(59) % 2, "59 labels"),
        (np.zeros((60, 2)), np.zeros(60), "1 distinct"),
        (np.zeros((60, 2)), np.linspace(0, 1, 60), "not a class"),
        (np.array([["a", "b"]] * 60), np.arange(60) % 2, "encode"),
    ],
)
def test_bad_arrays_are_refused_in_one_line(x, y, said):
    with pytest.raises(DataError, match=said) as caught:
        split(Raw("r", x, y))
    assert "\n" not in str(caught.value)


def test_labels_outside_the_classes(tmp_path):
    x, y = np.zeros((60, 2), np.float32), np.arange(60) % 2
    raw = Raw("r", x, y, x[:4], np.array([0, 1, 7, 0]))
    with pytest.raises(DataError, match="label 7 in row 2"):
        split(raw)


@pytest.mark.parametrize("spec", ["digit", "no/such.npz", "missing.npz"])
def test_unknown_sources(spec):
    with pytest.raises(DataError):
        load(spec)


def test_text_that_is_called_npz(tmp_path):
    path = tmp_path / "a.npz"
    path.write_text("hello")
    with pytest.raises(DataError, match="no data that can be read"):
        load(path)


def test_scaling_leaves_the_first_alone(wine):
    before = wine.test.x.copy()
    assert np.allclose(scaled(wine, 2.0).test.x, 2 * before)
    assert (wine.test.x == before).all()


def test_mnist_from_a_file(more_data):
    found = load(more_data / "mnist.npz")
    assert len(found.test) == 3000
    assert len(found.test.classes) == 10


def test_a_pair_of_arrays(tmp_path):
    x, y = np.arange(120.0).reshape(60, 2), np.arange(60) % 2
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", y)
    found = load(f"{tmp_path}/x.npy,{tmp_path}/y.npy")
    assert found.test.x.shape[1:] == (2,)
    assert sum(len(p) for p in parts(found)) == 60
    np.save(tmp_path / "evil.npy", np.array([{}], dtype=object))
    for wrong in ("evil.npy", "none.npy"):
        with pytest.raises(DataError, match="cannot read"):
            load(f"{tmp_path}/x.npy,{tmp_path}/{wrong}")


@pytest.mark.parametrize(
    "names",
    ["X,y", "trainX,trainY", "images,labels", "imgs,label", "arr_0,arr_1", "inputs,targets"],
)
def test_arrays_by_other_usual_names(names, tmp_path):
    x, y = names.split(",")
    values = np.arange(60 * 4).reshape(60, 4)
    np.savez(tmp_path / "a.npz", **{x: values, y: np.array([b"no", b"yes"] * 30)})
    found = load(tmp_path / "a.npz")
    assert found.test.classes == ("no", "yes")
    assert found.test.x.shape[1:] == (4,)


def test_nameless_arrays_are_not_guessed(tmp_path):
    values = np.arange(60 * 4).reshape(60, 4)
    np.savez(tmp_path / "a.npz", values, values, np.arange(60) % 2, np.arange(60) % 2)
    with pytest.raises(DataError, match="arr_0, arr_1, arr_2"):
        load(tmp_path / "a.npz")


def test_rows_without_labels(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((30, 4)))
    with pytest.raises(DataError, match=r"pair X\.npy,Y\.npy"):
        load(tmp_path / "x.npy")


def test_a_table_called_txt(tmp_path):
    (tmp_path / "t.txt").write_text("a\tb\ty\n" + "1\t2\t0\n3\t4\t1\n" * 30)
    with pytest.raises(DataError, match="3 columns"):
        load(tmp_path / "t.txt")


def arrays(n, low=0.0):
    """Rows of which none equals another, and their classes."""
    x = low + np.arange(4 * n, dtype=np.float64).reshape(n, 4)
    return x, np.arange(n) % 2


@pytest.mark.parametrize("names", ["x_val y_val", "X_valid Y_valid", "val_images val_labels"])
def test_a_validation_part_of_its_own_is_used(names, tmp_path):
    (x, y), (held, held_y), (test, test_y) = arrays(80), arrays(12, 1e3), arrays(16, 2e3)
    parts = dict(zip(names.split(), (held, held_y), strict=True))
    path = tmp_path / "d.npz"
    np.savez(path, x_train=x, y_train=y, x_test=test, y_test=test_y, **parts)
    found = load(path)
    assert np.array_equal(found.fit.validation.x, held.astype(np.float32))
    assert np.array_equal(found.test.x, test.astype(np.float32))
    assert len(found.fit.train) + len(found.fit.calibration) == 80
    assert "tested_by" not in found.facts


def test_a_validation_part_tests_where_there_is_no_other(tmp_path):
    (x, y), (held, held_y) = arrays(80), arrays(12, 1e3)
    np.savez(tmp_path / "d.npz", x_train=x, y_train=y, x_val=held, y_val=held_y)
    found = load(tmp_path / "d.npz")
    assert np.array_equal(found.test.x, held.astype(np.float32))
    assert sum(len(part) for part in vars(found.fit).values() if part is not None) == 80
    assert found.facts["tested_by"] == "validation part"


def test_half_a_validation_part_is_refused(tmp_path):
    x, y = arrays(80)
    np.savez(tmp_path / "d.npz", x_train=x, y_train=y, x_val=x)
    with pytest.raises(DataError, match="only one of x_validation and y_validation"):
        load(tmp_path / "d.npz")


@pytest.mark.parametrize("rows", [0, 1, 2])
def test_a_class_with_hardly_a_row_is_told(rows, tmp_path):
    x, y = arrays(60)
    y[:rows] = 2
    y[rows:20] = 3
    np.savez(tmp_path / "d.npz", x=x, y=y)
    found = load(tmp_path / "d.npz")
    assert found.facts["untested"] == ["2"]
    assert not (found.test.y == 2).any()


@pytest.mark.parametrize(
    "form",
    [
        lambda y: np.eye(2)[y],
        lambda y: np.eye(2, dtype=bool)[y],
        lambda y: y[:, None].astype(np.float64),
        lambda y: y.astype(np.uint8),
        lambda y: np.array(["no", "yes"])[y],
        lambda y: np.array([b"no", b"yes"])[y],
        lambda y: y.astype(bool),
        lambda y: 2 * y - 1,
    ],
)
@pytest.mark.parametrize("kind", [np.float64, np.uint16, np.int32, np.float16, bool])
def test_labels_and_rows_of_every_form(form, kind, tmp_path):
    x, y = arrays(80)
    x = (x % 256).astype(kind)
    np.savez(tmp_path / "d.npz", data=x, labels=form(y))
    found = load(tmp_path / "d.npz")
    every = np.concatenate([part.x for part in parts(found)])
    assert every.dtype == np.float32
    assert len(found.test.classes) == 2
    order = np.concatenate([part.y for part in parts(found)])
    assert sorted(map(tuple, np.c_[every, order])) == sorted(
        map(tuple, np.c_[x.astype(np.float32), y])
    )


@pytest.mark.parametrize(
    ("labels", "classes"),
    [([0, 255], "0 255"), ([0, 20], "0 20"), ([0, 2], "0 1 2"), ([0, 1, 4], "0 1 2 3 4")],
)
def test_two_labels_far_apart_are_two_classes(labels, classes):
    y = np.array(labels)[np.arange(90) % len(labels)]
    found = split(Raw("r", np.arange(180.0).reshape(90, 2), y))
    assert found.test.classes == tuple(classes.split())


def test_labels_of_the_test_part_may_lie_between():
    x, y = np.arange(180.0).reshape(90, 2), 25 * (np.arange(90) % 2)
    found = split(Raw("r", x, y, x_test=x, y_test=np.arange(90) % 26))
    assert found.test.classes == tuple(map(str, range(26)))


def test_one_hot_labels_have_a_class_for_each_column():
    """One of four has no row here."""
    x = np.arange(180.0).reshape(90, 2)
    assert split(Raw("r", x, np.eye(4)[np.arange(90) % 3])).test.classes == ("0", "1", "2", "3")
    for y, said in ((np.zeros(90, int), "1 distinct"), (np.arange(90) % 3, "10001 distinct")):
        with pytest.raises(DataError, match=said):
            split(Raw("r", x, np.eye(4 if said[:2] == "1 " else 10_001)[y]))


@pytest.mark.parametrize("held", [True, False])
def test_classes_too_small_for_a_calibration_row_each(held, tmp_path):
    """Many classes of six rows: the ranges that rounding needs come from some of them."""
    x, y = arrays(240)[0], np.arange(240) % 40
    (test, test_y), (other, other_y) = arrays(80, 1e4), arrays(80, 2e4)
    more = {"x_val": other, "y_val": other_y} if held else {}
    np.savez(tmp_path / "d.npz", x_train=x, y_train=y, x_test=test, y_test=test_y, **more)
    found = load(tmp_path / "d.npz")
    assert len(found.fit.calibration) >= 10
    fit = [found.fit.train, found.fit.calibration, *([] if held else [found.fit.validation])]
    assert np.array_equal(np.sort(np.concatenate([part.x for part in fit])[:, 0]), x[:, 0])


def test_codes_of_categories_are_not_scaled(tmp_path):
    """A code doubled is the code of another category."""
    rows = [f"{'mf'[i % 2]},{i},{'ny'[i % 3 % 2]}" for i in range(60)]
    path = tmp_path / "people.csv"
    path.write_text("\n".join(["sex,age,label", *rows]))
    with pytest.raises(DataError, match="table with categories, as in 'sex'"):
        load(path, scale=2.0)


@pytest.mark.parametrize("scale", [0.0, float("nan"), float("inf")])
def test_a_scale_that_leaves_nothing_is_refused(scale, wine):
    with pytest.raises(DataError, match="a scale other than 0"):
        scaled(wine, scale)
