"""Sections of the reasons page that show single decisions: a dot each, the worst, what moved."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from toolkit.fidelity import likeness
from toolkit.glossary import Attribution, Decision
from toolkit.means import mean_error
from toolkit.report import cards, charts
from toolkit.report.quantities import interval, signed, similarity
from toolkit.report.strings import say
from toolkit.report.templates import figure, rendered
from toolkit.report.words import ALIKE, name_of
from toolkit.run import Run

Part = tuple[str, str, Markup] | None

_WORST, _FOREMOST, _FEW, _DOTS = 10, 12, 3, 200
_NOTHING = 5e-4
"""A change that rounds to 0.000."""


@dataclass(frozen=True, eq=False)
class Pair:
    """One row explained for the base and for another model, by one method.

    decision: what the row was, where it is shown; rows that are only compared have none.
    """

    decision: Decision | None
    base: Attribution
    small: Attribution
    cosine: float


def distribution(run: Run) -> Part:
    """The cosine of every decision, a dot each, and the worst of them."""
    pairs = _pairs(run)
    if len(pairs) < 2:
        return None
    found = []
    for subject, method in dict.fromkeys((p.small.subject, p.small.method) for p in pairs):
        mine = [p for p in pairs if (p.small.subject, p.small.method) == (subject, method)]
        floor = run.measured(run.base, f"reason_floor {method}")
        marks = {} if floor is None else {say("noise floor"): floor.value}
        name = f"{subject}, {name_of(method)}"
        low = min(p.cosine for p in mine)
        label = say(
            "{name}: the cosine of {n} decisions, the lowest {low}",
            name=name,
            n=len(mine),
            low=similarity(low),
        )
        # of very many the least alike, and others spread over the rest
        ordered = sorted(mine, key=lambda p: p.cosine)
        places = np.arange(len(ordered))
        if len(ordered) > _DOTS:
            rest = np.linspace(_DOTS // 2, len(ordered) - 1, _DOTS // 2).astype(int)
            places = np.union1d(places[: _DOTS // 2], rest)
        drawn = [ordered[i] for i in places]
        dots = [say("row {row}", row=p.base.row) for p in drawn]
        drawing = charts.strip([p.cosine for p in drawn], dots, marks, label)
        rows = [(str(p.base.row), similarity(p.cosine)) for p in ordered[:_DOTS]]
        caption = say(
            "{name}: a dot is a decision; to the right the reasons are the same.", name=name
        )
        found.append(figure(drawing, label, caption, (say("Row"), say("Cosine")), rows))
    title = say("Decision by decision")
    return "distribution", title, rendered("several.html", figures=found)


def changed(run: Run) -> Part:
    """What compression moved: mean change of each player's value, with its interval."""
    found = []
    players = _players(run)
    pairs = _pairs(run) if players else []
    for subject, method in dict.fromkeys((p.small.subject, p.small.method) for p in pairs):
        mine = [p for p in pairs if (p.small.subject, p.small.method) == (subject, method)]
        if len(mine) < _FEW:
            continue
        moved = np.stack([p.small.values - p.base.values for p in mine])
        mean = moved.mean(axis=0)
        half = mean_error(moved)
        if float(np.abs(mean).max()) < _NOTHING:
            continue
        order = np.argsort(-np.abs(mean), kind="stable")[:_FOREMOST]
        names = [players[i] for i in order]
        most = float((np.abs(mean) + half)[order].max())
        name = f"{subject}, {name_of(method)}"
        label = say("{name}: mean change of each value; most {player}", name=name, player=names[0])
        drawing = charts.bars(names, mean[order], half[order], most, label, order=range(len(order)))
        caption = say(
            "{name}: value in the small model less that in the base, mean over {n} decisions. "
            "Whiskers: 95 % interval; one that crosses zero is no change.",
            name=name,
            n=len(mine),
        )
        rows = [
            (
                players[i],
                signed(float(mean[i])),
                interval(float(mean[i] - half[i]), float(mean[i] + half[i]), 3),
            )
            for i in order
        ]
        columns = (say("Player"), say("Mean change"), "95 %")
        found.append(figure(drawing, label, caption, columns, rows))
    if not found:
        return None
    title = say("What compression changed")
    return "changed", title, rendered("several.html", figures=found)


def worst(run: Run) -> Part:
    """The decisions whose reasons are least alike, side by side, with what changed."""
    pairs = [p for p in _pairs(run) if p.decision is not None and p.cosine < ALIKE]
    drawn = []
    drifted = {(d.subject, d.method, d.row) for d in run.drifts if d.drifted}
    for p in sorted(pairs, key=lambda p: p.cosine)[:_WORST]:
        if p.decision is None:
            continue
        apart = _difference(run, p)
        every = (p.base, p.small, apart)
        most = max(float(np.abs(a.values).max()) for a in every)
        order = np.argsort(-np.abs(p.base.values), kind="stable").tolist()
        drawings = [(a.subject, cards.drawn(run, p.decision, a, most, order=order)) for a in every]
        silent = (p.small.subject, p.small.method, p.base.row) in drifted
        picture = cards.picture_of(run, p.decision)
        recut = _drawn_again(run, p.decision, p)
        drawn.append((p, p.decision, similarity(p.cosine), silent, picture, drawings, recut))
    if not drawn:
        return None
    classes = [str(name) for name in run.data["classes"]]
    return (
        "worst",
        say("The least alike"),
        rendered("worst.html", drawn=drawn, classes=classes),
    )


def _drawn_again(run: Run, decision: Decision, p: Pair) -> list[tuple[str, Markup]]:
    """The same three over patches of another cut, where the picture was cut again."""
    for cut in run.cuts:
        small = cut.values.get(p.small.subject)
        if (cut.row, cut.method) == (decision.row, p.base.method) and small is not None:
            base = cut.values[p.base.subject]
            most = float(np.abs([base, small, base - small]).max())
            three = ((p.base.subject, base), (p.small.subject, small))
            apart = (f"{p.base.subject} - {p.small.subject}", base - small)
            return [
                (name, cards.recut(run, decision, cut, name, values, most))
                for name, values in (*three, apart)
            ]
    return []


def _difference(run: Run, p: Pair) -> Attribution:
    """Base less small: as it was estimated with shared coalitions, else the plain difference."""
    name = f"{p.base.subject} - {p.small.subject}"
    for a in run.attributions:
        if (a.subject, a.method, a.row) == (name, p.base.method, p.base.row):
            return a
    return Attribution(
        p.base.method,
        name,
        p.base.row,
        p.base.values - p.small.values,
        # of two independent estimates; with shared coalitions it is smaller
        np.hypot(p.base.stderr, p.small.stderr),
        p.base.base - p.small.base,
        p.base.prediction - p.small.prediction,
        p.base.target,
        p.base.evaluations + p.small.evaluations,
        p.base.seed,
        p.base.converged and p.small.converged,
    )


def _players(run: Run) -> tuple[str, ...]:
    """The names of the players, where they are the same in every row."""
    names = {d.players for d in run.decisions}
    pictures = [d.segments for d in run.decisions if d.segments is not None]
    alike = all(np.array_equal(one, pictures[0]) for one in pictures)
    return next(iter(names)) if len(names) == 1 and alike else ()


def _pairs(run: Run) -> list[Pair]:
    """Every row that the base and another model explained by the same method."""
    decisions = {d.row: d for d in run.decisions}
    found = []
    for row, several in cards.attributions(run).items():
        base = {a.method: a for a in several if a.subject == run.base}
        for a in several:
            if a.subject != run.base and a.method in base:
                alike = likeness(base[a.method], a)
                found.append(Pair(decisions.get(row), base[a.method], a, alike))
    return found
