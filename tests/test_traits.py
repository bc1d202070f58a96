import numpy as np
import pytest

from toolkit.passes import PASSES
from toolkit.recipe import Recipe, load
from toolkit.space import useful
from toolkit.traits import features, likely_share

SPACE = useful()


def test_recipes_differ_as_numbers():
    table = features(SPACE)
    assert len(np.unique(table.round(9), axis=0)) == len(SPACE)


def test_a_pass_is_a_column_and_a_setting_is_one_where_it_differs():
    def recipe(name, *rows):
        return Recipe(name, (*(PASSES["static_int8"](rows=n) for n in rows), PASSES["shorten"]()))

    short, one, two = recipe("short"), recipe("one", 50), recipe("two", 200)
    assert features([short, one]).tolist() == [[1, 0], [1, 1]]
    table = features([short, one, two])
    # the passes, then the rows: straight, at 50, at 200; nothing where the pass is not
    expected = [[1, 0, 0, 0, 0], [1, 1, -0.5, 0.5, 0], [1, 1, 0.5, 0, 0.5]]
    assert np.allclose(table, expected)


def test_the_share_that_is_likely_left():
    assert likely_share(load("int8")) == 0.25
    assert likely_share(load("distil-int4-qat")) == 0.125
    half = Recipe("half", (PASSES["prune"](sparsity=0.5), PASSES["pack"]()))
    assert likely_share(half) == pytest.approx(17 / 32)
