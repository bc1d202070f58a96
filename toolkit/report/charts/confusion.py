"""A matrix of counts: which class is taken for which."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from toolkit.glossary import Ints
from toolkit.report.charts.drawing import breadth, short, svg, text
from toolkit.report.strings import say

_CELL = 30


def confusion(counts: Ints, classes: Sequence[str], label: str) -> Markup:
    """Rows the true class, columns the predicted one; shade by the share of the row."""
    k = len(classes)
    names = [short(c, 12) for c in classes]
    longest = max(map(len, names))
    upright = longest <= 3
    left = 30 + max(map(breadth, names))
    top = 24 + (14 if upright else 12 + max(map(breadth, names)))
    width, height = left + k * _CELL + 8, top + k * _CELL + 8
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    parts = [text(left, 12, say("predicted →")), text(4, top - 6, say("true ↓"))]
    for i in range(k):
        parts.append(text(left - 6, top + i * _CELL + 20, names[i], "end"))
        at = left + i * _CELL + _CELL / 2
        if upright:
            parts.append(text(at, top - 6, names[i], "middle"))
        else:
            parts.append(
                Markup(
                    '<text transform="rotate(-90 {0:.1f} {1:.1f})" '
                    'x="{0:.1f}" y="{1:.1f}">{2}</text>'
                ).format(at + 4, top - 6, names[i])
            )
        for j in range(k):
            share, count = float(shares[i, j]), int(counts[i, j])
            x, y = left + j * _CELL, top + i * _CELL
            parts.append(
                Markup(
                    '<g class="cell {}"><title>{}</title>'
                    '<rect x="{:.1f}" y="{:.1f}" width="{}" height="{}" fill-opacity="{:.3f}"/>'
                ).format(
                    "right" if i == j else "wrong",
                    say(
                        "true {true}, predicted {said}: {n}",
                        true=classes[i],
                        said=classes[j],
                        n=count,
                    ),
                    x,
                    y,
                    _CELL - 2,
                    _CELL - 2,
                    # a single error in a hundred must still be seen; black figures stay readable
                    0 if share == 0 else 0.1 + 0.37 * share,
                )
            )
            if count:
                parts.append(text(x + _CELL / 2 - 1, y + 19, str(count), "middle", "count"))
            parts.append(Markup("</g>"))
    return svg(width, height, label, parts)
