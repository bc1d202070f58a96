"""compress(): many recipes from one base, measured side by side, and the one to take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from toolkit import artifact, contract, provenance, recipe
from toolkit.checkpoints import resuming
from toolkit.data import reworded
from toolkit.data.unlabelled import fitting
from toolkit.devices import written
from toolkit.errors import RecipeError, ToolkitError
from toolkit.export import export
from toolkit.files import writable_folder
from toolkit.glossary import (
    NOTICEABLE,
    Artifact,
    Facts,
    Finding,
    Fit,
    History,
    Measurement,
    Splits,
    Step,
)
from toolkit.measurement import measure
from toolkit.models import full, open_model, parted
from toolkit.passes import apply
from toolkit.predict import predictor
from toolkit.progress import tell, under
from toolkit.recipe import Recipe
from toolkit.run import Run
from toolkit.shapes import matching

FREE_DROP = 1.0
"""Points that may be lost when no limit is given, if the loss is within chance at all."""


SAME_SIZE = 1.05
"""Files within this ratio of the smallest count as equally small; the most accurate is taken."""


@dataclass(frozen=True)
class Budget:
    """What a small model may cost; None is no limit.

    max_drop: points of accuracy; the one-sided 95 % bound of the loss must lie below it.
    max_bytes: of the file. max_latency: ms, p50 of one row on one thread.
    """

    max_drop: float | None = None
    max_bytes: int | None = None
    max_latency: float | None = None

    def __post_init__(self) -> None:
        """Refuse limits that nothing can meet."""
        for name, value in vars(self).items():
            if value is not None and not value > 0:
                raise RecipeError(f"{name} {value}", "a number above 0", "correct the limit")


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
) -> Frontier:
    """Run recipes on a Keras classifier, measure what comes out, and choose.

    model: a keras.Model or the path of one. recipes: names, TOML files or Recipes; none means
    `recipe.USUAL`. unlabelled: more rows, f32 (n, ...), for passes with a teacher to
    learn from it alone. Into `out` go base.onnx, one .onnx a recipe and manifest.json; trainings
    that an earlier run into `out` left behind when it was killed go on from there.
    Raises BadInput before anything is trained, ExportError for what ONNX cannot hold.
    """
    chosen = [r if isinstance(r, Recipe) else recipe.load(r) for r in recipes or recipe.USUAL]
    names = [r.name for r in chosen]
    for name in names:
        if names.count(name) > 1 or name == "base":
            raise RecipeError(f"recipe name '{name}' is taken", "distinct names", "rename one")
    budget = budget or Budget()
    if isinstance(model, str | Path):
        model = open_model(Path(model))
    model, words = parted(model)
    model = full(model)
    if words is not None:
        splits = reworded(splits, words)
    units = max(int(model.outputs[0].shape[-1]), 2)
    matching(tuple(model.inputs[0].shape[1:]), units, splits.test)
    if unlabelled is not None:
        fit = replace(splits.fit, unlabelled=fitting(unlabelled, splits.fit.train))
        splits = replace(splits, fit=fit)
    suspected = contract.suspected(predictor(model, "base"), splits.fit.train)
    folder = writable_folder(written(Path(out)))
    with resuming(folder / ".checkpoints"):
        return _searched(
            model, splits, chosen, budget, folder, seed=seed, history=history, suspected=suspected
        )


def _searched(
    model: Any,
    splits: Splits,
    recipes: Sequence[Recipe],
    budget: Budget,
    folder: Path,
    *,
    seed: int,
    history: History | None,
    suspected: Sequence[Finding],
) -> Frontier:
    """What compress does once its input is known to be right."""
    base_step = export(model, splits.fit.validation, name="base")
    base = artifact.save(base_step.model, "base", folder, facts=(base_step.facts,))
    # whatever a recipe does to the base, the base can teach what came of it
    fit = replace(splits.fit, base=predictor(base.path, "base"))
    made: dict[tuple[Any, ...], Step] = {}
    artifacts: list[Artifact] = []
    failed: dict[str, str] = {}
    last: ToolkitError | None = None
    for done, current in enumerate(recipes):
        tell("compress", done, len(recipes))
        try:
            with under(current.name):
                small, facts = _follow(current, model, base_step, fit, made=made, seed=seed)
        except ToolkitError as error:
            failed[current.name] = str(error)
            last = error
            continue
        artifacts.append(
            artifact.save(small, current.name, folder, recipe=current.to_toml(), facts=facts)
        )
    tell("compress", len(recipes), len(recipes))
    if last is not None and not artifacts:
        raise last
    every = (base, *artifacts)
    artifact.write_manifest(every, folder, splits.test)
    measured, confusions = measure({a.name: a.path for a in every}, splits.test, seed=seed)
    exported = [
        Measurement(a.name, "export_difference", f["largest_difference"], "", f["rows_compared"])
        for a in every
        for f in a.facts
        if "rows_compared" in f
    ]
    misses = {a.name: why for a in artifacts if (why := _miss(a, measured, budget))}
    within = [a for a in artifacts if a.name not in misses]
    best = _best(_quick(within, measured, budget), measured)
    run = Run(
        title=f"{splits.name}: base and compressed",
        created=provenance.now(),
        command="compress",
        base="base",
        chosen=best.name if best else None,
        data=provenance.about(splits),
        artifacts=every,
        measurements=(*measured, *exported),
        histories=(*((history,) if history else ()), *_histories(artifacts)),
        confusions=confusions,
        findings=(*suspected, *(_failure(name, why) for name, why in failed.items())),
        budget={name: value for name, value in vars(budget).items() if value is not None},
        versions=provenance.versions(),
        seeds={"seed": seed},
        hashes={"data": splits.sha256, **{a.path.name: a.sha256 for a in every}},
        machine=provenance.machine(),
    )
    return Frontier(run, base, tuple(artifacts), best, {**misses, **failed})


def _failure(name: str, why: str) -> Finding:
    return Finding("R1", "warning", name, f"This recipe could not be run: {why}.", "Leave it out.")


def _follow(
    current: Recipe,
    model: Any,
    exported: Step,
    fit: Fit,
    *,
    made: dict[tuple[Any, ...], Step],
    seed: int,
) -> tuple[Any, tuple[Facts, ...]]:
    """Run the passes of a recipe; a beginning that another recipe has run is not run again."""
    facts: list[Facts] = []
    done: tuple[Any, ...] = ()
    now = model
    for step in (*current.passes, None):
        if not _is_onnx(now) and (step is None or step.stage == "onnx"):
            key = (*done, "export")
            if key not in made:
                same = not done
                made[key] = exported if same else export(now, fit.validation, name=current.name)
            now = made[key].model
            facts.append(made[key].facts)
        if step is not None:
            done = (*done, step)
            if done not in made:
                made[done] = apply(step, now, fit, seed)
            now = made[done].model
            facts.append(made[done].facts)
    return now, tuple(facts)


def _is_onnx(model: Any) -> bool:
    return hasattr(model, "SerializeToString")


def _histories(artifacts: Sequence[Artifact]) -> list[History]:
    found: dict[str, History] = {}
    for a in artifacts:
        for facts in a.facts:
            if "history" in facts:
                series = {name: tuple(values) for name, values in facts["history"].items()}
                # recipes that begin alike share one training
                found.setdefault(repr(series), History(a.name, series, {"pass": facts["pass"]}))
    return list(found.values())


def _miss(made: Artifact, measured: Sequence[Measurement], budget: Budget) -> str:
    """Why a candidate is not within the budget, or nothing."""
    figure = {m.name: m for m in measured if m.subject == made.name}
    drop, bound = figure["accuracy_drop"], figure["accuracy_drop_bound"].value
    if budget.max_drop is not None and not bound < budget.max_drop:
        return (
            f"may lose {bound:.2f} points (one-sided 95 % bound over {drop.n} rows), "
            f"not below {budget.max_drop:g}"
        )
    if budget.max_drop is None and (drop.value > FREE_DROP or (drop.low or 0.0) > 0):
        return f"loses {drop.value:.2f} points, more than {FREE_DROP:g} or more than chance"
    if budget.max_bytes is not None and made.nbytes > budget.max_bytes:
        return f"is {made.nbytes:,} bytes, more than {budget.max_bytes:,}"
    milliseconds = figure["latency_p50"].value / 1e3
    if budget.max_latency is not None and milliseconds > budget.max_latency:
        return f"takes {milliseconds:.3g} ms, more than {budget.max_latency:g}"
    return ""


def _quick(
    within: Sequence[Artifact], measured: Sequence[Measurement], budget: Budget
) -> Sequence[Artifact]:
    """Those that are not slower than the base, or all where every one is or a limit was given."""
    slow = {
        m.subject
        for m in measured
        if m.name == "latency_ratio" and m.low is not None and m.low > NOTICEABLE
    }
    quick = [a for a in within if a.name not in slow]
    return quick if quick and budget.max_latency is None else within


def _best(within: Sequence[Artifact], measured: Sequence[Measurement]) -> Artifact | None:
    """The smallest file, or the most accurate of those that are hardly larger."""
    if not within:
        return None
    right = {m.subject: m.value for m in measured if m.name == "accuracy"}
    least = min(a.nbytes for a in within)
    near = [a for a in within if a.nbytes <= SAME_SIZE * least]
    return max(near, key=lambda a: (right[a.name], -a.nbytes))
