"""What a card shows of the row it is about."""

import numpy as np

from tests.test_report_sections import DATA, decision
from toolkit.report.cards import table
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
