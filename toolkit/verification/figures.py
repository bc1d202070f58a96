"""The figures of a page computed again: from its models, and from the attributions it carries."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from toolkit import provenance
from toolkit.checks import checked
from toolkit.explainers.choices import Choice
from toolkit.explanation import players_of
from toolkit.fidelity import reasons
from toolkit.fidelity.comparison import groups_of
from toolkit.fidelity.drift import drifted, drifts
from toolkit.fidelity.gained import gained
from toolkit.fidelity.scale import place, scale
from toolkit.glossary import (
    Confusion,
    Drift,
    Finding,
    Floats,
    Ints,
    Measurement,
    Predictor,
    Splits,
)
from toolkit.measurement import judge
from toolkit.run import Run
from toolkit.studying import again_of
from toolkit.verification.attributions import CLOSE, asked_as_there, explainers_of
from toolkit.verification.pages import Checked

NEAR = 1e-3
"""A difference of a figure of reasons that another processor's sums may leave."""


def figures(run: Run, predictors: Mapping[str, Predictor], splits: Splits) -> tuple[Checked, ...]:
    """Answers of the models, figures of the reasons, and the findings that follow from them.

    predictors: by the names in the page, the base among them. What is not made again (how well the
    reasons carry over, their quality, a base trained anew) is told. Data that are not those of the
    page were told before: nothing is compared then.
    """
    if splits.sha256 != run.hashes.get("data"):
        return ()
    models = asked_as_there(run, predictors, splits)
    judged, counted, answers = judge({p.name: p for p in models}, splits.test)
    again = _of_reasons(run, models, splits, answers)
    made = [*judged, *again.figures]
    wanted = {(m.subject, m.name) for m in made}
    mine = [m for m in run.measurements if m.subject in answers]
    kinds = {m.name.split(" ")[0] for m in made}
    left = [
        m.name.split(":")[0] if (kind := m.name.split(" ")[0]) in kinds else kind
        for m in mine
        if (m.subject, m.name) not in wanted
    ]
    left += ["what would change an answer"] if run.flips else []
    left += ["another cut"] if run.cuts else []
    wrong = [m for m in made if _other(m, run.measured(m.subject, m.name))]
    told = [_told(made, wrong), *_counts(run, counted), *_drifts(run, again)]
    if left:
        said = f"taken as told, not made again: {', '.join(dict.fromkeys(left))}"
        told.append(Checked("figures left", None, said))
    last = _findings(run, again)
    return (*told, _names(run, splits), _decisions(run, splits, answers), *last)


@dataclass(frozen=True)
class _Again:
    """What follows from the attributions that a page carries. whole: it carries all of them."""

    figures: tuple[Measurement, ...] = ()
    drifts: tuple[Drift, ...] = ()
    findings: tuple[Finding, ...] = ()
    whole: bool = False


def _counts(run: Run, counted: Iterable[Confusion]) -> Iterator[Checked]:
    """Whether the rows of each class got the answers that the page tells."""
    there = {c.subject: c.counts for c in run.confusions}
    other = [c.subject for c in counted if _turned(c.counts, there.get(c.subject, c.counts))]
    if other:
        said = f"the page has other answers by class than {', '.join(other)} gives"
        yield Checked("confusions", False, said)


def _turned(made: Ints, told: Ints) -> bool:
    """Whether more than one row got another answer."""
    return made.shape != told.shape or int(np.abs(made - told).sum()) > 2


def _drifts(run: Run, again: _Again) -> Iterator[Checked]:
    """Whether the reasons of each row are as alike as the page tells."""
    there = {(d.subject, d.method, d.row): d for d in run.drifts}
    pairs = [(d, there.get((d.subject, d.method, d.row))) for d in again.drifts]
    wrong = sum(
        told is None
        or not abs(made.cosine - told.cosine) <= NEAR
        or (made.drifted != told.drifted and abs(made.p_value - told.p_value) > NEAR)
        for made, told in pairs
    )
    if wrong:
        said = f"the page tells {wrong} of {len(pairs)} rows' likeness of reasons otherwise"
        yield Checked("drifts", False, said)


def _names(run: Run, splits: Splits) -> Checked:
    """Whether classes, columns and players are called what they are called in the data."""
    here = provenance.about(splits)
    other = [n for n in ("classes", "features", "categories") if run.data.get(n) != here[n]]
    rows = [d.row for d in run.decisions if 0 <= d.row < len(splits.test)]
    choice = Choice.told(run.settings.get("choice", {}))
    them = players_of(splits.test, rows, splits.fit.train, run.seeds.get("seed", 0), choice)
    named = {row: players.names for row, players in them.items()}
    if any(tuple(d.players) != named.get(d.row, d.players) for d in run.decisions):
        other.append("players")
    if other:
        return Checked("names", False, f"{', '.join(other)} are not named as in the data")
    return Checked("names", True, "classes, columns and players are named as in the data")


def _of_reasons(
    run: Run, models: Sequence[Predictor], splits: Splits, answers: Mapping[str, Floats]
) -> _Again:
    """Those that follow from attributions, where the page carries all that were compared."""
    over = [int(row) for row in run.settings.get("compared", ())]
    base, *others = models
    if not others or not set(over) <= {a.row for a in run.attributions}:
        return _Again()
    seed = run.seeds.get("seed", 0)
    choice = Choice.told(run.settings.get("choice", {}))
    players = players_of(splits.test, over, splits.fit.train, seed, choice)
    second = [
        a
        for e in explainers_of(run)
        for a in again_of(base, e, [a for a in run.attributions if a.row in players], players, seed)
    ]
    groups = groups_of(splits.test, over)
    found = [*scale(run.attributions, second, base.name, rows=over, seed=seed)]
    every_drift: list[Drift] = []
    said_of: list[Finding] = []
    for other in others:
        names = base.name, other.name
        every = sorted({a.row for a in run.attributions})
        said = {
            row: (int(answers[names[0]][row].argmax()), int(answers[names[1]][row].argmax()))
            for row in every
        }
        drifting = drifts(run.attributions, *names, said, seed=seed)
        found += place(run.attributions, second, *names, rows=over, seed=seed)
        found += reasons(run.attributions, *names, rows=over, groups=groups, seed=seed)
        found += drifted(drifting, over)
        every_drift += drifting
        risen, its = gained(run.attributions, *names, players, rows=over)
        found += risen
        said_of += its
    return _Again(tuple(found), tuple(every_drift), tuple(said_of), whole=True)


def _other(made: Measurement, told: Measurement | None) -> bool:
    """Whether the page tells another figure; a row whose answer tips over is let through."""
    if told is None or told.n != made.n:
        return True
    most = 100.01 / made.n if made.unit in ("%", "points") else NEAR
    ends = ((made.value, told.value), (made.low, told.low), (made.high, told.high))
    return any(
        (one is None) != (its is None)
        or (one is not None and its is not None and not abs(one - its) <= most)
        for one, its in ends
    )


def _told(made: Sequence[Measurement], wrong: Sequence[Measurement]) -> Checked:
    if not wrong:
        return Checked("figures", True, f"{len(made)} figures made again are those of the page")
    first = wrong[0]
    said = (
        f"{len(wrong)} of {len(made)} figures made again are not those of the page, "
        f"as {first.name} of {first.subject}, which is {first.value:.4g}"
    )
    return Checked("figures", False, said)


def _decisions(run: Run, splits: Splits, answers: Mapping[str, Floats]) -> Checked:
    """Whether the decisions shown are rows of the data, with what the models answer to them."""
    test, wrong = splits.test, 0
    for d in run.decisions:
        here = 0 <= d.row < len(test) and int(test.y[d.row]) == d.label
        said = here and all(
            np.abs(answers[name][d.row] - p).max() <= CLOSE
            for name, p in d.probabilities.items()
            if name in answers and len(p) == answers[name].shape[1]
        )
        same = d.x.size == 0 or (here and np.array_equal(d.x, np.asarray(test.x[d.row])))
        wrong += not (said and same)
    said_of = (
        f"{wrong} of {len(run.decisions)} decisions are not what the models say of the data"
        if wrong
        else f"{len(run.decisions)} decisions are what the models say of the data"
    )
    return Checked("decisions", not wrong, said_of)


def _findings(run: Run, again: _Again) -> Iterator[Checked]:
    """Whether what must be said of these figures is said, and in these words."""
    said = {(f.code, f.subject) for f in run.findings}
    follows = [*checked(replace(run, findings=())).findings, *again.findings]
    if due := [f for f in follows if (f.code, f.subject) not in said]:
        text = ", ".join(f"{f.code} of {f.subject}" for f in due)
        yield Checked("findings", False, f"the page does not say what follows from it: {text}")
    words: dict[tuple[str, str], set[str]] = {}
    for f in follows:
        words.setdefault((f.code, f.subject), set()).add(f.sentence)
    other = [
        f
        for f in run.findings
        if f.sentence not in words.get((f.code, f.subject), {f.sentence})
        or (f.code == "G1" and again.whole and (f.code, f.subject) not in words)
    ]
    if other:
        text = ", ".join(f"{f.code} of {f.subject}" for f in other)
        yield Checked("findings", False, f"the page says otherwise than follows from it: {text}")
