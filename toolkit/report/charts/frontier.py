"""Accuracy against file size: which candidates nothing beats, and where the limits lie."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from toolkit.report.charts.drawing import (
    between,
    breadth,
    frame_y,
    free,
    line,
    log_ticks,
    short,
    svg,
    text,
    ticks,
)
from toolkit.report.quantities import interval, number, plain, scale, with_unit
from toolkit.report.strings import say


@dataclass(frozen=True)
class Point:
    """A candidate: size in B, accuracy in % with its interval, latency in us or None.

    mark: "base", "chosen", "dominated" or nothing.
    """

    name: str
    nbytes: float
    accuracy: float
    low: float
    high: float
    latency: float | None
    mark: str


def frontier(
    points: Sequence[Point],
    *,
    most_bytes: float | None = None,
    least_accuracy: float | None = None,
    label: str = "",
) -> Markup:
    """Size against accuracy, the latency as area; whiskers are 95 % intervals.

    most_bytes, least_accuracy: limits, drawn as lines where they are given.
    """
    names = [short(p.name, 24) for p in points]
    width, height, left, top, bottom = 720, 380, 56, 26, 52
    right = 26 + max(map(breadth, names))
    logs = [math.log10(p.nbytes) for p in points]
    # a tenth of a decade of air on both sides
    x0, x1 = min(logs) - 0.1, max(logs) + 0.1
    if most_bytes is not None:
        x0, x1 = min(x0, math.log10(most_bytes) - 0.05), max(x1, math.log10(most_bytes) + 0.05)
    limits = [] if least_accuracy is None else [least_accuracy]
    y0 = min([p.low for p in points] + limits)
    y1 = max([p.high for p in points] + limits)
    pad = 0.06 * (y1 - y0) or 1.0
    y0, y1 = y0 - pad, min(y1 + pad, 100.5)
    x = between(x0, x1, left, width - right)
    y = between(y1, y0, top, height - bottom)
    parts = [frame_y(y, ticks(y0, y1), left, width - right)]
    divisor, unit = scale([p.nbytes for p in points], "B")
    for tick in log_ticks(10**x0, 10**x1):
        at = x(math.log10(tick))
        parts.append(text(at, height - bottom + 20, plain(tick / divisor), "middle", "figure"))
    middle = (left + width - right) / 2
    parts.append(text(middle, height - 10, say("file size, {unit} (log)", unit=unit), "middle"))
    parts.append(text(8, 14, say("accuracy, %")))
    if most_bytes is not None:
        at = x(math.log10(most_bytes))
        parts.append(line(at, at, top, height - bottom, "limit"))
        # on the side where there is room
        side, anchor = (5, "start") if at < width / 2 else (-5, "end")
        words = say("largest size allowed")
        parts.append(text(at + side, height - bottom - 6, words, anchor, "limit"))
    if least_accuracy is not None:
        parts.append(line(left, width - right, y(least_accuracy), y(least_accuracy), "limit"))
        parts.append(text(left + 4, y(least_accuracy) - 5, say("least accuracy"), "start", "limit"))
    longest = max((p.latency or 0.0 for p in points), default=0.0)
    placed: list[tuple[float, float]] = []
    # the faint ones first, so that none of them lies over a better one
    order = sorted(
        zip(points, logs, names, strict=True),
        key=lambda one: (one[0].mark != "dominated", -one[0].accuracy),
    )
    for p, log, name in order:
        at, up = x(log), y(p.accuracy)
        # the area is the time of a row
        r = 3 + 6 * math.sqrt(p.latency / longest) if p.latency and longest else 6
        parts.append(
            Markup(
                '<g class="point {}"><title>{}</title>'
                '<line x1="{:.1f}" x2="{:.1f}" y1="{:.1f}" y2="{:.1f}"/>'
                '<circle cx="{:.1f}" cy="{:.1f}" r="{:.1f}"/></g>'
            ).format(p.mark, _tip(p), at, at, y(p.low), y(p.high), at, up, r)
        )
        # beside the widest dot, so that no label lies on one
        label_y = free(at + r + 5, up + 4, placed, height - bottom)
        placed.append((at, label_y))
        parts.append(text(at + r + 5, label_y, name, "start", p.mark))
    return svg(width, height, label or say("Accuracy against file size"), parts, "wide")


def _tip(p: Point) -> str:
    parts = [
        f"{p.name}: {with_unit(p.nbytes, 'B')}",
        f"{number(p.accuracy, 1)} % (95 %: {interval(p.low, p.high, 1)})",
    ]
    if p.latency is not None:
        parts.append(say("{time} a row", time=with_unit(p.latency, "us")))
    if p.mark == "dominated":
        parts.append(say("another is smaller and no less accurate"))
    return ", ".join(parts)
