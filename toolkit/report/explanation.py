"""The sections of the explanation page: decisions, what counts overall, how good that is."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from toolkit.glossary import Attribution, Decision, Measurement
from toolkit.report import cards
from toolkit.report.learnt import learnt
from toolkit.report.origin import findings, provenance
from toolkit.report.quantities import probability, signed
from toolkit.report.strings import say
from toolkit.report.templates import rendered
from toolkit.report.whole import overall
from toolkit.report.words import explained, name_of
from toolkit.run import Run

Part = tuple[str, str, Markup] | None

CARDS, _LISTED = 40, 8
"""Decisions that get a card; the table holds all. Fewer than `_LISTED` need no table."""


def result(run: Run) -> Part:
    """Whether the models decide for the same reasons, first and large."""
    text = explained(run)
    return "verdict", say("Verdict"), rendered("verdict.html", text=text, warn=False, tiles=())


def decided(run: Run) -> Part:
    """A card for every decision: the input, the prediction, SHAP and LIME side by side."""
    if not run.decisions:
        return None
    ours = cards.attributions(run)
    drawn = _worth_a_card(run)
    made = [cards.card(run, d, ours.get(d.row, ())) for d in drawn]
    rows = {d.row for d in drawn}
    return (
        "decisions",
        say("Decisions"),
        rendered(
            "decisions.html",
            cards=made,
            rows=[d.row for d in drawn],
            classes=[(i, str(name)) for i, name in enumerate(run.data["classes"])],
            total=len(run.decisions),
            models=list(run.decisions[0].probabilities),
            hidden=_hidden(ours),
            methods=list(dict.fromkeys(a.method for several in ours.values() for a in several)),
            listed=[_line(run, d, ours.get(d.row, []), d.row in rows) for d in run.decisions]
            if len(run.decisions) >= _LISTED
            else [],
        ),
    )


def quality(run: Run) -> Part:
    """Deletion and insertion, a row for each model and order; other figures of quality beside."""
    rows = [
        (m.subject, m.name.removeprefix("deletion_"), m)
        for m in run.measurements
        if m.name.startswith("deletion_")
    ]
    others = [m for m in run.measurements if m.name.split(" ")[0] in _QUALITY]
    if not rows and not others:
        return None
    both = [(s, method, m, run.measured(s, f"insertion_{method}")) for s, method, m in rows]
    named = [(m, *_told(m)) for m in others]
    return (
        "quality",
        say("Are the reasons any good?"),
        rendered("quality.html", rows=both, others=named),
    )


def _hidden(ours: dict[int, list[Attribution]]) -> str:
    """What stood in for hidden values, of each method: "SHAP: the mean picture; LIME: ..."."""
    told: dict[str, list[str]] = {}
    for a in (a for several in ours.values() for a in several):
        said = str(a.facts.get("hidden", ""))
        many, _, rest = said.partition(" ")
        if rest == "rows of the background":
            said = say("{n} rows of the background", n=many)
        if said:
            told.setdefault(say(said), []).append(name_of(a.method))
    each = (f"{', '.join(dict.fromkeys(names))}: {said}" for said, names in told.items())
    return "; ".join(each)


HIDDEN = (
    "the mean row",
    "the mean picture",
    "the blurred picture",
    "one colour",
    "the unknown word",
    "nothing",
    "random draws from each column of the table",
)
"""What stands in for hidden values, in words of `Players.hidden`."""

_QUALITY = {
    "gain_deletion": "Deletion: better than random order by",
    "gain_insertion": "Insertion: better than random order by",
    "infidelity": "Infidelity (low is good)",
    "max_sensitivity": "Largest change for a small change of the row (low is good)",
    "complexity": "Complexity (low is easy to read)",
    "randomisation": "Likeness to a model with shuffled weights (low is good)",
    "method_agreement": "Agreement of the methods (1 is the same)",
    "stability": "Stability over seeds (1 is the same)",
    "r2": "R² of the surrogate",
    "segmentation": "Likeness under another cut of the pictures (1 is the same)",
    "gap": "Completeness gap: values are so far from adding up (0 is none)",
}
_AGREED = {"feature": "which", "rank": "in which order", "sign": "in which direction"}


def _told(m: Measurement) -> tuple[str, str]:
    """What a figure of quality is, and what it is of: methods, and how players were hidden."""
    figure, _, rest = m.name.partition(" ")
    about = say(_QUALITY[figure])
    if figure == "method_agreement":
        kind, _, rest = rest.partition(" ")
        about = f"{about}: {say(_AGREED.get(kind, kind))}"
    return about, ", ".join("~".join(map(name_of, part.split("~"))) for part in rest.split())


def _worth_a_card(run: Run) -> list[Decision]:
    """All decisions, or where there are too many those that differ or are wrong before others."""
    order = sorted(
        run.decisions,
        key=lambda d: ("differ" not in (o := cards.outcome(run, d)), "wrong" not in o),
    )
    rows = {d.row for d in order[:CARDS]}
    return [d for d in run.decisions if d.row in rows]


def _line(
    run: Run, decision: Decision, ours: Sequence[Attribution], has_card: bool
) -> dict[str, object]:
    """One decision as a row of the table."""
    classes = [str(name) for name in run.data["classes"]]
    told = {}
    for a in ours:
        if a.subject == run.base and a.method not in told:
            order = abs(a.values).argsort()[::-1][:3]
            names = (f"{decision.players[i]} {signed(float(a.values[i]), 2)}" for i in order)
            told[a.method] = ", ".join(names)
    return {
        "row": decision.row,
        "has_card": has_card,
        "label": classes[decision.label],
        "number_of_class": decision.label,
        "outcome": cards.outcome(run, decision),
        "said": [
            (classes[int(p.argmax())], probability(float(p.max()), 2), float(p.max()))
            for p in decision.probabilities.values()
        ],
        "told": list(told.values()),
    }


SECTIONS = (result, decided, overall, quality, learnt, findings, provenance)
