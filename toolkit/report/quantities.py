"""Numbers as people read them: units, separators, and no more digits than are known."""

from __future__ import annotations

import math
from collections.abc import Iterable

from toolkit.report.strings import language, say

NARROW = "\u202f"
"""The narrow no-break space that stands between a number and its unit."""

_LADDERS = {
    "B": ((1.0, "B"), (1e3, "kB"), (1e6, "MB"), (1e9, "GB")),
    "us": ((1.0, "µs"), (1e3, "ms"), (1e6, "s")),
    "ms": ((1.0, "ms"), (1e3, "s")),
}
_MOST = 6
"""Decimals that a number is written with; a smaller one is written with an exponent."""

_NAMES = {"x": "×"}
_MINUS = str.maketrans("-", "−")
_MARKS = {"de": str.maketrans("-,.", f"−{NARROW},")}
"""How a language writes the marks of a number, where it differs from English."""


def number(value: float, places: int) -> str:
    """`value` with separators and a true minus sign.

    >>> number(12345.678, 1), number(-0.04, 1), number(-2, 0), number(2e-7, 6)
    ('12,345.7', '0.0', '−2', '2.0e−07')
    """
    if not math.isfinite(value):
        return say("not a number")
    text = f"{value:,.{places}f}"
    if places >= _MOST and value and float(text.replace(",", "")) == 0:
        # zeros would say that it is none
        text = f"{value:.1e}"
    if text.startswith("-") and not text.strip("-0.,"):
        text = text[1:]
    return marked(text)


def marked(text: str) -> str:
    """A number as Python writes it, with the marks of the language of this page."""
    return text.translate(_MARKS.get(language(), _MINUS))


def places(value: float, low: float | None = None, high: float | None = None) -> int:
    """How many decimals of `value` are known: by its interval, else three digits in all.

    >>> places(96.667, 94.6, 98.2), places(0.2, -0.5, 0.9), places(1.3, 1.28, 1.31)
    (1, 1, 3)
    """
    known = [v for v in (low, high) if v is not None and math.isfinite(v)]
    half = (max(known) - min(known)) / 2 if len(known) == 2 else 0.0
    if half > 0:
        return _places_of_spread(half)
    if value == 0 or not math.isfinite(value) or (value == int(value) and abs(value) >= 1):
        return 0
    return min(max(0, 2 - _exponent(value)), _MOST)


def _places_of_spread(half: float) -> int:
    # the Particle Data Group's rule: two digits of the spread below 3.55, one above
    first = half / 10.0 ** _exponent(half)
    return min(max(0, (1 if first < 3.55 else 0) - _exponent(half)), _MOST)


def plain(value: float) -> str:
    """`value` with the digits that are known without an interval.

    >>> plain(0.123456), plain(1234.5), plain(39.0), plain(0)
    ('0.123', '1,234', '39', '0')
    """
    return number(value, places(value))


def signed(value: float, decimals: int = 3) -> str:
    """`value` with its sign, also when it is positive.

    >>> signed(0.25), signed(-0.25), signed(0.0001)
    ('+0.250', '−0.250', '0.000')
    """
    text = number(value, decimals)
    return f"+{text}" if value > 0 and text.strip("0.,") else text


def share(value: float) -> str:
    r"""A share as a percentage, with as many digits as tell it from 0 and 100.

    >>> share(0.25), share(0.003), share(0.9996), share(1.0)
    ('25\u202f%', '0.3\u202f%', '99.96\u202f%', '100\u202f%')
    """
    if value in (0, 1) or 0.1 <= value < 0.995:
        return f"{number(100 * value, 0)}{NARROW}%"
    decimals = next((d for d in range(1, _MOST) if 0 < round(100 * value, d) < 100), _MOST)
    return f"{number(100 * value, decimals)}{NARROW}%"


def probability(value: float, decimals: int = 3) -> str:
    """A probability; where it would read as 0 or 1 and is neither, the end that it is beyond.

    >>> probability(0.25), probability(0.99998), probability(2e-9), probability(1), probability(0)
    ('0.250', '>0.999', '<0.001', '1.000', '0.000')
    """
    least = 10.0**-decimals
    if 0 < value < least / 2:
        return f"<{number(least, decimals)}"
    if 1 - least / 2 < value < 1:
        return f">{number(1 - least, decimals)}"
    return number(value, decimals)


def similarity(value: float) -> str:
    """A cosine or correlation: more decimals the nearer it is to 1, rounded towards 0.

    >>> similarity(0.9712), similarity(0.99964), similarity(1.0), similarity(-0.5)
    ('0.97', '0.9996', '1.0000', '−0.50')
    """
    gap = 1 - abs(value)
    if not math.isfinite(value) or gap <= 1e-6:
        return number(value, 4)
    decimals = min(max(2, -_exponent(gap)), 5)
    # rounding up would call 0.999 a perfect 1.00
    return number(
        math.trunc(value * 10**decimals + math.copysign(1e-9, value)) / 10**decimals, decimals
    )


def scale(values: Iterable[float], unit: str) -> tuple[float, str]:
    """The divisor and the unit in which the smallest of `values` is at least 1.

    >>> scale([35_000, 9_800], "B"), scale([0.5, 3], "ms"), scale([96.7], "%")
    ((1000.0, 'kB'), (1.0, 'ms'), (1.0, '%'))
    """
    smallest = min((abs(v) for v in values if v), default=0.0)
    ladder = _LADDERS.get(unit, ((1.0, _NAMES.get(unit, unit)),))
    fitting = [step for step in ladder if smallest >= step[0]]
    return fitting[-1] if fitting else ladder[0]


def with_unit(value: float, unit: str, decimals: int | None = None) -> str:
    r"""`value` in the unit that suits it.

    >>> with_unit(9_812, "B"), with_unit(96.666, "%", 1), with_unit(3, "")
    ('9.81\u202fkB', '96.7\u202f%', '3')
    """
    divisor, name = scale([value], unit)
    shown = value / divisor
    text = number(shown, places(shown) if decimals is None else decimals)
    return f"{text}{NARROW}{name}" if name else text


def interval(low: float, high: float, decimals: int) -> str:
    """Both ends of an interval.

    >>> interval(-0.5, 0.9, 1)
    '−0.5 to 0.9'
    """
    return say("{low} to {high}", low=number(low, decimals), high=number(high, decimals))


def listed(words: Iterable[str]) -> str:
    """Words in a sentence.

    >>> listed(["a"]), listed(["a", "b"]), listed(["a", "b", "c"])
    ('a', 'a and b', 'a, b and c')
    """
    *first, last = list(words) or [""]
    comma = say(", ")
    return say("{first} and {last}", first=comma.join(first), last=last) if first else last


def _exponent(value: float) -> int:
    return math.floor(math.log10(abs(value)))
