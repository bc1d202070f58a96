"""Products of inputs by matrix and by rows: the same numbers, whatever stands for them."""

import numpy as np
import pytest

from toolkit.passes import PASSES, products
from toolkit.passes.dynamic_int8 import prepared
from toolkit.passes.products import Gathered, Products, ProductsOfRows
from toolkit.passes.round_weights import rounded
from toolkit.passes.weights_int4 import WeightsInt4

RNG = np.random.default_rng(0)


@pytest.fixture
def both():
    """Of 2 groups with 12 inputs, seen on 7 rows."""
    rows = RNG.normal(size=(2, 7, 12))
    squares = np.matmul(np.swapaxes(rows, 1, 2), rows)
    more = np.array([0.3, 0.0])
    return Products(squares).damped(more), ProductsOfRows(rows).damped(more)


def test_rows_tell_what_their_matrix_tells(both):
    whole, by_rows = both
    error = RNG.normal(size=(2, 12, 4))
    assert by_rows.diagonal() == pytest.approx(whole.diagonal())
    assert by_rows.of(error) == pytest.approx(whole.of(error))
    for one in both:
        one.start(error)
    for at in (3, 0, 3, 11):
        by = RNG.normal(size=(2, 4))
        for one in both:
            one.move(at, by)
        for other in range(12):
            assert by_rows.pull(other) == pytest.approx(whole.pull(other))
    assert both[0].of(error) == pytest.approx(by_rows.of(error))


def test_weights_are_rounded_alike(both):
    weights = RNG.uniform(-9, 9, size=(2, 12, 4))
    (one, left), (two, its) = (rounded(weights, p) for p in both)
    assert np.array_equal(one, two)
    assert its == pytest.approx(left)


def test_what_stands_for_the_products_hangs_on_what_is_fewer(monkeypatch):
    monkeypatch.setattr(products, "WIDE", 8)
    seen = np.float32(RNG.normal(size=(1, 6, 12)))
    for whole, kind in ((11, ProductsOfRows), (12, Products)):
        read = Gathered()
        for part in (seen[:, :4], seen[:, 4:]):
            read.add(part, whole)
        assert type(read.products()) is kind
        assert read.products().diagonal()[0] == pytest.approx((seen[0] ** 2).mean(axis=0), rel=1e-5)
        assert read.means()[0] == pytest.approx(seen[0].astype(float).mean(axis=0))


@pytest.mark.parametrize("step", [PASSES["round_weights"](), WeightsInt4(loss=1.0)])
def test_a_wide_layer_is_rounded_as_by_its_matrix(step, dense, digits, monkeypatch):
    fit = digits.fit
    meant = step(dense, fit).facts
    monkeypatch.setattr(products, "WIDE", 16)
    few = {**vars(step), "rows": 60}
    one = type(step)(**few)(dense, fit).facts
    monkeypatch.setattr(products, "WIDE", 4096)
    two = type(step)(**few)(dense, fit).facts
    assert one["changed"] == two["changed"] == meant["changed"]
    name = "error" if "error" in one else "lost"
    assert one[name] == pytest.approx(two[name], abs=2e-4)


@pytest.fixture
def dense(mlp, digits):
    from toolkit.exporting import export

    return prepared(export(mlp, digits.fit.validation).model)
