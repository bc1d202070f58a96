"""Curves over epochs, or over the stages of a recipe."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from toolkit.report.charts.drawing import between, breadth, frame_y, free, svg, text, ticks
from toolkit.report.quantities import plain
from toolkit.report.strings import say


def lines(series: dict[str, Sequence[float]], label: str) -> Markup:
    """Curves over epochs, one a name, at most a few."""
    width, height, left, top, bottom = 340, 220, 48, 12, 40
    right = 14 + max(map(breadth, series))
    n = max(len(values) for values in series.values())
    every = [v for values in series.values() for v in values]
    y0, y1 = min(every), max(every)
    y1 = y1 if y1 > y0 else y0 + 1.0
    x = between(0, max(n - 1, 1), left, width - right)
    y = between(y1, y0, top, height - bottom)
    parts = [frame_y(y, ticks(y0, y1), left, width - right)]
    parts.append(text(left, height - 18, "1", "middle", "figure"))
    if n > 1:
        parts.append(text(width - right, height - 18, str(n), "middle", "figure"))
    parts.append(text((left + width - right) / 2, height - 4, say("epoch"), "middle"))
    placed: list[tuple[float, float]] = []
    for i, (name, values) in enumerate(series.items()):
        points = " ".join(f"{x(e):.1f},{y(v):.1f}" for e, v in enumerate(values))
        tip = f"{name}: {plain(values[0])} → {plain(values[-1])}"
        parts.append(
            Markup('<polyline class="series s{}" points="{}"><title>{}</title></polyline>').format(
                i, points, tip
            )
        )
        at = x(len(values) - 1) + 6
        up = free(at, y(values[-1]) + 4, placed, height - bottom)
        placed.append((at, up))
        parts.append(text(at, up, name, "start", f"s{i}"))
    return svg(width, height, label, parts)
