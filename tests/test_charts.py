import re
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.report import charts
from toolkit.report.charts import Point


def parsed(svg):
    return ElementTree.fromstring(str(svg))  # noqa: S314  # our own text


def inside(svg):
    """No mark and no word begins outside of the drawing."""
    root = parsed(svg)
    _, _, width, height = map(float, root.get("viewBox").split())
    for element in root.iter():
        for name, most in (
            ("x", width),
            ("x1", width),
            ("x2", width),
            ("cx", width),
            ("y", height),
            ("y1", height),
            ("y2", height),
            ("cy", height),
        ):
            if element.get(name) is not None:
                assert -0.5 <= float(element.get(name)) <= most + 0.5, (element.tag, name)
        if element.tag == "text" and element.get("transform") is None:
            length = 6.6 * len(element.text or "")
            start = {"start": 0, "middle": 0.5, "end": 1}[element.get("text-anchor")]
            left = float(element.get("x")) - start * length
            assert left >= -8, element.text
            assert left + length <= width + 12, element.text
    return root


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(st.floats(100, 1e8), st.floats(0, 100), st.floats(0, 20)), min_size=2, max_size=8
    )
)
def test_a_tradeoff_stays_in_its_frame(values):
    points = [
        Point(f"model {i}", size, acc, max(acc - spread, 0), min(acc + spread, 100), 10.0, "")
        for i, (size, acc, spread) in enumerate(values)
    ]
    inside(charts.tradeoff(points))


def test_a_tradeoff_has_the_right_order():
    points = [Point("a", 1000, 90, 89, 91, 10, "base"), Point("b", 500, 80, 79, 81, 10, "chosen")]
    circles = {
        g.find("title").text[0]: g.find("circle") for g in inside(charts.tradeoff(points)).iter("g")
    }
    assert float(circles["b"].get("cx")) < float(circles["a"].get("cx"))
    assert float(circles["b"].get("cy")) > float(circles["a"].get("cy"))


@settings(max_examples=40)
@given(st.lists(st.floats(-1, 1), min_size=1, max_size=40), st.floats(0, 0.5))
def test_bars_are_as_long_as_their_values(values, error):
    values = np.array(values)
    most = float(np.abs(values).max())
    names = [f"feature {i}" for i in range(len(values))]
    root = inside(charts.bars(names, values, np.full(len(values), error), most, "label"))
    widths = [float(r.get("width")) for r in root.iter("rect")]
    expected = sorted(np.abs(values), reverse=True)
    for width, value in zip(widths, expected, strict=True):
        assert width == pytest.approx(90 * value / most if most else 0, abs=0.02)


def test_bars_say_their_direction():
    root = parsed(charts.bars(["up", "down"], np.array([0.5, -0.25]), np.zeros(2), 0.5, "l"))
    kinds = [g.get("class") for g in root.iter("g")]
    assert kinds == ["for", "against"]
    titles = [t.text for t in root.iter("title")]
    assert titles == ["up: +0.500 ± 0.000", "down: −0.250 ± 0.000"]


@pytest.mark.parametrize(
    "series",
    [
        {"loss": [1.0]},
        {"loss": [1.0, 1.0]},
        {"loss": [3.0, 1, 0.5], "val_loss": [3.1, 1.2, 0.8]},
    ],
)
def test_lines_of_any_length(series):
    root = inside(charts.lines(series, "training"))
    assert len(list(root.iter("polyline"))) == len(series)


@pytest.mark.parametrize("names", [("0", "1"), ("a very long class name", "b", "<b>")])
def test_a_confusion_matrix_counts(names):
    k = len(names)
    counts = np.arange(k * k).reshape(k, k)
    root = inside(charts.confusion(counts, names, "c"))
    said = [int(re.search(r": (\d+)$", g.find("title").text)[1]) for g in root.iter("g")]
    assert said == counts.reshape(-1).tolist()


def test_every_chart_has_a_name_and_text_is_escaped():
    svg = charts.bars(["<b>&"], np.array([1.0]), np.zeros(1), 1.0, '"><script>')
    root = parsed(svg)
    assert root.get("role") == "img"
    assert root.get("aria-label") == '"><script>'
