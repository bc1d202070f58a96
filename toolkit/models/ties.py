"""Channels by number: which go together, which have to stay, and where a layer meets them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from toolkit.glossary import Ints


class NoRule(Exception):
    """Why the channels at a layer have to stay."""


class Ties:
    """Numbered channels: which go together, and which have to stay and why."""

    def __init__(self) -> None:
        """Start with no channel."""
        self.parents: list[int] = []
        self.staying: dict[int, str] = {}

    def new(self, count: int | None) -> Ints:
        """Numbers for `count` more channels; None, an unknown length, has none."""
        first = len(self.parents)
        self.parents += range(first, first + (count or 0))
        return np.arange(first, len(self.parents))

    def root(self, one: int) -> int:
        """The number that stands for all that go with `one`."""
        while self.parents[one] != one:
            self.parents[one] = self.parents[self.parents[one]]
            one = self.parents[one]
        return one

    def tie(self, these: Ints, those: Ints) -> None:
        """Channels of two equally long rows go together, each with its partner."""
        for one, other in zip(these.tolist(), those.tolist(), strict=True):
            first, second = sorted((self.root(one), self.root(other)))
            self.parents[second] = first
            if second in self.staying:
                self.staying.setdefault(first, self.staying[second])

    def keep(self, numbers: Ints, why: str) -> None:
        """These channels stay."""
        for number in numbers.tolist():
            self.staying.setdefault(self.root(number), why)


@dataclass(frozen=True, eq=False)
class Traced:
    """How a layer meets channels.

    out: the channels it gives. weights: weight -> axis -> the channels along that axis.
    reads: the weight whose last axis but one mixes incoming channels. width: the setting that
    says how many channels it makes.
    """

    out: Ints
    weights: dict[str, dict[int, Ints]] = field(default_factory=dict)
    reads: str = ""
    width: str = ""


def size(weight: Any, axes: dict[int, Ints], kept: Any) -> int:
    """How many values of `weight` are left when only the channels in `kept` stay."""
    return math.prod(
        int(kept[axes[axis]].sum()) if axis in axes else length
        for axis, length in enumerate(weight.shape)
    )
