import re
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.glossary import Attribution
from toolkit.report import charts
from toolkit.report.charts import Place, Point
from toolkit.report.charts.drawing import breadth


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
            length = breadth(element.text or "")
            start = {"start": 0, "middle": 0.5, "end": 1}[element.get("text-anchor", "start")]
            left = float(element.get("x")) - start * length
            assert left >= -8, element.text
            assert left + length <= width + 12, element.text
    return root


def titled(root, tag="g"):
    return {one.find("title").text: one for one in root.iter(tag) if one.find("title") is not None}


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(st.floats(100, 1e8), st.floats(0, 100), st.floats(0, 20)), min_size=2, max_size=8
    ),
    st.none() | st.floats(100, 1e8),
    st.none() | st.floats(0, 100),
)
def test_a_frontier_stays_in_its_frame(values, most, least):
    points = [
        Point(f"model {i}", size, acc, max(acc - spread, 0), min(acc + spread, 100), 10.0, "")
        for i, (size, acc, spread) in enumerate(values)
    ]
    inside(charts.frontier(points, most_bytes=most, least_accuracy=least))


def test_a_frontier_has_the_right_order_and_its_limits():
    points = [Point("a", 1000, 90, 89, 91, 40, "base"), Point("b", 500, 80, 79, 81, 10, "chosen")]
    root = inside(charts.frontier(points, most_bytes=700, least_accuracy=85))
    circles = {title[0]: g.find("circle") for title, g in titled(root).items()}
    x, y, r = ({n: float(c.get(k)) for n, c in circles.items()} for k in ("cx", "cy", "r"))
    assert x["b"] < x["a"]
    assert y["b"] > y["a"]
    # the area is the time: four times as long is twice as wide, beyond the least dot
    assert r["a"] - 3 == pytest.approx(2 * (r["b"] - 3))
    limits = [line for line in root.iter("line") if line.get("class") == "limit"]
    assert x["b"] < float(limits[0].get("x1")) < x["a"]
    assert y["a"] < float(limits[1].get("y1")) < y["b"]


@settings(max_examples=40)
@given(st.lists(st.floats(-1, 1), min_size=1, max_size=40), st.floats(0, 0.5))
def test_bars_are_as_long_as_their_values(values, error):
    values = np.array(values)
    most = float(np.abs(values).max())
    names = [f"feature {i}" for i in range(len(values))]
    root = inside(charts.bars(names, values, np.full(len(values), error), most, "label"))
    widths = [float(r.get("width")) for r in root.iter("rect")]
    expected = sorted(np.abs(values), reverse=True)
    full = 76
    for width, value in zip(widths, expected, strict=True):
        assert width == pytest.approx(full * value / most if most else 0, abs=0.02)


def test_bars_say_their_direction():
    root = parsed(charts.bars(["up", "down"], np.array([0.5, -0.25]), np.zeros(2), 0.5, "l"))
    assert [g.get("class") for g in root.iter("g")] == ["for", "against"]
    assert list(titled(root)) == ["up: +0.500 ± 0.000", "down: −0.250 ± 0.000"]


def test_means_have_whiskers_where_an_interval_is():
    root = inside(charts.means(["a", "b"], [0.4, 0.2], [(0.3, 0.5), (0.2, 0.2)], "l"))
    rects = [float(r.get("width")) for r in root.iter("rect")]
    assert rects[0] == pytest.approx(2 * rects[1])
    (whisker,) = [one for one in root.iter("line") if one.get("class") == "whisker"]
    middle = (float(whisker.get("x1")) + float(whisker.get("x2"))) / 2
    assert middle == pytest.approx(float(next(root.iter("rect")).get("x")) + rects[0], abs=0.1)


def attribution(values, base):
    values = np.array(values)
    return Attribution(
        "shapley", "m", 0, values, 0 * values + 0.01, base, base + values.sum(), 0, 1, 0, True
    )


@settings(max_examples=40)
@given(
    st.lists(st.integers(-200, 200).map(lambda v: v / 1000), min_size=1, max_size=30),
    st.floats(0, 1),
)
def test_a_waterfall_leads_from_the_base_to_the_prediction(values, base):
    from toolkit.report.cards import reach

    a = attribution(values, base)
    names = [f"f{i}" for i in range(len(values))]
    root = inside(charts.waterfall(names, a, reach(a), "l"))
    lines = [float(one.get("x1")) for one in root.iter("line") if one.get("class") == "axis"]
    low, high = reach(a)
    scale = 152 / ((high - low) or 1)
    assert lines[-1] - lines[0] == pytest.approx(scale * (a.prediction - a.base), abs=0.2)
    # each step ends where the next one starts
    rects = [(float(r.get("x")), float(r.get("width"))) for r in root.iter("rect")]
    for (x, width), before, after in zip(rects, lines, lines[1:], strict=False):
        assert min(before, after) == pytest.approx(x, abs=0.6)
        assert max(before, after) == pytest.approx(x + width, abs=0.6)


@settings(max_examples=25)
@given(st.integers(1, 60), st.integers(1, 5), st.integers(0, 9))
def test_a_swarm_has_every_decision(n, p, seed):
    rng = np.random.default_rng(seed)
    values, inputs = rng.normal(size=(n, p)), rng.integers(0, 3, (n, p)).astype(float)
    rows = [f"row {i}" for i in range(n)]
    root = inside(charts.beeswarm([f"f{j}" for j in range(p)], values, inputs, rows, "l"))
    dots = list(root.iter("circle"))
    assert len(dots) == n * p
    across = [float(dot.get("cx")) for dot in dots[:n]]
    # the order along the axis is the order of the values
    assert np.all(np.diff(np.array(across)[np.argsort(values[:, 0])]) >= -0.11)


def test_a_swarm_is_dark_where_the_feature_is_high():
    values, inputs = np.array([[0.1], [0.2], [0.3]]), np.array([[5.0], [1.0], [9.0]])
    dots = parsed(charts.beeswarm(["f"], values, inputs, ["a", "b", "c"], "l")).iter("circle")
    shades = [float(dot.get("fill-opacity")) for dot in dots]
    assert shades[1] < shades[0] < shades[2]


@pytest.mark.parametrize("categories", [(), ("red", "a rather long colour", "blue")])
def test_a_scatter_has_the_right_places(categories):
    across, up = np.array([0.0, 1.0, 2.0]), np.array([-0.1, 0.0, 0.3])
    root = inside(
        charts.scatter(
            "colour",
            across,
            up,
            errors=np.full(3, 0.01),
            rows=["a", "b", "c"],
            label="l",
            categories=categories,
        )
    )
    x = [float(dot.get("cx")) for dot in root.iter("circle")]
    y = [float(dot.get("cy")) for dot in root.iter("circle")]
    assert x[1] - x[0] == pytest.approx(x[2] - x[1], abs=0.2)
    assert (y[0] - y[1]) * 3 == pytest.approx(y[1] - y[2], abs=0.5)
    if categories:
        assert "colour = red" in next(iter(titled(root)))


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


@settings(max_examples=40)
@given(st.lists(st.tuples(st.floats(-1, 1), st.floats(0, 0.3)), min_size=1, max_size=6))
def test_a_ruler_stays_in_its_frame(values):
    places = [Place(f"p{i}", v, v - s, v + s) for i, (v, s) in enumerate(values)]
    root = inside(charts.ruler(places, {"random": 0.0, "noise floor": 1.0}, "l"))
    dots = [float(dot.get("cx")) for dot in root.iter("circle")]
    order = np.argsort([v for v, _ in values], kind="stable")
    assert np.all(np.diff(np.array(dots)[order]) >= -0.11)


@settings(max_examples=40)
@given(st.lists(st.floats(-1, 1), min_size=1, max_size=300))
def test_a_strip_has_a_dot_for_each(values):
    root = inside(charts.strip(values, [f"row {i}" for i in range(len(values))], {"noise": 1}, "l"))
    assert len(titled(root, "circle")) == len(values)


def test_every_chart_has_a_name_and_text_is_escaped():
    svg = charts.bars(["<b>&"], np.array([1.0]), np.zeros(1), 1.0, '"><script>')
    root = parsed(svg)
    assert root.get("role") == "img"
    assert root.get("aria-label") == '"><script>'


@settings(max_examples=30)
@given(
    st.lists(
        st.tuples(st.floats(0, 100), st.floats(0, 100), st.floats(0, 30), st.integers(1, 10**6)),
        min_size=1,
        max_size=10,
    ),
    st.sampled_from(["", "<b>&", "a long name of a model", "模型"]),
)
def test_reliability_stays_in_its_frame_and_tells_every_bin(values, name):
    bins = [
        charts.Bin(sure, right, max(right - half, 0), min(right + half, 100), n)
        for sure, right, half, n in values
    ]
    root = inside(charts.reliability({"base": bins[:3], f"small {name}": bins}, "l"))
    marks = [g for g in root.iter("g") if g.find("title") is not None]
    assert len(marks) == len(bins) + len(bins[:3])


def test_a_model_that_is_right_as_often_as_it_is_sure_stands_on_the_diagonal():
    bins = [charts.Bin(v, v, v - 5, min(v + 5, 100), 100) for v in (55.0, 75.0, 100.0)]
    root = parsed(charts.reliability({"base": bins}, "l"))
    axis = next(one for one in root.iter("line") if one.get("class") == "axis")
    (x1, x2, y1, y2) = (float(axis.get(k)) for k in ("x1", "x2", "y1", "y2"))
    for circle in root.iter("circle"):
        cx, cy = float(circle.get("cx")), float(circle.get("cy"))
        assert cy == pytest.approx(y1 + (cx - x1) / (x2 - x1) * (y2 - y1), abs=0.2)


def test_dots_nearer_than_the_axis_can_say_are_one():
    """Cosines of 0.999999 and 1: five ticks that all say 1 would tell nothing."""
    drawn = str(charts.strip([0.999999, 0.9999995, 1.0], list("abc"), {"noise floor": 1.0}, "x"))
    labels = re.findall(r">(\d[\d.]*)<", drawn)
    assert len(labels) == len(set(labels)) > 2
    assert len(set(re.findall(r'cx="([\d.]+)"', drawn))) == 1
