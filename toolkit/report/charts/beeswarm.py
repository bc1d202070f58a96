"""One dot a decision in each feature's row: how far it moved the answer, and at which value."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from toolkit.glossary import Doubles
from toolkit.report.charts.drawing import between, breadth, frame_x, line, short, svg, text, ticks
from toolkit.report.quantities import plain, signed

_ROW, _DOT = 30, 3.0


def beeswarm(
    names: Sequence[str], values: Doubles, inputs: Doubles, rows: Sequence[str], label: str
) -> Markup:
    """values: f64 (n, p) attributions; inputs: f64 (n, p) what the features held.

    Dots are dark where the feature is high among these decisions, light where it is low.
    """
    p = values.shape[1]
    left = 12 + max(breadth(short(name, 26)) for name in names)
    width, height = left + 420, _ROW * p + 34
    most = float(np.abs(values).max()) or 1.0
    x = between(-1.05 * most, 1.05 * most, left, width - 12)
    parts = [frame_x(x, ticks(-most, most), 4, height - 26)]
    parts.append(line(x(0), x(0), 4, height - 26, "axis"))
    for j in range(p):
        middle = 4 + _ROW * j + _ROW / 2
        parts.append(text(left - 6, middle + 4, short(names[j], 26), "end"))
        ups = _spread([x(v) for v in values[:, j]])
        parts += [
            Markup(
                '<circle class="dot" cx="{:.1f}" cy="{:.1f}" r="3" fill-opacity="{:.2f}">'
                "<title>{}</title></circle>"
            ).format(
                x(value),
                middle + up,
                0.15 + 0.85 * shade,
                f"{row}: {names[j]} = {plain(held)}, {signed(value)}",
            )
            for value, held, up, shade, row in zip(
                values[:, j].tolist(),
                inputs[:, j].tolist(),
                ups,
                _ranks(inputs[:, j]).tolist(),
                rows,
                strict=True,
            )
        ]
    return svg(width, height, label, parts, "wide")


def _ranks(values: Doubles) -> Doubles:
    """Where each value lies among the others, 0 to 1; ties share a place."""
    distinct, place = np.unique(values, return_inverse=True)
    return place / max(len(distinct) - 1, 1)


def _spread(across: Sequence[float]) -> list[float]:
    """Heights at which dots that would lie on each other stand beside each other."""
    found: list[float] = []
    offsets = [0.0] + [sign * step * _DOT for step in range(1, 5) for sign in (1.0, -1.0)]
    for i, at in enumerate(across):
        near = [found[j] for j in range(i) if abs(across[j] - at) < 2 * _DOT]
        clear = (o for o in offsets if all(abs(o - other) >= _DOT for other in near))
        found.append(next(clear, offsets[i % len(offsets)]))
    return found
