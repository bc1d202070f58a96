"""The charts as pictures beside those that were looked at and kept.

Words are hidden, since fonts differ between machines; what is left are shapes and colours, which
differ between browsers at their edges alone. GOLDEN=write keeps new pictures: look at each.
"""

import io
import os
from pathlib import Path

import numpy as np
import pytest

from toolkit.glossary import Attribution
from toolkit.report import charts, templates
from toolkit.report.cards import reach

KEPT = Path(__file__).parents[1] / "golden"
FAR, MOST = 64, 0.01
"""A pixel differs when a channel does by more than FAR of 255; at most this share of them may.

Edges are smoothed over one pixel: half of its contrast is the most that rounding moves.
"""

NAMES = ["age", "pay", "hours", "weight"]
VALUES = np.array([0.31, -0.22, 0.08, 0.01])
ERRORS = np.array([0.02, 0.05, 0.01, 0.0])


def attribution(values=VALUES):
    end = 0.4 + values.sum()
    return Attribution("shapley", "m", 0, values, ERRORS, 0.4, end, 0, 1, 0, True)


def drawn(values=VALUES):
    """One of each form, from fixed data."""
    rng = np.random.default_rng(0)
    many = rng.normal(size=(30, 4)) * [1, 0.5, 0.3, 0.1]
    held = rng.integers(0, 9, (30, 4)).astype(float)
    rows = [f"row {i}" for i in range(30)]
    points = [
        charts.Point("base", 9000, 91, 89, 93, 40.0, "base"),
        charts.Point("int8", 1200, 90, 88, 92, 20.0, "chosen"),
        charts.Point("fat", 8000, 80, 78, 82, 30.0, "dominated"),
        charts.Point("tiny", 500, 84, 82, 86, 10.0, ""),
    ]
    places = [charts.Place("a", 0.9, 0.8, 0.95), charts.Place("b", 0.3, 0.2, 0.4)]
    bins = [charts.Bin(v, v - 8, v - 15, v + 2, 40) for v in (35.0, 62.0, 95.0)]
    return {
        "reliability": charts.reliability({"base": bins, "small": bins[1:]}, "l"),
        "bars": charts.bars(NAMES, values, ERRORS, 0.31, "l"),
        "means": charts.means(NAMES, abs(values), [(v, v + 0.05) for v in abs(values)], "l"),
        "waterfall": charts.waterfall(NAMES, attribution(values), reach(attribution()), "l"),
        "beeswarm": charts.beeswarm(NAMES, many, held, rows, "l"),
        "scatter": charts.scatter(
            "age", held[:, 0], many[:, 0], errors=many[:, 0] * 0 + 0.1, rows=rows, label="l"
        ),
        "frontier": charts.frontier(points, most_bytes=2000, least_accuracy=85.0, label="l"),
        "lines": charts.lines({"loss": [2, 1, 0.5, 0.4], "val_loss": [2, 1.2, 0.9, 1.0]}, "l"),
        "confusion": charts.confusion(np.array([[40, 5, 0], [2, 30, 9], [0, 1, 44]]), "abc", "l"),
        "ruler": charts.ruler(places, {"random": 0.0, "noise": 1.0}, "l"),
        "strip": charts.strip(np.cos(many[:, 0]).tolist(), rows, {"noise": 1.0}, "l"),
    }


def photographed(browser, svg, scheme="light"):
    page = browser.new_page(viewport={"width": 900, "height": 700}, color_scheme=scheme)
    page.set_content(
        f"<style>{templates.style()} body {{ margin: 0; padding: 0 }} "
        f"svg {{ width: 480px }} svg text {{ visibility: hidden }}</style>{svg}"
    )
    shot = page.locator("svg").screenshot()
    page.close()
    return shot


def pixels(shot):
    from PIL import Image

    return np.asarray(Image.open(io.BytesIO(shot)).convert("RGB")).astype(int)


def apart(one, other):
    """The share of pixels that differ; pictures of different sizes differ in all."""
    if one.shape != other.shape:
        return 1.0
    return float((np.abs(one - other).max(axis=2) > FAR).mean())


@pytest.mark.parametrize("name", [*drawn(), "frontier-dark", "confusion-dark"])
def test_a_chart_looks_as_it_was_kept(name, browser):
    form, _, scheme = name.partition("-")
    shot = photographed(browser, drawn()[form], scheme or "light")
    path = KEPT / f"{name}.png"
    if os.environ.get("GOLDEN") == "write":
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(shot)
    assert path.is_file(), "look at the chart and keep it with GOLDEN=write"
    assert apart(pixels(shot), pixels(path.read_bytes())) <= MOST


@pytest.mark.parametrize("name", ["bars", "means", "waterfall"])
def test_another_value_is_another_picture(name, browser):
    """A bar that is 0.13 longer on an axis of 0.31 is seen; the tolerance does not hide it."""
    kept = pixels((KEPT / f"{name}.png").read_bytes())
    other = drawn(VALUES * [1, 1.6, 1, 1])[name]
    assert apart(pixels(photographed(browser, other)), kept) > MOST


def test_other_colours_are_another_picture(browser):
    light = pixels((KEPT / "frontier.png").read_bytes())
    assert apart(pixels((KEPT / "frontier-dark.png").read_bytes()), light) > 0.5
