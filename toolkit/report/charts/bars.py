"""Horizontal bars: signed about zero with a standard error, or means with an interval."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from toolkit.glossary import Doubles
from toolkit.report.charts.drawing import breadth, line, short, svg, text
from toolkit.report.quantities import number, signed

_STEP = 20


def bars(
    names: Sequence[str],
    values: Doubles,
    errors: Doubles,
    most: float,
    label: str,
    *,
    order: Sequence[int] | None = None,
) -> Markup:
    """Signed bars about a zero line; whiskers are one standard error.

    most: the value of a full bar. order: of the bars; the largest first where it is not given.
    """
    placed = np.argsort(-np.abs(values), kind="stable") if order is None else np.asarray(order)
    shown = [short(names[i], 24) for i in placed]
    left = 12 + max(map(breadth, shown))
    half, figures = 76.0, 52
    width, height = left + 2 * half + figures, _STEP * len(placed) + 8
    zero = left + half
    parts = [line(zero, zero, 0, height, "axis")]
    most = most or 1.0
    for place, i in enumerate(placed):
        value, error = float(values[i]), float(errors[i])
        length = min(abs(value) / most, 1.0) * half
        top = 4 + place * _STEP
        start = zero if value >= 0 else zero - length
        end = zero + math.copysign(length, value)
        spread = min(error / most, 1.0) * half
        tip = f"{names[i]}: {signed(value)} ± {number(error, 3)}"
        parts.append(
            Markup(
                '<g class="{}"><title>{}</title>'
                '<rect x="{:.2f}" y="{}" width="{:.2f}" height="12"/>'
            ).format("for" if value >= 0 else "against", tip, start, top + 2, length)
        )
        if spread > 0.5:
            low, high = max(end - spread, left), min(end + spread, zero + half)
            parts.append(line(low, high, top + 8, top + 8, "whisker"))
        parts.append(Markup("</g>"))
        parts.append(text(left - 6, top + 12, shown[place], "end"))
        parts.append(text(width - 4, top + 12, signed(value), "end", "figure"))
    return svg(width, height, label, parts)


def means(
    names: Sequence[str],
    values: Sequence[float],
    ends: Sequence[tuple[float, float]],
    label: str,
    *,
    digits: int = 3,
    tails: bool = False,
) -> Markup:
    """Bars from zero, in the order given; whiskers are the ends of an interval.

    tails: of long names the last letters are shown, where these tell one from another.
    """
    shown = [short(name, 26, tail=tails) for name in names]
    left = 12 + max(map(breadth, shown))
    full, figures = 210.0, 56
    width, height = left + full + figures, _STEP * len(shown) + 8
    most = max([*values, *(high for _, high in ends)], default=0.0) or 1.0
    parts = [line(left, left, 0, height, "axis")]
    for place, (name, value, (low, high)) in enumerate(zip(shown, values, ends, strict=True)):
        top = 4 + place * _STEP
        known = f" ({number(low, digits)} – {number(high, digits)})" if high > low else ""
        parts.append(
            Markup(
                '<g class="plain"><title>{}</title>'
                '<rect x="{:.2f}" y="{}" width="{:.2f}" height="12"/>'
            ).format(
                f"{names[place]}: {number(value, digits)}{known}",
                left,
                top + 2,
                max(value, 0.0) / most * full,
            )
        )
        if high > low:
            start, end = (left + max(v, 0.0) / most * full for v in (low, high))
            parts.append(line(start, end, top + 8, top + 8, "whisker"))
        parts.append(Markup("</g>"))
        parts.append(text(left - 6, top + 12, name, "end"))
        parts.append(text(width - 4, top + 12, number(value, digits), "end", "figure"))
    return svg(width, height, label, parts)
