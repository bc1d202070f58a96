"""How one figure is spread over decisions: a dot each, stacked where they are alike."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from toolkit.report.charts.drawing import between, frame_x, line, svg, text, ticks
from toolkit.report.quantities import number

_BINS = 60
_LEAST = 0.002


def strip(
    values: Sequence[float], names: Sequence[str], marks: dict[str, float], label: str
) -> Markup:
    """names: what each dot is called. marks: name -> a value that a line is drawn at."""
    low, high = min([*values, *marks.values()]), max([*values, *marks.values()])
    # what is nearer than an axis can say is drawn as one
    low = min(low, high - _LEAST)
    pad = 0.04 * (high - low)
    width, left, right, top = 560, 24, 30, 24
    x = between(low - pad, high + pad, left, width - right)
    bins: dict[int, list[tuple[float, str]]] = {}
    for value, name in sorted(zip(values, names, strict=True)):
        bins.setdefault(int((x(value) - left) / (width - left - right) * _BINS), []).append(
            (value, name)
        )
    tallest = max(len(dots) for dots in bins.values())
    # many decisions: thinner dots, so that the heap keeps its height
    step = min(8.0, 120 / tallest)
    floor = top + max(step * tallest, 24) + 6
    parts = [frame_x(x, ticks(low - pad, high + pad), top, floor)]
    for name, value in marks.items():
        parts.append(line(x(value), x(value), top - 4, floor, "limit"))
        parts.append(text(x(value), top - 9, name, "end" if x(value) > width * 0.8 else "middle"))
    for place, dots in bins.items():
        at = left + (place + 0.5) * (width - left - right) / _BINS
        for up, (value, name) in enumerate(dots):
            parts.append(
                Markup(
                    '<circle class="dot" cx="{:.1f}" cy="{:.1f}" r="{:.1f}"><title>{}</title>'
                    "</circle>"
                ).format(
                    at,
                    floor - 4 - step * up,
                    max(min(3.6, step / 2), 0.8),
                    f"{name}: {number(value, 3)}",
                )
            )
    return svg(width, floor + 22, label, parts, "wide")
