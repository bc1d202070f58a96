"""What counts over all decisions that were explained: means, single values, classes."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from markupsafe import Markup

from toolkit.glossary import Attribution, Decision, Doubles
from toolkit.means import mean_error
from toolkit.report import cards, charts, pictures
from toolkit.report.quantities import interval, number, signed
from toolkit.report.strings import say
from toolkit.report.templates import figure, rendered
from toolkit.report.words import name_of
from toolkit.run import Run

Part = tuple[str, str, Markup] | None

_FOREMOST, _SWARM, _DEPENDENCE = 15, 10, 4
_FEW, _DOTS = 3, 200
"""Decisions below which a mean says nothing, and above which dots are no longer told apart."""


@dataclass(frozen=True, eq=False)
class Table:
    """One method's values of the base for rows that have the same players.

    values, stderr: f64 (n, p); inputs: f64 (n, p) what the players held, where each is a column.
    """

    method: str
    players: tuple[str, ...]
    decisions: tuple[Decision, ...]
    targets: tuple[int, ...]
    values: Doubles
    stderr: Doubles
    inputs: Doubles | None


def overall(run: Run) -> Part:
    """Mean size of the reasons with intervals; how single values and features moved answers."""
    tables = [t for t in _tables(run) if len(t.decisions) >= _FEW]
    if not tables:
        return None
    first = tables[0]
    parts = [_means(t) if t.decisions[0].segments is None else _map(t) for t in tables]
    more: list[Markup] = []
    spread: list[Markup] = []
    some = _thinned(first)
    if some.inputs is not None:
        spread.append(_swarm(some, some.inputs))
        more = _dependence(run, some, some.inputs)
    return (
        "overall",
        say("What counts overall"),
        rendered(
            "overall.html",
            n=len(first.decisions),
            drawn=len(some.decisions),
            base=run.base,
            means=parts,
            spread=spread,
            dependence=more,
            by_class=_by_class(run, first),
        ),
    )


def _thinned(t: Table) -> Table:
    """The table with as many decisions as can be drawn, spread over all of them."""
    n = len(t.decisions)
    places = np.unique(np.linspace(0, n - 1, min(n, _DOTS)).astype(int))
    return replace(
        t,
        decisions=tuple(t.decisions[i] for i in places),
        targets=tuple(t.targets[i] for i in places),
        values=t.values[places],
        stderr=t.stderr[places],
        inputs=None if t.inputs is None else t.inputs[places],
    )


def _tables(run: Run) -> list[Table]:
    """A table a method: of columns or places that all rows share, or of words found in several."""
    rows = {d.row: d for d in run.decisions}
    found = []
    ours = [a for several in cards.attributions(run).values() for a in several]
    for method in dict.fromkeys(a.method for a in ours):
        mine = [a for a in ours if a.method == method and a.subject == run.base and a.row in rows]
        if mine:
            found.append(_table(run, method, mine, [rows[a.row] for a in mine]))
    return [one for one in found if one is not None]


def _table(
    run: Run, method: str, mine: list[Attribution], decisions: list[Decision]
) -> Table | None:
    players = decisions[0].players
    alike = all(d.players == players for d in decisions)
    pictured = decisions[0].segments is not None
    if not alike or (pictured and not _same_places(decisions)):
        # words, or regions of each picture's own: only words mean the same in two rows
        return None if pictured else _words(method, mine, decisions)
    features = tuple(str(name) for name in run.data.get("features", ()))
    inputs = None
    if players == features and all(d.x.size == len(players) for d in decisions):
        inputs = np.stack([d.x.reshape(-1).astype(np.float64) for d in decisions])
    values = np.stack([a.values for a in mine])
    stderr = np.stack([a.stderr for a in mine])
    targets = tuple(a.target for a in mine)
    return Table(method, players, tuple(decisions), targets, values, stderr, inputs)


def _same_places(decisions: list[Decision]) -> bool:
    first = decisions[0].segments
    return all(
        d.segments is not None and first is not None and np.array_equal(d.segments, first)
        for d in decisions
    )


def _words(method: str, mine: list[Attribution], decisions: list[Decision]) -> Table | None:
    counts: dict[str, int] = {}
    for d in decisions:
        for name in d.players:
            counts[name] = counts.get(name, 0) + 1
    shared = tuple(name for name, n in counts.items() if n >= _FEW)
    if not shared:
        return None
    place = {name: i for i, name in enumerate(shared)}
    values = np.full((len(mine), len(shared)), np.nan)
    stderr = np.full_like(values, np.nan)
    for i, (a, d) in enumerate(zip(mine, decisions, strict=True)):
        for j, name in enumerate(d.players):
            if name in place:
                values[i, place[name]], stderr[i, place[name]] = a.values[j], a.stderr[j]
    targets = tuple(a.target for a in mine)
    return Table(method, shared, tuple(decisions), targets, values, stderr, None)


def _means(t: Table) -> Markup:
    """Mean absolute values with 95 % intervals over the decisions."""
    size = np.abs(t.values)
    known = np.sum(~np.isnan(size), axis=0)
    mean = np.nanmean(size, axis=0)
    half = mean_error(size)
    order = np.argsort(-mean, kind="stable")[:_FOREMOST]
    names = [t.players[i] for i in order]
    ends = [(max(float(mean[i] - half[i]), 0.0), float(mean[i] + half[i])) for i in order]
    label = say(
        "{method}: mean size of each player's value; foremost {name}",
        method=name_of(t.method),
        name=names[0],
    )
    return figure(
        charts.means(names, [float(mean[i]) for i in order], ends, label),
        name_of(t.method),
        say(
            "{method}: how far each moved the probability, on average, whichever way. "
            "Whiskers: 95 % interval over decisions.",
            method=name_of(t.method),
        ),
        (say("Player"), say("Mean size"), "95 %", say("Decisions")),
        [
            (t.players[i], number(float(mean[i]), 3), interval(*end, 3), str(int(known[i])))
            for i, end in zip(order, ends, strict=True)
        ],
    )


def _map(t: Table) -> Markup:
    """Where in the pictures it counts: the mean absolute value of each place."""
    mean = np.abs(t.values).mean(axis=0)
    segments = t.decisions[0].segments
    shown = pictures.diverging(mean[segments], float(mean.max()))
    label = say("{method}: mean size of each place", method=name_of(t.method))
    order = np.argsort(-mean, kind="stable")
    return figure(
        pictures.image(shown, label, 150),
        label,
        say(
            "{method}: the darker, the more a place counted, whichever way.",
            method=name_of(t.method),
        ),
        (say("Player"), say("Mean size")),
        [(t.players[i], number(float(mean[i]), 3)) for i in order],
    )


def _foremost(t: Table, most: int) -> list[int]:
    order = np.argsort(-np.abs(t.values).mean(axis=0), kind="stable")[:most]
    return [int(i) for i in order]


def _swarm(t: Table, inputs: Doubles) -> Markup:
    order = _foremost(t, _SWARM)
    rows = [say("row {row}", row=d.row) for d in t.decisions]
    names = [t.players[i] for i in order]
    label = say(
        "Each decision's value of {names}: dots to the right spoke for the answer",
        names=", ".join(names[:3]),
    )
    return figure(
        charts.beeswarm(names, t.values[:, order], inputs[:, order], rows, label),
        say("Each decision"),
        say(
            "A dot is a decision: to the right it spoke for the answer, to the left against it. "
            "Filled: the feature was high among these rows; empty: low. {method}.",
            method=name_of(t.method),
        ),
    )


def _dependence(run: Run, t: Table, inputs: Doubles) -> list[Markup]:
    found = []
    categories = run.data.get("categories", {})
    rows = [say("row {row}", row=d.row) for d in t.decisions]
    for j in _foremost(t, _DEPENDENCE):
        name = t.players[j]
        codes = [str(c) for c in categories.get(str(run.data["features"].index(name)), ())]
        label = say("{name} against its {method} value", name=name, method=name_of(t.method))
        drawing = charts.scatter(
            name,
            inputs[:, j],
            t.values[:, j],
            errors=t.stderr[:, j],
            rows=rows,
            label=label,
            categories=codes,
        )
        caption = say("{name}: its value, and how far it moved the answer.", name=name)
        found.append(figure(drawing, name, caption))
    return found


def _by_class(run: Run, t: Table) -> Markup | None:
    """What spoke for each class when it was the answer: a picture of places, or the foremost."""
    classes = [str(name) for name in run.data["classes"]]
    targets = sorted(set(t.targets))
    if len(targets) < 2 or len(targets) > 20:
        return None
    means, counts = [], []
    for target in targets:
        mine = t.values[[i for i, other in enumerate(t.targets) if other == target]]
        seen = ~np.isnan(mine)
        known = seen.sum(axis=0)
        # of a word that few of these decisions have, a mean says nothing
        told = known >= min(_FEW, len(mine))
        means.append(np.where(told, np.nansum(mine, axis=0) / np.maximum(known, 1), 0.0))
        counts.append(len(mine))
    segments = t.decisions[0].segments
    most = float(np.abs(np.array(means)).max())
    found = []
    for target, mean, n in zip(targets, means, counts, strict=True):
        order = np.argsort(-np.abs(mean), kind="stable")[:5]
        names = (f"{t.players[i]} {signed(float(mean[i]))}" for i in order if mean[i])
        told = ", ".join(names) or "–"
        picture = None
        if segments is not None:
            name = say("{name}: mean value of each place", name=classes[target])
            picture = pictures.image(pictures.diverging(mean[segments], most), name, 96)
        found.append((classes[target], n, told, picture))
    return rendered("by_class.html", rows=found, method=t.method, pictured=segments is not None)
