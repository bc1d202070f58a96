"""Reasons as shap's own type: each of its plots draws them, with words where a code stands."""

import numpy as np
import pytest

from tests.test_shapley import Probability
from toolkit import parquet
from toolkit.explainers import EXPLAINERS
from toolkit.explainers.players import features, grid, words
from toolkit.glossary import Data, Words
from toolkit.run import Run, from_json, to_json

TOWNS = ("Köln", "Paris, FR", "Rome")


@pytest.fixture(autouse=True)
def agg():
    import matplotlib as mpl
    from matplotlib import pyplot

    before = mpl.get_backend()
    pyplot.switch_backend("Agg")
    yield
    pyplot.close("all")
    pyplot.switch_backend(before)


def sure(x):
    return 1 / (1 + np.exp(-x.reshape(len(x), -1).sum(axis=1)))


def explained(players, p):
    model = Probability(p, sure)
    model.shape = players.x.shape
    return EXPLAINERS["shapley"]()(model, players, 1, row=4)


@pytest.fixture
def of_table():
    """A number, a town, and a number that stands for no town there is."""
    x = np.float32([[0.5, 2, 1], [1.5, 0, 7], [-0.5, 1, 0]])
    names = {1: TOWNS, 2: ("a", "b")}
    data = Data(x, np.array([0, 1, 0]), ("no", "yes"), ("age", "town", "kind"), categories=names)
    return explained(features(data.x[1], data), 3)


@pytest.fixture
def of_text():
    vocabulary = Words(("", "[UNK]", "good", "day"), 4)
    x = np.float32([[2, 3, 2, 0]])
    rows = Data(x, np.array([0]), ("no", "yes"), kind="text", words=vocabulary)
    return explained(words(x[0], rows), 4)


@pytest.fixture
def of_picture():
    x = np.random.default_rng(0).uniform(0, 1, (5, 6, 8, 3)).astype(np.float32) / 50
    data = Data(x, np.arange(5) % 2, ("no", "yes"), kind="image")
    return explained(grid(x[0], data, patches=4), 144)


@pytest.mark.parametrize("of", ["of_table", "of_text", "of_picture"])
@pytest.mark.parametrize("plot", ["waterfall", "bar", "force", "decision"])
def test_plots_of_one_row(of, plot, request):
    import shap

    one = request.getfixturevalue(of).to_shap()
    draw = getattr(shap.plots, plot)
    if plot == "decision":
        draw(one.base_values, one.values, one.data, list(one.feature_names), show=False)
    elif plot == "force":
        draw(one, matplotlib=True, show=False)
    else:
        draw(one, show=False)


def test_categories_are_named(of_table):
    one = of_table.to_shap()
    assert one.data.tolist() == [1.5, "Köln", 7.0]
    frame = of_table.to_frame()
    assert frame["shown"].tolist() == [1.5, 0.0, 7.0]
    assert frame["written"].tolist() == ["", "Köln", ""]


def test_a_beeswarm_of_many_rows(of_table):
    import shap

    one = of_table
    three = (np.stack([part] * 3) for part in (one.values, one.shown))
    values, shown = three
    names = list(one.names)
    shap.plots.beeswarm(
        shap.Explanation(values, np.full(3, one.base), shown, feature_names=names), show=False
    )


def test_words_are_drawn_as_a_text(of_text):
    import shap

    assert of_text.to_shap().data.tolist() == ["good ", "day "]
    assert "good" in shap.plots.text(of_text.to_shap(), display=False)
    assert of_text.to_frame()["written"].tolist() == ["good", "day"]


def test_a_picture_is_drawn_by_its_pixels(of_picture):
    import shap

    drawn = of_picture.to_shap(pixels=True)
    assert drawn.shape == (1, 6, 8, 3)
    assert np.array_equal(drawn.data[0], of_picture.picture[0])
    assert drawn.values.sum() == pytest.approx(of_picture.values.sum())
    assert drawn.values[0, :3, 4:].sum() == pytest.approx(of_picture.values[1])
    shap.plots.image(drawn, show=False)


def test_pixels_are_told_to_be_unknown_of_a_table_and_a_saved_run(of_table, of_picture):
    run = Run("t", "now", "explain", "f", None, {}, attributions=(of_table, of_picture))
    saved = to_json(run)
    assert '"picture":' not in saved
    table, picture = from_json(saved).attributions
    assert table.to_frame()["written"].tolist() == ["", "Köln", ""]
    for one in (table, picture):
        with pytest.raises(ValueError, match="no picture is known"):
            one.to_shap(pixels=True)


def test_a_run_that_was_saved_without_the_new_fields_opens(of_text):
    import json

    raw = json.loads(to_json(Run("t", "now", "explain", "f", None, {}, attributions=(of_text,))))
    for name in ("written", "worded"):
        raw["attributions"][0].pop(name)
    (old,) = from_json(json.dumps(raw)).attributions
    assert old.to_shap().data.tolist() == [2.0, 3.0]


def test_parquet_names_categories_and_words(of_table, of_text, tmp_path):
    import pandas as pd

    for one in (of_table, of_text):
        path = tmp_path / "why.parquet"
        path.write_bytes(parquet.lines([one], "test", ("no", "yes"), {}))
        assert pd.read_parquet(path)["written"].tolist() == one.to_frame()["written"].tolist()
