"""What a card shows of the row it is about."""

import numpy as np

from tests.test_report_sections import DATA, decision
from toolkit.glossary import Decision
from toolkit.report import pictures
from toolkit.report.cards import picture_of, table
from toolkit.run import Run


def test_a_value_that_fills_gaps_is_marked():
    """0.1 has no exact f32: what the row holds and what the data tell must still be the same."""
    data = {**DATA, "fill": {"pay": 0.1}}
    run = Run("t", "now", "explain", "base", None, data)
    row = decision(0)
    row.x[1] = np.float32(0.1)
    assert table(run, row) == [("age", "30"), ("pay", "0.100 or gap")]
    row.x[1] = 0.2
    assert table(run, row) == [("age", "30"), ("pay", "0.200")]
    assert table(Run("t", "now", "explain", "base", None, DATA), row)[1] == ("pay", "0.200")


def test_a_picture_of_one_value_is_shown_beside_the_others_of_the_page():
    """White among pictures from 0 to 1, all but black among those from 0 to 255."""
    cut = np.zeros((4, 4), np.int64)
    for most, wanted in ((1, 255), (255, 1)):
        every = [np.ones((4, 4, 1), np.float32), np.float32(most * np.eye(4))[..., None]]
        rows = tuple(
            Decision(i, x, 0, ("patch 1",), cut, {"base": np.float32([1, 0])})
            for i, x in enumerate(every)
        )
        run = Run("t", "now", "explain", "base", None, DATA, decisions=rows)
        shown = np.full((4, 4, 3), wanted, np.uint8)
        assert picture_of(run, rows[0]) == pictures.image(shown, "row 0, the input", 150)
