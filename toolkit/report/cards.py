"""A card for each decision: what went in, what came out, and why, by every method and model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup, escape

from toolkit.fidelity import foremost, likeness
from toolkit.glossary import Attribution, Cut, Decision, Doubles, Flip
from toolkit.report import charts, pictures
from toolkit.report.quantities import listed, plain, signed, similarity
from toolkit.report.strings import say
from toolkit.report.templates import rendered
from toolkit.report.words import name_of
from toolkit.run import Run

SHOWN = 10
"""Classes whose probability is shown; the others are counted."""

_FOREMOST = 12
_MISSING, _ROUNDING = 0.01, 1e-5
_WIDTH, _SMALL, _LEAST = 150, 76, 32
_BYTES = 550_000
"""All pictures of a page together: they are shown with as many pixels as fit into it."""


def attributions(run: Run) -> dict[int, list[Attribution]]:
    """Row -> the attributions of the models themselves, without differences of two models."""
    models = {name for d in run.decisions for name in d.probabilities}
    found: dict[int, list[Attribution]] = {}
    for a in run.attributions:
        if a.subject in models:
            found.setdefault(a.row, []).append(a)
    return found


def outcome(run: Run, decision: Decision) -> list[str]:
    """What a reader may look for: "right" or "wrong" of the base, "differ" between models."""
    answers = {name: int(p.argmax()) for name, p in decision.probabilities.items()}
    first = answers.get(run.base, next(iter(answers.values())))
    right = "right" if first == decision.label else "wrong"
    return [right, "differ"] if len(set(answers.values())) > 1 else [right]


def card(
    run: Run, decision: Decision, ours: Sequence[Attribution], *, prefix: str = "row"
) -> Markup:
    """One card; prefix: of its anchor, which is "prefix-ROW"."""
    classes = [str(name) for name in run.data["classes"]]
    methods = list(dict.fromkeys(a.method for a in ours))
    order = np.argsort(-np.abs(ours[0].values), kind="stable").tolist() if ours else []
    found = outcome(run, decision)
    return rendered(
        "card.html",
        anchor=f"{prefix}-{decision.row}",
        row=decision.row,
        label=classes[decision.label],
        number_of_class=decision.label,
        target=classes[ours[0].target] if ours else "",
        outcome=found,
        input=picture_of(run, decision),
        text=decision.text,
        table=table(run, decision),
        models=list(decision.probabilities),
        probabilities=_said(decision, classes),
        methods=[(m, _column(run, decision, ours, m, order)) for m in methods],
        wide=decision.segments is None,
        agreement=_agreement(run, ours),
        turns=[
            (turn(run, decision, f), _without(run, decision, f))
            for f in run.flips
            if f.row == decision.row
        ],
        columns=[f"{name_of(a.method)}, {a.subject}" for a in ours],
        figures=[(decision.players[i], [(a.values[i], a.stderr[i]) for a in ours]) for i in order],
    )


def turn(run: Run, decision: Decision, f: Flip) -> str:
    """What would change a model's mind, in a sentence; "no fewer" is said where that is known."""
    if not f.players:
        if f.tried == len(decision.players):
            return say("{name}: hiding any of it, or all, changes nothing.", name=f.subject)
        return say(
            "{name}: no {n} of them hidden change it, nor do the foremost one after another.",
            name=f.subject,
            n=f.tried,
        )
    names = named(run, decision)
    shown = listed(say("“{name}”", name=names[i]) for i in f.players)
    answer = str(run.data["classes"][f.answer])
    told = {"name": f.subject, "players": shown, "answer": answer}
    if len(f.players) == 1:
        return say("{name}: without {players} alone it says {answer}.", **told)
    if len(f.players) <= f.tried + 1:
        return say("{name}: without {players} it says {answer}; no fewer do.", **told)
    return say(
        "{name}: without {players} it says {answer}; whether fewer do was not tried.", **told
    )


def _without(run: Run, decision: Decision, f: Flip) -> Markup | None:
    """The picture without the players that are hidden, where a player is a part of a picture."""
    if decision.segments is None or not f.players:
        return None
    shown = pictures.without(_grey(run, decision), decision.segments, f.players)
    label = say("row {row} without what would have to be hidden", row=decision.row)
    return pictures.image(pictures.shrunk(shown, _side(run)), label, _SMALL)


def table(run: Run, decision: Decision) -> list[tuple[str, str]]:
    """Column -> what the row held, as a person wrote it; nothing for pictures and texts."""
    if decision.segments is not None or decision.text is not None:
        return []
    categories = run.data.get("categories", {})
    names = [str(name) for name in run.data.get("features", ())]
    values = decision.x.reshape(-1).tolist()
    names = names if len(names) == len(values) else [f"{i}" for i in range(len(values))]
    shown = []
    fill = run.data.get("fill", {})
    for i, value in enumerate(values):
        known = categories.get(str(i), ())
        inside = known and value == int(value) and 0 <= int(value) < len(known)
        text = str(known[int(value)]) if inside else plain(value)
        gap = names[i] in fill and value == np.float32(fill[names[i]])
        shown.append(say("{value} or gap", value=text) if gap else text)
    return list(zip(names, shown, strict=True))


def picture_of(run: Run, decision: Decision) -> Markup | None:
    """The input as a picture, where it is one that may be shown."""
    grey = None if decision.segments is None else _grey(run, decision)
    if grey is None:
        return None
    label = say("row {row}, the input", row=decision.row)
    return pictures.image(pictures.shrunk(grey, _side(run)), label, _WIDTH)


def _grey(run: Run, decision: Decision) -> pictures.Colours | None:
    """The picture, where it may be shown; one of a single value beside the others of the page."""
    if decision.x.size == 0:
        return None
    return pictures.grey(decision.x, [d.x for d in run.decisions if d.x.size])


def _side(run: Run) -> int:
    """How many pixels wide pictures are kept, from how many there are: 4 bytes a pixel of noise."""
    models = len(run.decisions[0].probabilities)
    methods = len({a.method for a in run.attributions})
    # a card each, and base, small model and difference, twice, of the ten that are least alike
    one = 1 + models * methods + models * bool(run.flips)
    count = len(run.decisions) * one + (7 if run.cuts else 4) * min(len(run.decisions), 10)
    return int(np.clip((_BYTES / (4 * count)) ** 0.5, _LEAST, _WIDTH))


def drawn(
    run: Run,
    decision: Decision,
    a: Attribution,
    most: float,
    *,
    order: Sequence[int] | None = None,
    ends: tuple[float, float] | None = None,
) -> Markup:
    """One attribution: a picture, coloured words, a waterfall where values add up, or bars.

    most: the value of full colour or a full bar; order: of the bars; ends: of the probabilities
    along a waterfall, None for bars.
    """
    label = _told(decision, a)
    if decision.segments is not None:
        shown = pictures.overlay(_grey(run, decision), decision.segments, a.values, most)
        return pictures.image(pictures.shrunk(shown, _side(run)), label, _WIDTH)
    if decision.text is not None:
        first = np.argsort(-np.abs(a.values), kind="stable")[:_FOREMOST]
        names = [decision.players[i] for i in first]
        drawing = charts.bars(names, a.values[first], a.stderr[first], most, label)
        return _coloured(decision, a, most) + drawing
    names = named(run, decision)
    if ends is not None and adds_up(a):
        return charts.waterfall(names, a, ends, label, order)
    first = np.asarray(order if order is not None else np.argsort(-np.abs(a.values)))[:_FOREMOST]
    values, errors = a.values[first], a.stderr[first]
    return charts.bars(
        [names[i] for i in first], values, errors, most, label, order=range(len(first))
    )


def recut(  # noqa: PLR0917
    run: Run, decision: Decision, cut: Cut, name: str, values: Doubles, most: float
) -> Markup:
    """Values of the players of another cut as a picture."""
    label = say("{name}, row {row}, {n} patches", name=name, row=cut.row, n=len(values))
    shown = pictures.overlay(_grey(run, decision), cut.segments, values, most)
    return pictures.image(pictures.shrunk(shown, _side(run)), label, _WIDTH)


def adds_up(a: Attribution) -> bool:
    """Whether the values lead from the answer with all hidden to the prediction, as Shapley's do.

    A hundredth of the way may be missing. LIME's intercept is no answer that the model gave.
    """
    left = abs(a.base + float(a.values.sum()) - a.prediction)
    return a.method != "lime" and left < max(_MISSING * abs(a.prediction - a.base), _ROUNDING)


def reach(a: Attribution) -> tuple[float, float]:
    """The least and the greatest probability that a waterfall passes, in any order."""
    low = a.base + float(a.values[a.values < 0].sum())
    high = a.base + float(a.values[a.values > 0].sum())
    return min(low, a.prediction, a.base), max(high, a.prediction, a.base)


def named(run: Run, decision: Decision) -> list[str]:
    """The names of players, with what they held where a player is a column."""
    held = dict(table(run, decision))
    return [f"{name} = {held[name]}" if name in held else name for name in decision.players]


def _said(decision: Decision, classes: list[str]) -> list[tuple[str, list[tuple[float, bool]]]]:
    """The likeliest classes in their own order: each model's probability, and whether it says so.

    The last line sums up the others, where there are more classes than can be shown.
    """
    models = list(decision.probabilities.values())
    likeliest = np.argsort(-np.max(models, axis=0), kind="stable")[:SHOWN]
    shown = sorted(likeliest.tolist())
    lines = [(classes[i], [(float(p[i]), int(p.argmax()) == i) for p in models]) for i in shown]
    if len(classes) > len(shown):
        rest = [(max(float(p.sum() - p[shown].sum()), 0.0), False) for p in models]
        lines.append((say("{n} others", n=len(classes) - len(shown)), rest))
    return lines


def _column(
    run: Run, decision: Decision, ours: Sequence[Attribution], method: str, order: list[int]
) -> list[tuple[Attribution, Markup]]:
    """A method's drawings, a model each, on one scale so that models can be compared by eye."""
    mine = [a for a in ours if a.method == method]
    most = max((float(np.abs(a.values).max()) for a in mine), default=1.0)
    reached = [reach(a) for a in mine if adds_up(a)]
    ends = (min(low for low, _ in reached), max(high for _, high in reached)) if reached else None
    return [(a, drawn(run, decision, a, most, order=order, ends=ends)) for a in mine]


def _agreement(run: Run, ours: Sequence[Attribution]) -> str:
    """How far two methods agree about the base, in a sentence; nothing where there is one."""
    mine = [a for a in ours if a.subject == run.base]
    if len(mine) < 2 or len(mine[0].values) != len(mine[1].values):
        return ""
    one, other = (foremost(a.values) for a in mine[:2])
    most = max(len(one), len(other))
    if not most:
        return ""
    return say(
        "{one} and {other} on {name}: cosine {cosine}, {shared} of the {n} foremost shared.",
        one=name_of(mine[0].method),
        other=name_of(mine[1].method),
        name=run.base,
        cosine=similarity(likeness(mine[0], mine[1])),
        shared=len({*one} & {*other}),
        n=most,
    )


def _told(decision: Decision, a: Attribution) -> str:
    """What a drawing shows, for those who do not see it: the players that count most."""
    first = np.argsort(-np.abs(a.values), kind="stable")[:3]
    foremost = ", ".join(f"{decision.players[i]} {signed(float(a.values[i]))}" for i in first)
    return say(
        "{method} of {name}, row {row}; foremost: {players}",
        method=name_of(a.method),
        name=a.subject,
        row=a.row,
        players=foremost,
    )


def _coloured(decision: Decision, a: Attribution, most: float) -> Markup:
    """The text with each word on the colour of its value; the title tells the value."""
    parts = []
    # a Run of before tells nothing of pieces: its text has no colours
    for word, player in decision.pieces or ((decision.text or "", -1),):
        if player < 0:
            parts.append(escape(word))
            continue
        value = float(a.values[player])
        r, g, b = pictures.diverging(np.array([0.75 * value]), most)[0]
        parts.append(
            Markup('<mark style="background:rgb({},{},{})" title="{}">{}</mark>').format(
                r, g, b, signed(value), word
            )
        )
    return Markup('<p class="words">{}</p>').format(Markup("").join(parts))
