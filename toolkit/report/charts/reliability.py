"""How often answers are right against how sure the model was of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from toolkit.report.charts.drawing import (
    between,
    breadth,
    frame_x,
    frame_y,
    free,
    line,
    svg,
    text,
    ticks,
)
from toolkit.report.quantities import number
from toolkit.report.strings import say


@dataclass(frozen=True)
class Bin:
    """Answers of about the same confidence: how sure on average, and how many were right, in %.

    low, high: the 95 % interval of `right`. n: answers.
    """

    sure: float
    right: float
    low: float
    high: float
    n: int


def reliability(series: Mapping[str, Sequence[Bin]], label: str) -> Markup:
    """A line a model, at most two; on the diagonal a model is right as often as it is sure."""
    left, top, bottom, side = 48, 28, 44, 264
    right = 14 + max(map(breadth, series))
    width, height = left + side + right, top + side + bottom
    least = min((b.sure for bins in series.values() for b in bins), default=0.0)
    start = max(10.0 * ((least - 1) // 10), 0.0)
    low = min((b.low for bins in series.values() for b in bins), default=0.0)
    floor = max(min(10.0 * (low // 10), start), 0.0)
    x = between(start, 100.0, left, left + side)
    y = between(100.0, floor, top, top + side)
    parts = [
        frame_y(y, ticks(floor, 100.0), left, left + side),
        frame_x(x, ticks(start, 100.0), top, top + side),
        line(x(start), x(100.0), y(start), y(100.0), "axis"),
        text(left, 14, say("right, %"), "middle"),
        text(left + side / 2, height - 6, say("how sure, %"), "middle"),
    ]
    placed: list[tuple[float, float]] = []
    for i, (name, bins) in enumerate(series.items()):
        points = " ".join(f"{x(b.sure):.1f},{y(b.right):.1f}" for b in bins)
        parts.append(Markup('<polyline class="series s{}" points="{}"/>').format(i, points))
        for b in bins:
            tip = say(
                "{name}: {sure} % sure, {right} % right, {n} answers",
                name=name,
                sure=number(b.sure, 1),
                right=number(b.right, 1),
                n=number(b.n, 0),
            )
            parts.append(
                Markup('<g class="s{}"><title>{}</title>{}').format(
                    i, tip, line(x(b.sure), x(b.sure), y(b.low), y(b.high), "whisker")
                )
                + Markup('<circle cx="{:.1f}" cy="{:.1f}" r="{}"/></g>').format(
                    x(b.sure), y(b.right), 4 if i else 6
                )
            )
        if bins:
            at = left + side + 8
            up = free(at, y(bins[-1].right) + 4, placed, top + side)
            placed.append((at, up))
            parts.append(text(at, up, name, "start", f"s{i}"))
    return svg(width, height, label, parts)
