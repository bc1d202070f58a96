"""study(): explanations of several models, their quality and their likeness, as one Run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from toolkit import contract, layers, provenance
from toolkit.errors import BadInput, RecipeError, near
from toolkit.explainers import EXPLAINERS, Explainer
from toolkit.explanation import decisions, explain, pick_rows, players_of
from toolkit.faithfulness import faithfulness
from toolkit.fidelity import floor, reasons
from toolkit.glossary import Attribution, Layer, Predictor, Splits
from toolkit.measurement import judge
from toolkit.run import Run

METHODS = ("shapley", "lime")


def study(
    predictors: Sequence[Predictor],
    splits: Splits,
    *,
    methods: Sequence[str | Explainer] = METHODS,
    rows: int | Sequence[int] = 12,
    seed: int = 0,
) -> Run:
    """Explain decisions of one or more models; the first is the base the others stand beside.

    rows: indices into the test part, or how many to pick. The Run holds decisions, attributions,
    the likeness of reasons with its noise floor, and deletion and insertion areas.
    Raises RecipeError for an unknown method, DataError for a row that is not there.
    """
    names = [p.name for p in predictors]
    if not names or len(set(names)) < len(names):
        raise BadInput(f"models named {names}", "at least one, with distinct names", "rename one")
    explainers = [m if isinstance(m, Explainer) else _named(m) for m in methods]
    test, background = splits.test, splits.fit.train
    base = predictors[0]
    suspected = contract.suspected(base, background)
    judged, confusions, _ = judge({p.name: p for p in predictors}, test)
    picked = (
        pick_rows(predictors, test, min(rows, len(test)), seed=seed)
        if isinstance(rows, int)
        else tuple(rows)
    )
    made = decisions(predictors, test, picked, background=background, seed=seed)
    found: list[Attribution] = []
    measured = list(judged)
    players = players_of(test, picked, background, seed)
    for explainer in explainers:
        ours = explain(predictors, explainer, test, picked, background=background, seed=seed)
        found += ours
        # noise is measured on the base alone, with a seed of its own
        again = explain([base], explainer, test, picked, background=background, seed=seed + 1)
        measured += floor([a for a in ours if a.subject == base.name], again)
    for other in names[1:]:
        measured += reasons(found, base.name, other)
    for predict in predictors:
        mine = [a for a in found if a.subject == predict.name]
        measured += faithfulness(predict, mine, players, seed=seed)
    return Run(
        title=f"{splits.name}: why",
        created=provenance.now(),
        command="explain",
        base=base.name,
        chosen=names[1] if len(names) == 2 else None,
        data=provenance.about(splits),
        measurements=tuple(measured),
        confusions=confusions,
        decisions=made,
        attributions=tuple(found),
        findings=suspected,
        versions=provenance.versions(),
        seeds={"seed": seed},
        hashes={"data": splits.sha256},
        machine=provenance.machine(),
    )


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
    return replace(
        compressed,
        title=compressed.title,
        measurements=(*compressed.measurements, *fresh),
        decisions=explained.decisions,
        attributions=explained.attributions,
        layers=explained.layers,
    )


def _named(name: str) -> Explainer:
    if name not in EXPLAINERS:
        raise RecipeError(f"unknown method '{name}'", near(name, EXPLAINERS))
    return EXPLAINERS[name]()
