"""From the value with everything hidden to the prediction, one player after another."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from toolkit.glossary import Attribution
from toolkit.report.charts.drawing import between, breadth, line, short, svg, text
from toolkit.report.quantities import number, signed
from toolkit.report.strings import say

_STEP, _MOST = 20, 12


def waterfall(
    names: Sequence[str],
    a: Attribution,
    ends: tuple[float, float],
    label: str,
    order: Sequence[int] | None = None,
) -> Markup:
    """Each bar starts where the one above ended; whiskers are one standard error.

    ends: the least and the greatest probability of the axis. order: of the players; beyond twelve
    the last are one bar, since each of them is small.
    """
    placed = list(np.argsort(-np.abs(a.values), kind="stable") if order is None else order)
    rows = [(names[i], float(a.values[i]), float(a.stderr[i])) for i in placed[: _MOST - 1]]
    rest = placed[_MOST - 1 :]
    if len(rest) == 1:
        rows.append((names[rest[0]], float(a.values[rest[0]]), float(a.stderr[rest[0]])))
    elif rest:
        # the errors of players of one row are not independent: their sum bounds that of the sum
        rows.append(
            (
                say("{n} others", n=len(rest)),
                float(a.values[rest].sum()),
                float(a.stderr[rest].sum()),
            )
        )
    shown = [short(name, 24) for name, _, _ in rows]
    first, last = say("all hidden"), say("prediction")
    left = 12 + max(map(breadth, [*shown, first, last]))
    full, figures = 152.0, 52
    width, height = left + full + figures, _STEP * (len(rows) + 2) + 8
    x = between(ends[0], ends[1], left, left + full)
    now = a.base
    parts = [line(x(now), x(now), 4, 4 + _STEP, "axis"), text(left - 6, 16, first, "end", "figure")]
    parts.append(text(width - 4, 16, number(now, 3), "end", "figure"))
    for place, (name, value, error) in enumerate(rows, 1):
        top = 4 + place * _STEP
        start, end = x(min(now, now + value)), x(max(now, now + value))
        parts.append(
            Markup(
                '<g class="{}"><title>{}</title>'
                '<rect x="{:.2f}" y="{}" width="{:.2f}" height="12"/>'
            ).format(
                "for" if value >= 0 else "against",
                f"{name}: {signed(value)} ± {number(error, 3)}",
                start,
                top + 2,
                max(end - start, 0.5),
            )
        )
        now += value
        reach = x(now + error) - x(now)
        if reach > 0.5:
            low, high = max(x(now) - reach, left), min(x(now) + reach, left + full)
            parts.append(line(low, high, top + 8, top + 8, "whisker"))
        parts.append(line(x(now), x(now), top + 2, top + _STEP + 2, "axis"))
        parts.append(Markup("</g>"))
        parts.append(text(left - 6, top + 12, shown[place - 1], "end"))
        parts.append(text(width - 4, top + 12, signed(value), "end", "figure"))
    top = 4 + (len(rows) + 1) * _STEP
    parts.append(text(left - 6, top + 12, last, "end", "figure"))
    parts.append(text(width - 4, top + 12, number(a.prediction, 3), "end"))
    parts.append(line(x(a.prediction), x(a.prediction), top - 2, top + 14, "axis"))
    return svg(width, height, label, parts)
