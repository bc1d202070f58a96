"""Recipes -> candidates: what was made before is found again, the rest is made side by side."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.cache import Cache, Entry, fit_key, key_of, model_key, pass_key, plain
from toolkit.checkpoints import few, resuming
from toolkit.devices import here, on
from toolkit.errors import DeviceError, RecipeError, ToolkitError
from toolkit.exporting import export
from toolkit.glossary import Facts, Fit, Step
from toolkit.jobs import crew, spread
from toolkit.passes import Pass, apply
from toolkit.predict import predictor
from toolkit.progress import under
from toolkit.recipe import Recipe


@dataclass(frozen=True, eq=False)
class Source:
    """What every recipe begins with: the Keras model, the base `.onnx` with its facts, the rows.

    model: None where the base is an `.onnx` that somebody else exported. key: of all this. memory:
    steps that were made in this process, so that a beginning which recipes share is run once.
    """

    model: Any
    base: Entry
    fit: Fit
    seed: int
    key: str
    memory: dict[tuple[Any, ...], Step] = field(default_factory=dict)

    def __reduce__(self) -> tuple[Any, ...]:
        """As another process gets it: what Keras must know comes before the model."""
        known = None if self.model is None else _Known()
        return _received, (known, *(getattr(self, f.name) for f in fields(self)))


class _Known:
    """Arrives as the registration of what opened models may hold."""

    def __reduce__(self) -> tuple[Any, ...]:
        """By its effect alone."""
        return _registered, ()


def _registered() -> None:
    from toolkit.models import legacy

    legacy.register()


def _received(_: None, *values: Any) -> Source:
    return Source(*values)


@dataclass(frozen=True, eq=False)
class Made:
    """What came of a recipe: the bytes of an `.onnx` and the facts of its passes, or an error.

    seconds: that making it took when it was made.
    """

    recipe: Recipe
    content: bytes = b""
    facts: tuple[Facts, ...] = ()
    error: ToolkitError | None = None
    seconds: float = 0.0


def begun(model: Any, fit: Fit, cache: Cache, *, seed: int = 0) -> Source:
    """Export the base, or find it in the cache, and let it teach.

    model: a keras.Model, or the Step of an `.onnx` that is the base as it is.
    Raises ExportError for what ONNX cannot hold.
    """
    if isinstance(model, Step):
        given = Entry(model.model.SerializeToString(), plain(model.facts))
        fit = replace(fit, base=predictor(given.content, "base"))
        return Source(None, given, fit, seed, key_of(given.content.hex(), fit_key(fit), seed))
    answers = predictor(model, "base")(few(fit.train.x))
    key = key_of(model_key(model, answers), fit_key(fit), seed)
    base = cache.find(key)
    if base is None:
        step = export(model, fit.validation, name="base")
        base = Entry(step.model.SerializeToString(), plain(step.facts))
        cache.keep(key, base.content, base.about)
    # whatever a recipe does to the base, the base can teach what came of it
    fit = replace(fit, base=predictor(base.content, "base"))
    return Source(model, base, fit, seed, key)


def make(
    recipes: Sequence[Recipe], source: Source, cache: Cache, checkpoints: Path, *, task: str = ""
) -> list[Made]:
    """What comes of each recipe, in their order; one that cannot be run does not stop the others.

    Where several processes work, recipes that begin with the same training stay together. They
    keep what they have finished in the cache at once.
    """
    if crew().alone:
        return spread(_alone, recipes, source, cache, task=task)
    if here().strategy is not None:
        raise DeviceError(
            "several jobs on several devices at once", "one or the other", "leave --jobs out"
        )
    groups: dict[Any, list[Recipe]] = {}
    for one in recipes:
        first = one.passes[0]
        groups.setdefault(first if first.stage == "keras" else one, []).append(one)
    near = crew().near
    found: dict[str, Made] = {}

    def kept(_: int, made: list[Made]) -> None:
        for one in made:
            found[one.recipe.name] = one
            if one.error is None and not near:
                _keep(one, source, cache)

    missing = []
    for group in groups.values():
        known = [_found(one, source, cache) for one in group]
        if all(one is not None for one in known):
            kept(0, [one for one in known if one is not None])
        else:
            missing.append(tuple(group))
    # a session of onnxruntime does not travel; the bytes it was made of do
    light = replace(source, fit=replace(source.fit, base=None), memory={})
    shared = (cache, checkpoints) if near else (None, None)
    spread(_together, missing, light, *shared, here().device, task=task, done=kept)
    return [found[one.name] for one in recipes]


def graph_before(recipe: Recipe, kind: str, source: Source, cache: Cache | None) -> Any:
    """The onnx.ModelProto that the pass `kind` of a recipe is given."""
    place = [p.name for p in recipe.passes].index(kind)
    return _follow(recipe.passes[:place], recipe.name, source, cache)[0]


def graphs(recipe: Recipe, source: Source, cache: Cache | None) -> list[Any]:
    """The onnx.ModelProto that stands after each pass of a recipe, exported where it is Keras."""
    passes = recipe.passes
    every = (passes[: place + 1] for place in range(len(passes)))
    return [_follow(so_far, recipe.name, source, cache)[0] for so_far in every]


def _together(
    group: Sequence[Recipe],
    source: Source,
    cache: Cache | None,
    checkpoints: Path | None,
    device: str,
) -> list[Made]:
    """Recipes one after the other in a process of their own."""
    source = replace(
        source, fit=replace(source.fit, base=predictor(source.base.content, "base")), memory={}
    )
    with ExitStack() as stack:
        if device:
            stack.enter_context(on("gpu" if "GPU" in device else "cpu"))
        if checkpoints is not None:
            stack.enter_context(resuming(checkpoints / group[0].name))
        return [_alone(one, source, cache) for one in group]


def _alone(current: Recipe, source: Source, cache: Cache | None) -> Made:
    """What comes of one recipe, here."""
    known = _found(current, source, cache)
    if known is not None:
        return known
    start = time.monotonic()
    try:
        with under(current.name):
            small, facts = _follow(current.passes, current.name, source, cache)
        content = small.SerializeToString()
        _answering(current.name, content, source)
    except ToolkitError as error:
        return Made(current, error=error, seconds=time.monotonic() - start)
    made = Made(current, content, facts, seconds=time.monotonic() - start)
    _keep(made, source, cache)
    return made


def _answering(name: str, content: bytes, source: Source) -> None:
    """Raise RecipeError unless a file loads and answers a row with as many classes as the base."""
    row = np.asarray(few(source.fit.validation.x)[:1], np.float32)
    try:
        wanted, found = (predictor(one, name)(row) for one in (source.base.content, content))
    except ToolkitError as error:
        raise RecipeError(
            f"what {name} made of this model does not run ({error.problem})",
            "another recipe",
            "leave it out",
        ) from error
    if found.shape != wanted.shape or not np.isfinite(found).all():
        raise RecipeError(
            f"what {name} made of this model answers {found.shape}, not {wanted.shape} finite",
            "another recipe",
            "leave it out",
        )


def _key(source: Source, passes: Sequence[Pass], *more: str) -> str:
    return key_of(source.key, [pass_key(p) for p in passes], more)


def _keep(made: Made, source: Source, cache: Cache | None) -> None:
    if cache is not None:
        key = _key(source, made.recipe.passes)
        cache.keep(key, made.content, {"facts": made.facts, "seconds": made.seconds})


def _found(current: Recipe, source: Source, cache: Cache | None) -> Made | None:
    entry = cache.find(_key(source, current.passes)) if cache is not None else None
    if entry is None:
        return None
    facts, seconds = tuple(entry.about["facts"]), entry.about["seconds"]
    return Made(current, entry.content, facts, seconds=seconds)


def _follow(
    passes: tuple[Pass, ...], name: str, source: Source, cache: Cache | None
) -> tuple[Any, tuple[Facts, ...]]:
    """Run the passes of a recipe; a beginning that another recipe has run is not run again."""
    taught = tuple(p for p in passes if p.stage == "keras")
    now, facts = _exported(taught, name, source, cache)
    done = taught
    for step in passes[len(taught) :]:
        done = (*done, step)
        if done not in source.memory:
            source.memory[done] = apply(step, now, source.fit, source.seed)
        now = source.memory[done].model
        facts = (*facts, plain(source.memory[done].facts))
    return now, facts


def _exported(
    taught: tuple[Pass, ...], name: str, source: Source, cache: Cache | None
) -> tuple[Any, tuple[Facts, ...]]:
    """The graph that comes of the Keras passes of a recipe, and the facts of each and of export."""
    import onnx

    if taught and source.model is None:
        raise RecipeError(
            f"{taught[0].name} changes the Keras model, and the base is an .onnx",
            "passes on the file alone",
            "compress the Keras model",
        )
    if not taught:
        return onnx.load_from_string(source.base.content), (source.base.about,)
    key = _key(source, taught, "export")
    entry = cache.find(key) if cache is not None else None
    if entry is not None:
        return onnx.load_from_string(entry.content), tuple(entry.about["facts"])
    now, facts, done = source.model, (), ()  # type: Any, tuple[Facts, ...], tuple[Pass, ...]
    for step in taught:
        done = (*done, step)
        if done not in source.memory:
            source.memory[done] = apply(step, now, source.fit, source.seed)
        now = source.memory[done].model
        facts = (*facts, plain(source.memory[done].facts))
    if (*taught, "export") not in source.memory:
        source.memory[*taught, "export"] = export(now, source.fit.validation, name=name)
    shown = source.memory[*taught, "export"]
    facts = (*facts, plain(shown.facts))
    if cache is not None:
        cache.keep(key, shown.model.SerializeToString(), {"facts": facts})
    return shown.model, facts
