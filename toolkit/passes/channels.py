"""Structured pruning: whole channels go for good, so that the net is smaller and quicker."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from toolkit.errors import RecipeError, near
from toolkit.glossary import Doubles, Facts, Fit, Ints, Stage, Step
from toolkit.models.channels import ChannelMap, Kept, cut, traced
from toolkit.models.graph import flat
from toolkit.models.macs import macs
from toolkit.passes import teachers
from toolkit.passes.base import Pass, countable, positive
from toolkit.passes.ranking import LOSSES, RANKINGS
from toolkit.passes.tuning import tune, usual_settings

LEAST = 8
"""Of every layer at least one channel in so many stays."""

ROWS = 5000
"""Training rows that a ranking looks at, at most."""

_TOLD = 3
"""So many layers are named where none can lose a channel."""


@dataclass(frozen=True, kw_only=True)
class Channels(Pass):
    """Remove channels until a `share` of the multiplications is gone, then train what is left.

    ranking: what a channel is worth. taylor: the squared change of the loss when it goes, for each
    multiplication that this saves; batchnorm: its scale there, l1: the size of its weights, both
    beside the mean of its layers. No more channels go than must. steps: remove a part, train,
    remove the next, each the same share of what is left. epochs: of each step; 0 means 10, or 20
    below 5,000 rows.
    """

    stage: ClassVar[Stage] = "keras"
    share: float = 0.5
    ranking: str = "taylor"
    steps: int = 2
    epochs: int = 0
    rate: float = 1e-3
    teacher: str = "base"

    def __post_init__(self) -> None:
        """Refuse settings that cannot work."""
        positive(self.name, steps=self.steps, rate=self.rate)
        if not 0 < self.share < 1:
            raise RecipeError(
                f"{self.name} has share {self.share}", "above 0 and below 1", "0.5 halves the work"
            )
        if self.ranking not in RANKINGS:
            raise RecipeError(f"unknown ranking '{self.ranking}'", near(self.ranking, RANKINGS))
        countable(self.name, self.epochs)
        teachers.checked(self.name, self.teacher)

    def __call__(self, model: Any, fit: Fit, seed: int = 0) -> Step:
        """Give the smaller net; facts hold multiplications, parameters and channels of each layer.

        skipped: layers whose channels stay, and why. Raises RecipeError where all stay.
        """
        now = start = flat(model)
        before = first = traced(start)
        self._refuse_whole(first)
        teacher, about = teachers.teacher_of(self.teacher, model, fit, seed=seed)
        settings = usual_settings(self.epochs, len(fit.train), many=10, few=20, rate=self.rate)
        sizes = {makers: len(groups) for makers, groups in first.blocks().items()}
        whole, series = first.macs(first.all()), dict[str, list[float]]()
        training: Facts = {}
        some = fit.train.rows(np.random.default_rng(seed).permutation(len(fit.train))[:ROWS])
        for step in range(1, self.steps + 1):
            most = whole * (1 - self.share) ** (step / self.steps)
            scores = RANKINGS[self.ranking](now, before, some)
            kept = chosen(before, scores, most, sizes, losses=self.ranking in LOSSES)
            smaller = cut(now, before, kept)
            now, history = tune(
                smaller, fit, settings, teacher=teacher, subject="fewer channels", seed=seed
            )
            before, training = traced(now), history.facts
            for name, values in history.series.items():
                series.setdefault(name, []).extend(values)
        left = before.macs(before.all())
        skipped = dict(first.skipped)
        if left > whole * (1 - self.share):
            skipped["share"] = f"{1 - left / whole:.2f} is all that can go"
        every = macs(start)
        if whole < every:
            skipped["layers without a rule"] = (
                f"{1 - whole / every:.0%} of the multiplications; share is of the rest"
            )
        facts = {
            **about,
            "macs": [every, macs(now)],
            "parameters": [int(start.count_params()), int(now.count_params())],
            "channels": {
                name: [len(groups), len(before.makers[name])]
                for name, groups in first.makers.items()
            },
            "skipped": skipped,
            "history": series,
            "training": training,
        }
        return Step(now, facts)

    def _refuse_whole(self, channels: ChannelMap) -> None:
        """Raise RecipeError where no channel can go: training would be all that is done."""
        reasons = dict(channels.skipped)
        for makers, groups in channels.blocks().items():
            if portions(groups, np.zeros(len(groups)), len(groups)):
                return
            reasons |= dict.fromkeys(makers, "its last channel stays")
        told = [f"{name}: {why}" for name, why in reasons.items()]
        more = f"; and {len(told) - _TOLD} more" if len(told) > _TOLD else ""
        raise RecipeError(
            f"{self.name} finds no channel that can go ({'; '.join(told[:_TOLD])}{more})",
            "convolutions or dense layers of two channels and more before the classes, among "
            "layers that have a rule",
            "leave it out, or distil with a smaller student",
        )


def chosen(
    channels: ChannelMap, scores: Doubles, most: float, sizes: dict[Any, int], *, losses: bool
) -> Kept:
    """Keep the channels that matter, until at most `most` multiplications are left.

    scores: f64 (channels,), by group. sizes: block -> how many channels it had at first, where it
    was one then: layers may become one when they are cut to the same width. losses: scores can be
    compared between layers, and the cheapest multiplication goes first. Others are
    divided by the mean of their block: divided by its norm, the widest layers would all but vanish
    (half of a ResNet-8 by l1).
    """
    queues = {}
    for makers, groups in channels.blocks().items():
        scale = 1.0 if losses else max(float(scores[groups].mean()), 1e-30)
        queues[makers] = portions(groups, scores[groups] / scale, sizes.get(makers, len(groups)))
    gone: list[tuple[Any, Ints]] = []

    def kept(parts: list[tuple[Any, Ints]]) -> Kept:
        return channels.without(np.concatenate([np.empty(0, np.int64), *(g for _, g in parts)]))

    def price(makers: Any) -> float:
        worth, groups = queues[makers][0]
        if not losses:
            return worth
        saved = left - channels.macs(kept([*gone, (makers, groups)]))
        return worth * len(groups) / max(saved, 1)

    while (left := channels.macs(kept(gone))) > most and any(queues.values()):
        cheapest = min((makers for makers, queue in queues.items() if queue), key=price)
        gone.append((cheapest, queues[cheapest].pop(0)[1]))
    # the last portion may save more than was missing: what then need not go stays, the last of a
    # block before what went earlier
    ended = set()
    for part in reversed(gone.copy()):
        others = [one for one in gone if one is not part]
        if part[0] not in ended and channels.macs(kept(others)) <= most:
            gone = others
        else:
            ended.add(part[0])
    return kept(gone)


def portions(groups: Ints, worth: Doubles, size: int) -> list[tuple[float, Ints]]:
    """What goes together, the least worth first: (mean worth, groups).

    size: of the block at first. After each portion the number left is a multiple of `unit`;
    `least` stay.

    >>> [len(p[1]) for p in portions(np.arange(18), np.arange(18.0), 18)]
    [2, 8]
    """
    order, found = groups[np.argsort(worth, kind="stable")], []
    worths, start = np.sort(worth, kind="stable"), 0
    step, floor = unit(size), least(size)
    while len(groups) - start > floor:
        end = start + ((len(groups) - start) % step or step)
        if len(groups) - end < floor:
            break
        found.append((float(worths[start:end].mean()), order[start:end]))
        start = end
    return found


def least(count: int) -> int:
    """How many of `count` channels stay at least."""
    return -(-count // LEAST)


def unit(count: int) -> int:
    """What the number left of `count` channels is a multiple of, a power of two.

    In integers a layer of 12 takes longer than one of 16, and one of 24 less than one of 32;
    smaller layers lose a quarter at a time.

    >>> [unit(n) for n in (3, 10, 15, 16, 24, 512)]
    [1, 2, 2, 8, 8, 8]
    """
    return 8 if count >= 16 else int(2 ** np.floor(np.log2(max(count // 4, 1))))
