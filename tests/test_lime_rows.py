"""LIME of rows of tables: many rows together, and rows unlike any that the table has."""

import numpy as np
import pytest

from tests.test_lime import Curved, Linear, table
from toolkit.explainers.lime import Lime
from toolkit.explainers.players import features


def test_a_category_that_no_training_row_has():
    data = table(60, 3, categories={1: ("x", "y", "z")})
    data.x[:, 1] = np.arange(60) % 2
    row = data.x[0].copy()
    row[1] = 2
    found = Lime(samples=400)(Linear(np.array([0.01, 0.1, 0.01]), (3,)), features(row, data), 1)
    assert np.isfinite(found.values).all()
    assert found.facts["labels"][1] == "b=z"


def test_rows_of_one_table_share_their_samples():
    """To the bit what each row has alone, and the model is asked once for all."""
    from toolkit.explainers.players import Players

    data = table(60, 3, categories={1: ("x", "y")})
    data.x[:, 1] = np.arange(60) % 2
    asked = []

    class Watching(Curved):
        def __call__(self, x):
            asked.append(len(x))
            return super().__call__(x)

    model = Watching(np.array([0.2, 0.4, -0.3]), (3,))
    rows: dict[int, Players] = {i: features(data.x[i], data) for i in (3, 5, 8)}
    for explainer in (Lime(samples=800), Lime(samples=160, stable=True)):
        asked.clear()
        together = explainer.several(model, rows, [1, 0, 1], seed=3)
        once = sum(asked)
        asked.clear()
        alone = [
            explainer(model, p, t, row=r, seed=3)
            for (r, p), t in zip(rows.items(), [1, 0, 1], strict=True)
        ]
        assert once < 0.5 * sum(asked)
        for one, other in zip(together, alone, strict=True):
            assert one.values.tobytes() == other.values.tobytes()
            assert one.stderr.tobytes() == other.stderr.tobytes()
            assert (one.base, one.prediction, one.facts) == (
                other.base,
                other.prediction,
                other.facts,
            )
            assert one.evaluations == other.evaluations


def test_rows_of_several_tables_are_explained_each_by_itself():
    one, two = table(60, 3), table(50, 3)
    model = Curved(np.array([0.2, 0.4, -0.3]), (3,))
    rows = {0: features(one.x[0], one), 1: features(two.x[0], two)}
    together = Lime(samples=400).several(model, rows, [1, 1])
    for row, found in zip(rows, together, strict=True):
        alone = Lime(samples=400)(model, rows[row], 1, row=row)
        assert found.values.tobytes() == alone.values.tobytes()


@pytest.mark.parametrize("bins", [0, 4])
def test_where_no_training_row_lies_nothing_can_be_told(bins):
    """The row itself is the only sample there: what bends elsewhere must not be put on it."""
    data = table(200, 4, categories={0: ("x", "y", "z")})
    data.x[:, 0] = np.arange(200) % 2
    data.x[:, 3] = 5
    row = data.x[0].copy()
    row[[0, 3]] = 2, 9

    class Bent(Linear):
        def __call__(self, x):
            yes = 1 / (1 + np.exp(-(x[:, 1] - 5) * (x[:, 2] - 5)))
            return np.column_stack([1 - yes, yes]).astype(np.float32)

    found = Lime(samples=2000, bins=bins)(Bent(np.zeros(4), (4,)), features(row, data), 1)
    assert found.values[0] == pytest.approx(0, abs=1e-9)
    if bins:
        assert found.values[3] == pytest.approx(0, abs=1e-9)
    assert np.abs(found.values[1:3]).max() > 0.01
