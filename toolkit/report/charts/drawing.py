"""What every chart is drawn with: the frame, words, ticks, labels that leave each other alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from unicodedata import east_asian_width

from markupsafe import Markup

from toolkit.report.quantities import number, plain
from toolkit.report.strings import isolated

LETTER, WIDE = 6.6, 12.4
"""Widths of a letter and of a Chinese character at the chart's font size, in its units."""

Scale = Callable[[float], float]
"""A value -> its place in the drawing."""


def svg(width: float, height: float, label: str, parts: Sequence[Markup], kind: str = "") -> Markup:
    """The drawing; `label` says what it shows to those who do not see it."""
    return Markup(
        '<svg role="img" class="{}" aria-label="{}" viewBox="0 0 {:.0f} {:.0f}" '
        'style="max-width:{:.0f}px">{}</svg>'
    ).format(
        kind, label, math.ceil(width), math.ceil(height), math.ceil(width), Markup("").join(parts)
    )


def text(x: float, y: float, words: str, anchor: str = "start", kind: str = "") -> Markup:
    """Words at a place; anchor: "start", "middle" or "end"."""
    # most words start where they stand and are of no special kind: a page has thousands of them
    return Markup('<text x="{:g}" y="{:g}"{}{}>{}</text>').format(
        round(x, 1),
        round(y, 1),
        Markup("") if anchor == "start" else Markup(' text-anchor="{}"').format(anchor),
        Markup(' class="{}"').format(kind) if kind else Markup(""),
        isolated(words),
    )


def breadth(words: str) -> float:
    r"""How wide words are, at most, in units of the drawing.

    >>> breadth("ab"), breadth("\u6a21\u578b")
    (13.2, 24.8)
    """
    return sum(WIDE if east_asian_width(c) in "WF" else LETTER for c in words)


def line(x1: float, x2: float, y1: float, y2: float, kind: str) -> Markup:
    """A straight line."""
    ends = (round(v, 1) for v in (x1, x2, y1, y2))
    return Markup('<line class="{}" x1="{:g}" x2="{:g}" y1="{:g}" y2="{:g}"/>').format(kind, *ends)


def between(low: float, high: float, start: float, end: float) -> Scale:
    """The scale that puts low at `start` and high at `end`."""
    span = (high - low) or 1.0
    return lambda value: start + (value - low) / span * (end - start)


def short(words: str, most: int, *, tail: bool = False) -> str:
    """Words cut to `most` letters: the first, or with `tail` the last.

    >>> short("a long name", 6), short("short", 6), short("net/dense/mul", 6, tail=True)
    ('a lon…', 'short', '…e/mul')
    """
    if len(words) <= most:
        return words
    return "…" + words[1 - most :] if tail else words[: most - 1] + "…"


def frame_y(y: Scale, ticks: Sequence[float], left: float, right: float) -> Markup:
    """Horizontal lines with their values at the left."""
    rows = [
        line(left, right, y(tick), y(tick), "grid")
        + text(left - 6, y(tick) + 4, label, "end", "figure")
        for tick, label in zip(ticks, labels(ticks), strict=True)
    ]
    return Markup("").join(rows)


def frame_x(x: Scale, ticks: Sequence[float], top: float, bottom: float) -> Markup:
    """Vertical lines with their values beneath."""
    rows = [
        line(x(tick), x(tick), top, bottom, "grid")
        + text(x(tick), bottom + 15, label, "middle", "figure")
        for tick, label in zip(ticks, labels(ticks), strict=True)
    ]
    return Markup("").join(rows)


def labels(ticks: Sequence[float]) -> list[str]:
    """Values of an axis with as many decimals as the finest needs.

    >>> labels([0.0, 0.25, 0.5])
    ['0.00', '0.25', '0.50']
    """
    digits = max((len(f"{tick:.6f}".rstrip("0").split(".")[1]) for tick in ticks), default=0)
    if ticks and 0 < max(map(abs, ticks)) < 1e-5:
        return [plain(tick) for tick in ticks]
    return [number(tick, digits) for tick in ticks]


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """About five round values inside low..high.

    >>> ticks(0.0, 1.0), ticks(0.31, 1.9)
    ([0.0, 0.2, 0.4, 0.6, 0.8, 1.0], [0.5, 1.0, 1.5])
    """
    if not high > low:
        return [low]
    unit = 10.0 ** math.floor(math.log10((high - low) / about))
    steps = [unit * m for m in (1, 2, 5, 10)]
    step = min(steps, key=lambda s: abs(math.log((high - low) / about / s)))
    first = math.ceil(low / step - 1e-9)
    return [round(i * step, 12) for i in range(first, math.floor(high / step + 1e-9) + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 of every decade inside low..high.

    >>> log_ticks(900, 6000)
    [1000.0, 2000.0, 5000.0]
    """
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    every = [float(m * 10**d) for d in decades for m in (1, 2, 5)]
    return [tick for tick in every if low <= tick <= high] or [low]


def free(x: float, y: float, placed: Sequence[tuple[float, float]], lowest: float) -> float:
    """The height nearest to y, down to `lowest`, at which a label at x touches none that stands."""
    tries = [y + 14 * step for n in range(20) for step in ((0,) if n == 0 else (n, -n))]
    taken = [other for at, other in placed if abs(x - at) < 160]
    clear = (t for t in tries if 10 < t <= lowest and all(abs(t - other) >= 14 for other in taken))
    return next(clear, y)
