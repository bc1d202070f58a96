"""A demand on one figure, as people write it: `accuracy class:cat >= 80`."""

from __future__ import annotations

import fnmatch
import operator
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from toolkit.behaviour import column_of
from toolkit.errors import RecipeError, near
from toolkit.glossary import Data, Measurement

FIGURES = (
    "accuracy",
    "accuracy_drop",
    "accuracy_drop_bound",
    "agreement",
    "bytes",
    "calibration_error",
    "calibration_error_change",
    "flips",
    "informedness",
    "latency_p50",
    "latency_p95",
    "latency_ratio",
    "load",
    "peak_memory",
    "zipped",
)
"""What can be demanded, in the units of the page."""

_HOLDS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
_FORM = re.compile(r"(?P<name>.+?)\s*(?P<sign>>=|<=|>|<)\s*(?P<limit>-?\d+(\.\d+)?)\s*%?")


@dataclass(frozen=True)
class Requirement:
    """A figure, a sign and a limit; `figure` may be of one class or slice, or of every one by *.

    end: "low" or "high", where it is that end of the 95 % interval which must hold, else "value".
    """

    figure: str
    sign: str
    limit: float
    end: str = "value"

    def __str__(self) -> str:
        """As it was written."""
        first, _, rest = self.figure.partition(" ")
        end = "" if self.end == "value" else f".{self.end}"
        return f"{first}{end}{f' {rest}' if rest else ''} {self.sign} {self.limit:g}"

    def column(self) -> str | None:
        """The column whose slices must be measured for it, if any."""
        found = re.match(r"\S+ slice:([^=]+)=", self.figure)
        return found[1] if found else None

    def group(self) -> str | None:
        """The pattern of the classes or slices that must be measured for it, if any."""
        rest = self.figure.partition(" ")[2]
        return _literal(rest) if rest.startswith(("class:", "slice:")) else None

    def fitting(self, data: Data) -> None:
        """Raise RecipeError when no row of the data can ever have this figure."""
        _, _, rest = self.figure.partition(" ")
        kind, _, name = rest.partition(":")
        column, _, value = name.partition("=")
        known: tuple[str, ...] = data.classes if kind == "class" else ()
        if kind == "slice":
            place = column_of(data, column)
            # the ends of quarters are told by the rows; the page shows them
            known = data.categories.get(place, (value,))
            name = value
        if kind in ("class", "slice") and not any(fnmatch.filter(known, _literal(name))):
            raise RecipeError(f"--require '{self}'", near(name, known), "or * for every one")

    def miss(self, subject: str, measured: Iterable[Measurement]) -> str:
        """Why `subject` does not meet it, by the worst figure, or nothing."""
        mine = {m.name: m for m in measured if m.subject == subject}
        known = {n: self._value(mine[n]) for n in fnmatch.filter(mine, _literal(self.figure))}
        values = {name: value for name, value in known.items() if value is not None}
        if not values:
            return f"has no {self.figure} that was measured, of which {self} is demanded"
        worst = (min if self.sign.startswith(">") else max)(values, key=lambda n: values[n])
        if _HOLDS[self.sign](values[worst], self.limit):
            return ""
        what = worst if self.end == "value" else f"the {self.end} end of {worst}"
        return f"has {what} of {values[worst]:.4g}, not {self.sign} {self.limit:g}"

    def _value(self, m: Measurement) -> float | None:
        return {"value": m.value, "low": m.low, "high": m.high}[self.end]


def required(text: str) -> Requirement:
    """The demand that is written in `text`.

    Raises RecipeError for what is no demand and for a figure that is not measured.

    >>> required("accuracy class:cat >= 80")
    Requirement(figure='accuracy class:cat', sign='>=', limit=80.0, end='value')
    >>> str(required("accuracy.low slice:sex=* > 75 %"))
    'accuracy.low slice:sex=* > 75'
    """
    found = _FORM.fullmatch(text.strip())
    if found is None:
        raise RecipeError(
            f"--require '{text}'", "FIGURE >= NUMBER, or <=, > or <", "such as 'flips class:* <= 5'"
        )
    first, _, rest = found["name"].strip().partition(" ")
    figure, _, end = first.partition(".")
    if figure not in FIGURES and not figure.startswith("reason_"):
        raise RecipeError(f"--require '{text}'", near(figure, FIGURES), "correct it")
    if end not in ("", "low", "high"):
        raise RecipeError(f"--require '{text}'", f"{figure}, {figure}.low or {figure}.high", "")
    if rest.strip() and not re.match(r"class:.|slice:[^=]+=.", rest.strip()) and "_" not in figure:
        raise RecipeError(f"--require '{text}'", "class:NAME or slice:COLUMN=VALUE", "correct it")
    name = f"{figure} {rest.strip()}".strip()
    return Requirement(name, found["sign"], float(found["limit"]), end or "value")


def _literal(pattern: str) -> str:
    """The pattern in which only * is special: names of classes may hold brackets."""
    return pattern.replace("[", "[[]").replace("?", "[?]")
