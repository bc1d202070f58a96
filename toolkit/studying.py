"""study(): explanations of several models, their quality and their likeness, as one Run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from toolkit import contract, layers, provenance
from toolkit.alignment import aligned
from toolkit.errors import BadInput, RecipeError
from toolkit.explainers import Explainer, Players
from toolkit.explainers.choices import USUAL, Choice
from toolkit.explainers.named import distinct, named
from toolkit.explanation import decisions, explain, pick_rows, players_of
from toolkit.fidelity.comparison import WORST, Asked, compared, groups_of
from toolkit.fidelity.cuts import cut_again
from toolkit.fidelity.difference import Difference, Remembered
from toolkit.fidelity.resolution import resolved
from toolkit.fidelity.scale import ceiling, scale
from toolkit.flips import flips
from toolkit.glossary import Attribution, Drift, Finding, Layer, Predictor, Splits
from toolkit.measurement import judge
from toolkit.progress import tell
from toolkit.quality import CHEAP, chosen, quality
from toolkit.run import TITLES, Run

METHODS = ("shapley", "lime")

SAMPLE = 24
"""Rows drawn at random to compare two models: those worth showing are not like all others."""

_STEPS = 200
_TOGETHER = 8
"""Rows between two tellings of progress."""


def study(
    predictors: Sequence[Predictor],
    splits: Splits,
    *,
    methods: Sequence[str | Explainer] = METHODS,
    rows: int | Sequence[int] = 12,
    sample: int = SAMPLE,
    retrained: Predictor | None = None,
    figures: Sequence[str] = CHEAP,
    choice: Choice = USUAL,
    seed: int = 0,
) -> Run:
    """Explain decisions of one or more models; the first is the base the others stand beside.

    rows: indices into the test part, or how many to pick that are worth showing; then figures that
    compare models are taken over `sample` rows drawn at random, else over `rows`. retrained: the
    base trained anew, which says how far two equally good models differ. choice: who the players
    are and what stands in for hidden ones. The Run holds decisions, attributions of every model
    and of each one's difference from the base, what would change its mind about each decision, the
    likeness of reasons on its scale, the rows that drifted, and `figures` of the quality of the
    reasons, of which "sensitivity" and "randomisation" explain each row again.
    Raises RecipeError for an unknown method or one given twice, DataError for a row that is not
    there, MatchError for models that do not answer the same question.
    """
    names = [p.name for p in predictors]
    every_name = names + [p.name for p in _some(retrained)]
    if not names or len(set(every_name)) < len(every_name):
        raise BadInput(
            f"models named {every_name}", "at least one, with distinct names", "rename one"
        )
    judged_by = chosen(figures)
    explainers = distinct([m if isinstance(m, Explainer) else named([m])[0] for m in methods])
    if len(every_name) > 1:
        _alike(explainers)
    for explainer in explainers:
        for predict in (*predictors, *_some(retrained)):
            explainer.suiting(predict)
    test, background = splits.test, splits.fit.train
    suspected = list(contract.suspected(predictors[0], background))
    both, mapped = prepared([*predictors, *_some(retrained)], splits)
    predictors = both[: len(names)]
    suspected += mapped
    judged, confusions, answers = judge({p.name: p for p in predictors}, test)
    picked = (
        pick_rows(predictors, test, min(rows, len(test)), seed=seed)
        if isinstance(rows, int)
        else tuple(rows)
    )
    drawing = isinstance(rows, int) and len(predictors) > 1 and sample > 0
    over = _drawn(len(test), sample, seed) if drawing else picked
    every = tuple(sorted({*picked, *over}))
    players = players_of(test, every, background, seed, choice)
    how: dict[str, Any] = {"background": background, "seed": seed, "choice": choice}
    asked = [Remembered(p) for p in predictors]
    base, others = asked[0], asked[1:]
    found: list[Attribution] = []
    again: list[Attribution] = []
    besides: list[Attribution] = []
    for explainer in explainers:
        beside: list[Predictor] = [*others]
        beside += [Difference(base, other) for other in others]
        ours = explain([base, *beside], explainer, test, every, **how)
        found += ours
        again += again_of(base, explainer, [a for a in ours if a.row in over], players, seed)
        if retrained is not None:
            beside = [base, both[-1]]
            besides += explain(beside, explainer, test, over, **how)
    measured = [*judged, *scale(found, again, base.name, rows=over, seed=seed)]
    if retrained is not None:
        measured += ceiling(besides, retrained.name, base.name, seed=seed)
    said = {(n, row): int(answers[n][row].argmax()) for n in names for row in every}
    everything = Asked(found, again, players, said, over, groups_of(test, over))
    drifts: list[Drift] = []
    for other in others:
        likeness, drifting, leaning = compared(base, other, everything, seed=seed)
        measured += likeness
        suspected += leaning
        drifts += drifting
    for predict in predictors:
        mine = [a for a in found if a.subject == predict.name]
        measured += quality(predict, explainers, mine, players, figures=judged_by, seed=seed)
    recut, cuts = cut_again(asked, explainers[0], found, players, rows=over, seed=seed)
    measured += recut
    shown = sorted({*picked, *_worst(drifts)})
    return Run(
        title=f"{splits.name}: {TITLES['explain']}",
        created=provenance.now(),
        command="explain",
        base=base.name,
        chosen=names[1] if len(names) == 2 else None,
        data=provenance.about(splits),
        measurements=tuple(measured),
        confusions=confusions,
        decisions=decisions(asked, test, shown, **how),
        attributions=tuple(found),
        drifts=tuple(drifts),
        flips=flips(asked, found, players, shown),
        cuts=tuple(c for c in cuts if c.row in set(shown)),
        findings=tuple(suspected),
        versions=provenance.versions(),
        seeds={"seed": seed},
        hashes={"data": splits.sha256},
        settings={
            "methods": {e.method: asdict(e) for e in explainers},
            "rows": list(every),
            "compared": list(over),
            # lists, as they come back from JSON
            "choice": {
                k: list(v) if isinstance(v, tuple) else v for k, v in asdict(choice).items()
            },
        },
        machine=provenance.machine(),
    )


def prepared(
    predictors: Sequence[Predictor], splits: Splits
) -> tuple[tuple[Predictor, ...], tuple[Finding, ...]]:
    """The predictors as they are explained: mapped onto the first, and not rounded if avoidable.

    Raises MatchError for models that do not answer the same question.
    """
    others, mapped = aligned(predictors[0], predictors[1:], splits.fit.train)
    finer = [resolved(p, splits.test.x[:_STEPS]) for p in (predictors[0], *others)]
    said = (finding for _, findings in finer for finding in findings)
    return tuple(p for p, _ in finer), (*mapped, *said)


def with_layers(run: Run, path: Path, splits: Splits) -> Run:
    """The run with pictures of the layers of its base, a float `.onnx` as our export writes it."""
    x = splits.test.x
    shape = x.shape[1:] if splits.test.kind == "image" else None
    found: list[Layer] = list(layers.weights(path, run.base, shape))
    if run.decisions:
        row = run.decisions[0].row
        found += layers.activations(path, run.base, x[row], row)
    return replace(run, layers=tuple(found))


def joined(compressed: Run, explained: Run) -> Run:
    """One Run of both jobs, for one linked set of pages."""
    known = {(m.subject, m.name) for m in compressed.measurements}
    fresh = [m for m in explained.measurements if (m.subject, m.name) not in known]
    said = {(f.code, f.subject) for f in compressed.findings}
    more = [f for f in explained.findings if (f.code, f.subject) not in said]
    return replace(
        compressed,
        title=compressed.title,
        measurements=(*compressed.measurements, *fresh),
        findings=(*compressed.findings, *more),
        decisions=explained.decisions,
        attributions=explained.attributions,
        drifts=explained.drifts,
        flips=explained.flips,
        cuts=explained.cuts,
        settings={**compressed.settings, **explained.settings},
        layers=explained.layers,
    )


def _alike(explainers: Sequence[Explainer]) -> None:
    """Raise RecipeError for methods that would stop asking one model earlier than another."""
    for explainer in explainers:
        if explainer.tolerance is not None or vars(explainer).get("stable"):
            raise RecipeError(
                f"{explainer.method} that asks until it is sure, of several models",
                "the same questions for every model",
                "leave tolerance and stable out and give samples",
            )


def _drawn(rows: int, sample: int, seed: int) -> tuple[int, ...]:
    return tuple(sorted(np.random.default_rng(seed).permutation(rows)[:sample].tolist()))


def _some(predict: Predictor | None) -> list[Predictor]:
    return [] if predict is None else [predict]


def again_of(
    base: Predictor,
    explainer: Explainer,
    ours: Sequence[Attribution],
    players: dict[int, Players],
    seed: int,
) -> list[Attribution]:
    """The base's attributions under another seed; those that are exact stand for themselves.

    ours: attributions of the base among them, by this method among them.
    """
    mine = [a for a in ours if (a.subject, a.method) == (base.name, explainer.method)]
    unsure = [a for a in mine if not a.facts.get("exact")]
    found = [a for a in mine if a.facts.get("exact")]
    for i in range(0, len(unsure), _TOGETHER):
        some = unsure[i : i + _TOGETHER]
        targets = [a.target for a in some]
        around = {a.row: players[a.row] for a in some}
        found += explainer.several(base, around, targets, seed=seed + 1)
        tell(f"noise of {explainer.method}", min(i + _TOGETHER, len(unsure)), len(unsure))
    return found


def _worst(drifts: Sequence[Drift]) -> set[int]:
    """The rows that drifted most, of each model and method."""
    found: set[int] = set()
    for key in dict.fromkeys((d.subject, d.method) for d in drifts):
        its = [d.row for d in drifts if (d.subject, d.method) == key and d.drifted]
        found |= set(its[:WORST])
    return found
