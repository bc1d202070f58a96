"""Charts as inline SVG: no script, every mark tells its value, colours from the page's style."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from toolkit.glossary import Doubles, Ints
from toolkit.report.quantities import number, plain, scale, signed

_TEXT = 6.6
"""Width of a letter at the chart's font size, in units of the drawing."""


@dataclass(frozen=True)
class Point:
    """A candidate: size in B, accuracy in % with its interval, latency in us or None."""

    name: str
    nbytes: float
    accuracy: float
    low: float
    high: float
    latency: float | None
    mark: str


def tradeoff(points: Sequence[Point]) -> Markup:
    """Size against accuracy: up and to the left is better; whiskers are 95 % intervals."""
    width, height, left, top, bottom = 720, 360, 60, 24, 52
    right = 24 + max(len(p.name) for p in points) * _TEXT
    logs = [math.log10(p.nbytes) for p in points]
    # a tenth of a decade of air on both sides
    x0, x1 = min(logs) - 0.1, max(logs) + 0.1
    y0 = min(p.low for p in points)
    y1 = max(p.high for p in points)
    pad = 0.06 * (y1 - y0) or 1.0
    y0, y1 = y0 - pad, min(y1 + pad, 100.5)

    def x(value: float) -> float:
        return left + (value - x0) / (x1 - x0) * (width - left - right)

    def y(value: float) -> float:
        return top + (y1 - value) / (y1 - y0) * (height - top - bottom)

    parts = [_frame_y(y, _ticks(y0, y1), left, width - right)]
    divisor, unit = scale([p.nbytes for p in points], "B")
    for tick in _log_ticks(10**x0, 10**x1):
        at = x(math.log10(tick))
        parts.append(_text(at, height - bottom + 20, plain(tick / divisor), "middle"))
    parts.append(
        _text((left + width - right) / 2, height - 10, f"file size, {unit} (log)", "middle")
    )
    parts.append(_text(8, 14, "accuracy, %", "start"))
    placed: list[tuple[float, float]] = []
    for p, log in sorted(zip(points, logs, strict=True), key=lambda pair: -pair[0].accuracy):
        at, up = x(log), y(p.accuracy)
        tip = f"{p.name}: {plain(p.nbytes / divisor)} {unit}, {number(p.accuracy, 1)} % "
        tip += f"(95 %: {number(p.low, 1)} to {number(p.high, 1)})"
        tip += f", {plain(p.latency)} µs a row" if p.latency is not None else ""
        parts.append(
            Markup(
                '<g class="point {}"><title>{}</title>'
                '<line x1="{:.1f}" x2="{:.1f}" y1="{:.1f}" y2="{:.1f}"/>'
                '<circle cx="{:.1f}" cy="{:.1f}" r="6"/></g>'
            ).format(p.mark, tip, at, at, y(p.low), y(p.high), at, up)
        )
        label = _free(at + 11, up + 4, placed, height - bottom)
        placed.append((at, label))
        parts.append(_text(at + 11, label, p.name, "start", p.mark))
    return _svg(width, height, "Accuracy against file size", parts)


def bars(names: Sequence[str], values: Doubles, errors: Doubles, most: float, label: str) -> Markup:
    """Signed horizontal bars about a zero line, largest first; whiskers are one standard error."""
    order = np.argsort(-np.abs(values), kind="stable")
    shown = [names[i] if len(names[i]) <= 26 else names[i][:25] + "…" for i in order]
    left = 12 + max(len(name) for name in shown) * _TEXT
    step, half, figures = 20, 90.0, 60
    width, height = left + 2 * half + figures, step * len(order) + 8
    zero = left + half
    parts = [
        Markup('<line class="axis" x1="{0:.1f}" x2="{0:.1f}" y1="0" y2="{1}"/>').format(
            zero, height
        )
    ]
    most = most or 1.0
    for place, i in enumerate(order):
        value, error = float(values[i]), float(errors[i])
        length = min(abs(value) / most, 1.0) * half
        top = 4 + place * step
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
            parts.append(
                Markup('<line class="whisker" x1="{:.1f}" x2="{:.1f}" y1="{}" y2="{}"/>').format(
                    low, high, top + 8, top + 8
                )
            )
        parts.append(Markup("</g>"))
        parts.append(_text(left - 6, top + 12, shown[place], "end"))
        parts.append(_text(width - 4, top + 12, signed(value), "end", "figure"))
    return _svg(width, height, label, parts)


def lines(series: dict[str, Sequence[float]], label: str) -> Markup:
    """Curves over epochs, one a name, at most a few."""
    width, height, left, top, bottom = 340, 220, 48, 12, 40
    right = 14 + max(len(name) for name in series) * _TEXT
    n = max(len(values) for values in series.values())
    every = [v for values in series.values() for v in values]
    y0, y1 = min(every), max(every)
    y1 = y1 if y1 > y0 else y0 + 1.0

    def x(epoch: float) -> float:
        return left + (epoch / max(n - 1, 1)) * (width - left - right)

    def y(value: float) -> float:
        return top + (y1 - value) / (y1 - y0) * (height - top - bottom)

    parts = [_frame_y(y, _ticks(y0, y1), left, width - right)]
    parts.append(_text(left, height - 18, "1", "middle"))
    if n > 1:
        parts.append(_text(width - right, height - 18, str(n), "middle"))
    parts.append(_text((left + width - right) / 2, height - 4, "epoch", "middle"))
    placed: list[tuple[float, float]] = []
    for i, (name, values) in enumerate(series.items()):
        points = " ".join(f"{x(e):.1f},{y(v):.1f}" for e, v in enumerate(values))
        tip = f"{name}: {plain(values[0])} to {plain(values[-1])}"
        parts.append(
            Markup('<polyline class="series s{}" points="{}"><title>{}</title></polyline>').format(
                i, points, tip
            )
        )
        at = x(len(values) - 1) + 6
        up = _free(at, y(values[-1]) + 4, placed, height - bottom)
        placed.append((at, up))
        parts.append(_text(at, up, name, "start", f"s{i}"))
    return _svg(width, height, label, parts)


def confusion(counts: Ints, classes: Sequence[str], label: str) -> Markup:
    """A matrix of counts: rows the true class, columns the predicted one; shade by row share."""
    k = len(classes)
    names = [c if len(c) <= 12 else c[:11] + "…" for c in classes]
    cell, left = 30, 30 + max(len(c) for c in names) * _TEXT
    top = 24 + (max(len(c) for c in names) * _TEXT if max(map(len, names)) > 3 else 14)
    width, height = left + k * cell + 8, top + k * cell + 8
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    parts = [_text(left, 12, "predicted →", "start"), _text(4, top - 6, "true ↓", "start")]
    for i in range(k):
        parts.append(_text(left - 6, top + i * cell + 20, names[i], "end"))
        at = left + i * cell + cell / 2
        if max(map(len, names)) > 3:
            parts.append(
                Markup(
                    '<text transform="rotate(-90 {0:.1f} {1:.1f})" '
                    'x="{0:.1f}" y="{1:.1f}">{2}</text>'
                ).format(at + 4, top - 6, names[i])
            )
        else:
            parts.append(_text(at, top - 6, names[i], "middle"))
        for j in range(k):
            share = float(shares[i, j])
            kind = "right" if i == j else "wrong"
            parts.append(
                Markup(
                    '<g class="cell {}"><title>true {}, predicted {}: {}</title>'
                    '<rect x="{:.1f}" y="{:.1f}" width="{}" height="{}" fill-opacity="{:.3f}"/>'
                ).format(
                    kind,
                    classes[i],
                    classes[j],
                    int(counts[i, j]),
                    left + j * cell,
                    top + i * cell,
                    cell - 2,
                    cell - 2,
                    # a single error in a hundred must still be seen
                    0 if share == 0 else 0.12 + 0.7 * share,
                )
            )
            if counts[i, j]:
                at_x, at_y = left + j * cell + cell / 2 - 1, top + i * cell + 19
                parts.append(_text(at_x, at_y, str(int(counts[i, j])), "middle", "count"))
            parts.append(Markup("</g>"))
    return _svg(width, height, label, parts)


def _svg(width: float, height: float, label: str, parts: Sequence[Markup]) -> Markup:
    return Markup(
        '<svg role="img" aria-label="{}" viewBox="0 0 {:.0f} {:.0f}" '
        'style="max-width:{:.0f}px">{}</svg>'
    ).format(label, math.ceil(width), math.ceil(height), math.ceil(width), Markup("").join(parts))


def _text(x: float, y: float, words: str, anchor: str, kind: str = "") -> Markup:
    return Markup('<text x="{:.1f}" y="{:.1f}" text-anchor="{}" class="{}">{}</text>').format(
        x, y, anchor, kind, words
    )


def _frame_y(
    y: Callable[[float], float], ticks: Sequence[float], left: float, right: float
) -> Markup:
    digits = max(len(f"{tick:.6f}".rstrip("0").split(".")[1]) for tick in ticks)
    rows = [
        Markup('<line class="grid" x1="{0}" x2="{1:.1f}" y1="{2:.1f}" y2="{2:.1f}"/>{3}').format(
            left, right, y(tick), _text(left - 6, y(tick) + 4, number(tick, digits), "end")
        )
        for tick in ticks
    ]
    return Markup("").join(rows)


def _ticks(low: float, high: float) -> list[float]:
    """About five round values inside low..high.

    >>> _ticks(0.0, 1.0), _ticks(0.31, 1.9)
    ([0.0, 0.2, 0.4, 0.6, 0.8, 1.0], [0.5, 1.0, 1.5])
    """
    unit = 10.0 ** math.floor(math.log10((high - low) / 5))
    steps = [unit * m for m in (1, 2, 5, 10)]
    step = min(steps, key=lambda s: abs(math.log((high - low) / 5 / s)))
    first = math.ceil(low / step - 1e-9)
    return [round(i * step, 12) for i in range(first, math.floor(high / step + 1e-9) + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 of every decade inside low..high.

    >>> _log_ticks(900, 6000)
    [1000.0, 2000.0, 5000.0]
    """
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    every = [float(m * 10**d) for d in decades for m in (1, 2, 5)]
    return [tick for tick in every if low <= tick <= high] or [low]


def _free(x: float, y: float, placed: Sequence[tuple[float, float]], lowest: float) -> float:
    """The height nearest to y, down to `lowest`, at which a label at x touches none that stands."""
    tries = [y + 14 * step for n in range(20) for step in ((0,) if n == 0 else (n, -n))]
    taken = [other for at, other in placed if abs(x - at) < 160]
    free = (t for t in tries if 10 < t <= lowest and all(abs(t - other) >= 14 for other in taken))
    return next(free, y)
