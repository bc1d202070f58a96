"""compress(): many recipes from one base, measured side by side, and the one to take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from toolkit import artifact, bases, contract, gate, provenance, recipe
from toolkit.behaviour import column_of
from toolkit.cache import Cache, data_key, key_of, sweep
from toolkit.checkpoints import resuming
from toolkit.choice import Budget, best, dearer, miss, quick
from toolkit.data import reworded
from toolkit.data.unlabelled import fitting
from toolkit.devices import written
from toolkit.errors import RecipeError
from toolkit.exploring import explore, told
from toolkit.files import spared, writable_folder
from toolkit.glossary import (
    Artifact,
    Confusion,
    Data,
    Facts,
    Finding,
    History,
    LayerError,
    Measurement,
    Splits,
)
from toolkit.making import Made, begun, make
from toolkit.measurement import measure
from toolkit.mixing import Bench, faults, mixable, mixes
from toolkit.models import full, open_model, parted
from toolkit.models.heads import head_of
from toolkit.predict import predictor
from toolkit.recipe import Recipe
from toolkit.run import TITLES, Run, from_json, to_json
from toolkit.shapes import matching
from toolkit.space import useful
from toolkit.studying import SAMPLE, joined, study
from toolkit.targets import answering, elsewhere, suited

_CARDS = 6
"""Decisions shown where reasons are a limit."""


@dataclass(frozen=True, eq=False)
class Frontier:
    """What came out: everything measured as a Run, the base and the candidates as files.

    chosen: the smallest candidate within the budget, or None where none is. With no limit of
    latency, one that is no slower than the base goes before one that is; of files equally small
    the most accurate is taken.
    misses: recipe -> why it is not within the budget or could not be run, in words. A recipe that
    cannot be run does not stop the others.
    """

    run: Run
    base: Artifact
    candidates: tuple[Artifact, ...]
    chosen: Artifact | None
    misses: dict[str, str]

    def _repr_html_(self) -> str:
        """The page of the run, as a notebook shows it."""
        return self.run._repr_html_()


def compress(
    model: Any,
    splits: Splits,
    recipes: Sequence[str | Path | Recipe] = (),
    *,
    budget: Budget | None = None,
    out: str | Path,
    seed: int = 0,
    history: History | None = None,
    unlabelled: Any = None,
    cache: str | Path | None = None,
    slices: Sequence[str] = (),
    target: str = "",
) -> Frontier:
    """Run recipes on a Keras classifier, measure what comes out, and choose.

    model: a keras.Model, or the path of one or of an `.onnx`, for which TensorFlow is not loaded
    and recipes that need Keras are left out. recipes: names, TOML files or Recipes; none means
    `recipe.USUAL`, or `space.useful()` where `budget.seconds` limits the time: then those are
    tried first of which most is expected, and the frontier of what came out is kept.
    slices: columns by whose values to measure. unlabelled: more rows, f32 (n, ...), for passes
    with a teacher to learn from it alone. Into `out` go base.onnx, one .onnx a recipe and
    manifest.json; trainings that an earlier run into `out` left behind when it was killed go on
    from there. cache: a folder where results are kept by their content and found again; None is
    `out`/.cache. target: the CPU that widths of integers are chosen for, one of
    `targets.TARGETS`: what it answers is judged; without one, what this machine answers. What other
    CPUs would answer is told in both cases. Inside `working(jobs=...)` recipes run side by side.
    Raises BadInput before anything is trained, ExportError for what ONNX cannot hold.
    """
    budget = budget or Budget()
    given = bases.is_onnx(model)
    usual: Sequence[str | Path | Recipe] = useful() if budget.seconds else recipe.USUAL
    chosen = [r if isinstance(r, Recipe) else recipe.load(r) for r in recipes or usual]
    chosen = [suited(r, target) if target else r for r in chosen]
    chosen = [r for r in chosen if recipes or not (given and r.needs_keras)]
    if given and all(r.needs_keras for r in chosen):
        raise RecipeError(
            f"{', '.join(r.name for r in chosen)} for {model}",
            "a recipe that changes the file alone: the base is an .onnx",
            "leave --recipe out, or give the Keras model",
        )
    names = _names(chosen, learning=unlabelled is not None)
    columns = (*slices, *(column for r in budget.require if (column := r.column())))
    slices = tuple(dict.fromkeys(columns))
    for column in slices:
        column_of(splits.test, column)
    for one in budget.require:
        one.fitting(splits.test)
    spared([Path(out) / f"{n}.onnx" for n in ("base", *names)], [Path(model)] if given else [])
    if given:
        model = bases.opened(Path(model), splits.fit.validation)
        ask: Any = predictor(model.model.SerializeToString(), "base")
        head = ask.head
    else:
        model, splits = _fitted(model, splits)
        ask, head = predictor(model, "base"), head_of(model)
    if unlabelled is not None:
        fit = replace(splits.fit, unlabelled=fitting(unlabelled, splits.fit.train))
        splits = replace(splits, fit=fit)
    suspected = contract.suspected(ask, splits.fit.train, head=head)
    folder = writable_folder(written(Path(out)))
    known = Cache(writable_folder(Path(cache) if cache is not None else folder / ".cache"))
    for place in (folder, known.folder):
        sweep(place)
    with resuming(folder / ".checkpoints"):
        source = begun(model, splits.fit, known, seed=seed)
        base = artifact.save(source.base.content, "base", folder, facts=(source.base.about,))
        bench = Bench(source, known, folder / ".checkpoints", target)
        tried: Facts = {}
        if budget.seconds:
            explored = explore(chosen, bench, budget)
            made = list(explored.made) if budget.of_measured() else explored.frontier()
            tried = told(explored, made)
        else:
            made = make(chosen, source, known, bench.checkpoints, task="compress")
        failed = {one.recipe.name: one.error for one in made if one.error is not None}
        if len(failed) == len(made):
            # what stops the plainest recipe, not what the last of them asks besides
            raise next(iter(failed.values()))
        hurried = budget.never_slower or budget.max_latency is not None
        mixed = mixes(made, bench, splits.test, limit=budget.max_drop, quick=hurried)
        of_layers, untold = faults(made, bench)
        made += [mix.made for mix in mixed if mix.made is not None]
        return _judged(
            (base, made),
            splits,
            budget,
            folder=folder,
            known=known,
            seed=seed,
            history=history,
            tried=tried,
            noted=(*suspected, *(mix.finding for mix in mixed), *untold),
            of_layers=of_layers,
            slices=slices,
            target=target,
        )


def _names(chosen: Sequence[Recipe], *, learning: bool) -> list[str]:
    """Their names. Raises RecipeError where two files would have one, or none could learn."""
    names = [r.name for r in chosen]
    ours = {
        "base",
        *(f"{r.name}-{end}" for r in chosen if mixable(r) for end in ("mixed", "quick")),
    }
    for name in names:
        if names.count(name) > 1 or name in ours:
            raise RecipeError(f"recipe name '{name}' is taken", "distinct names", "rename one")
    if learning and not any(r.needs_keras for r in chosen):
        raise RecipeError(
            f"unlabelled rows for {', '.join(names)}",
            "a recipe that trains, which learns from them by its teacher",
            "leave them out",
        )
    return names


def _fitted(model: Any, splits: Splits) -> tuple[Any, Splits]:
    """The Keras model, opened, and the rows in its words. Raises MatchError for what is apart."""
    if isinstance(model, str | Path):
        model = open_model(Path(model))
    model, words = parted(model)
    model = full(model)
    if words is not None:
        splits = reworded(splits, words)
    units = max(int(model.outputs[0].shape[-1]), 2)
    matching(tuple(model.inputs[0].shape[1:]), units, splits.test)
    return model, splits


def _judged(
    came: tuple[Artifact, Sequence[Made]],
    splits: Splits,
    budget: Budget,
    *,
    folder: Path,
    known: Cache,
    seed: int,
    history: History | None,
    tried: Facts,
    noted: Sequence[Finding],
    of_layers: tuple[LayerError, ...],
    slices: Sequence[str],
    target: str,
) -> Frontier:
    """What came out as files, measured beside each other, and the one to take."""
    base, made = came
    artifacts = []
    for one in made:
        if one.error is None:
            name, text = one.recipe.name, one.recipe.to_toml()
            artifacts.append(artifact.save(one.content, name, folder, recipe=text, facts=one.facts))
    failed = {one.recipe.name: str(one.error) for one in made if one.error is not None}
    every = (base, *artifacts)
    artifact.write_manifest(every, folder, splits.test)
    held = [group for r in budget.require if (group := r.group())]
    measured, confusions = _measured(
        every, splits.test, known, seed, slices=slices, held=held, target=target
    )
    files = {a.name: a.path for a in every}
    measured = (*measured, *elsewhere(files, splits.test, known))
    reasons: Run | None = None
    judged: tuple[gate.Verdict, ...] = ()
    if (least := budget.min_agreement) is not None:
        asked = [predictor(a.path, a.name) for a in every]
        over = max(SAMPLE, gate.enough(least))
        reasons = study(asked, splits, methods=["shapley"], rows=_CARDS, sample=over, seed=seed)
        judged = gate.verdicts(reasons, least)
        told_of = (m for m in reasons.measurements if m.name.startswith("reason_"))
        measured = (*measured, *told_of)
    misses = {a.name: why for a in artifacts if (why := miss(a, measured, budget, judged))}
    within = [a for a in artifacts if a.name not in misses]
    chosen = best(quick(within, measured, budget), measured)
    noted = (*noted, *dearer(chosen, artifacts, measured))
    run = Run(
        title=f"{splits.name}: {TITLES['compress']}",
        created=provenance.now(),
        command="compress",
        base="base",
        chosen=chosen.name if chosen else None,
        data=provenance.about(splits),
        artifacts=every,
        measurements=(*measured, *_exported(every)),
        layer_errors=of_layers,
        histories=(*((history,) if history else ()), *_histories(artifacts)),
        confusions=confusions,
        findings=(*noted, *(_failure(name, why) for name, why in failed.items())),
        budget=budget.told() | ({"target": target} if target else {}) | tried,
        versions=provenance.versions(),
        seeds={"seed": seed},
        hashes={"data": splits.sha256, **{a.path.name: a.sha256 for a in every}},
        machine=provenance.machine(),
    )
    run = run if reasons is None else joined(run, reasons)
    return Frontier(run, base, tuple(artifacts), chosen, {**misses, **failed})


def _measured(
    every: Sequence[Artifact],
    test: Data,
    known: Cache,
    seed: int,
    *,
    slices: Sequence[str],
    held: Sequence[str],
    target: str,
) -> tuple[tuple[Measurement, ...], tuple[Confusion, ...]]:
    """All figures of these files on these rows; taken once on one machine."""
    known_by = [(a.name, a.sha256) for a in every]
    here = provenance.machine()
    key = key_of(known_by, data_key(test), here, seed, list(slices), list(held), target)
    entry = known.find(key)
    if entry is not None:
        kept = from_json(entry.content.decode())
        return kept.measurements, kept.confusions
    files = {a.name: a.path for a in every}
    found, confusions = measure(
        files, test, seed=seed, slices=slices, held=held, ask=partial(answering, wanted=target)
    )
    taken = Run("", "", "measure", every[0].name, None, {}, measurements=found)
    known.keep(key, to_json(replace(taken, confusions=confusions)).encode(), {})
    return found, confusions


def _exported(every: Sequence[Artifact]) -> list[Measurement]:
    return [
        Measurement(a.name, "export_difference", f["largest_difference"], "", f["rows_compared"])
        for a in every
        for f in a.facts
        if "rows_compared" in f
    ]


def _failure(name: str, why: str) -> Finding:
    return Finding.of(
        "R1", "warning", name, "This recipe could not be run: {why}.", "Leave it out.", why=why
    )


def _histories(artifacts: Sequence[Artifact]) -> list[History]:
    found: dict[str, History] = {}
    for a in artifacts:
        for facts in a.facts:
            if "history" in facts:
                series = {name: tuple(values) for name, values in facts["history"].items()}
                # recipes that begin alike share one training
                found.setdefault(repr(series), History(a.name, series, {"pass": facts["pass"]}))
    return list(found.values())
