"""The value of a feature against how far it moved the answer, one dot a decision."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from toolkit.glossary import Doubles
from toolkit.report.charts.drawing import between, frame_x, frame_y, line, short, svg, text, ticks
from toolkit.report.quantities import plain, signed


def scatter(
    name: str,
    across: Doubles,
    up: Doubles,
    *,
    errors: Doubles,
    rows: Sequence[str],
    label: str,
    categories: Sequence[str] = (),
) -> Markup:
    """across, up: f64 (n,); errors: f64 (n,) one standard error of `up`.

    categories: the names of the codes `across` holds, when it holds codes.
    """
    width, left, right, top = 320, 52, 12, 12
    bottom = 84 if categories else 44
    height = 176 + bottom
    x0, x1 = float(across.min()), float(across.max())
    pad = 0.05 * (x1 - x0) or 0.5
    low, high = min(float((up - errors).min()), 0.0), max(float((up + errors).max()), 0.0)
    room = 0.05 * (high - low) or 0.01
    x = between(x0 - pad, x1 + pad, left, width - right)
    y = between(high + room, low - room, top, height - bottom)
    parts = [frame_y(y, ticks(low - room, high + room, 4), left, width - right)]
    if categories:
        for code in sorted(set(across.astype(int).tolist())):
            at = (x(code) + 4, height - bottom + 12)
            parts.append(
                Markup(
                    '<text class="figure" text-anchor="end" '
                    'transform="rotate(-35 {0:.1f} {1:.1f})" x="{0:.1f}" y="{1:.1f}">{2}</text>'
                ).format(*at, short(categories[code], 11))
            )
    else:
        parts.append(frame_x(x, ticks(x0 - pad, x1 + pad, 4), top, height - bottom))
    parts.append(line(left, width - right, y(0), y(0), "axis"))
    parts.append(text((left + width - right) / 2, height - 8, short(name, 40), "middle"))
    for i in range(len(up)):
        value = categories[int(across[i])] if categories else plain(float(across[i]))
        parts.append(
            Markup("<g><title>{}</title>{}").format(
                f"{rows[i]}: {name} = {value}, {signed(float(up[i]))}",
                line(
                    x(across[i]), x(across[i]), y(up[i] - errors[i]), y(up[i] + errors[i]), "faint"
                ),
            )
            + Markup('<circle class="dot" cx="{:.1f}" cy="{:.1f}" r="3.5"/></g>').format(
                x(across[i]), y(up[i])
            )
        )
    return svg(width, height, label, parts)
