"""Where figures lie on one scale, each with its interval: a row a figure, marks across all rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from toolkit.report.charts.drawing import between, breadth, frame_x, line, short, svg, text, ticks
from toolkit.report.quantities import number

_ROW = 30


@dataclass(frozen=True)
class Place:
    """A figure with its interval; low and high are None where none is known."""

    name: str
    value: float
    low: float | None = None
    high: float | None = None


def ruler(places: Sequence[Place], marks: Mapping[str, float], label: str) -> Markup:
    """marks: name -> a value that a line is drawn at through all rows."""
    names = [short(p.name, 32) for p in places]
    left = 14 + max(map(breadth, names))
    width, top = left + 430, 26
    height = top + _ROW * len(places) + 26
    every = [v for p in places for v in (p.value, p.low, p.high) if v is not None]
    low, high = min([*every, *marks.values()]), max([*every, *marks.values()])
    pad = 0.06 * (high - low) or 0.05
    # figures that lie close together need more digits to be told apart
    digits = 2 if high - low > 0.05 else 4
    x = between(low - pad, high + pad, left, width - 46)
    parts = [frame_x(x, ticks(low - pad, high + pad), top, height - 22)]
    for name, value in marks.items():
        parts.append(line(x(value), x(value), top - 4, height - 22, "limit"))
        # words at the right edge are written towards the left
        near_end = x(value) > width - 46 - breadth(name) / 2
        parts.append(text(x(value), top - 9, name, "end" if near_end else "middle"))
    for i, (p, name) in enumerate(zip(places, names, strict=True)):
        middle = top + _ROW * i + _ROW / 2
        known = ""
        if p.low is not None and p.high is not None:
            known = f" ({number(p.low, 3)} – {number(p.high, 3)})"
        parts.append(
            Markup('<g class="point chosen"><title>{}</title>').format(
                f"{p.name}: {number(p.value, 3)}{known}"
            )
        )
        if p.low is not None and p.high is not None:
            parts.append(line(x(p.low), x(p.high), middle, middle, "reach"))
        parts.append(
            Markup('<circle cx="{:.1f}" cy="{:.1f}" r="5.5"/></g>').format(x(p.value), middle)
        )
        parts.append(text(left - 6, middle + 4, name, "end"))
        parts.append(text(width - 4, middle + 4, number(p.value, digits), "end", "figure"))
    return svg(width, height, label, parts, "wide")
