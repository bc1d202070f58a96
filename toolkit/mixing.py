"""Mixes of float and integer layers: accuracy won back with few bytes, and time won back.

Both choose on rows that passes may see, and by their own timings; what they choose is judged with
all other candidates, on test rows and in the same interleaved measurement.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from toolkit import metrics, provenance
from toolkit.cache import Cache, key_of
from toolkit.diagnosis import diagnose
from toolkit.errors import ToolkitError
from toolkit.glossary import NOTICEABLE, Data, Facts, Finding, Floats, LayerError
from toolkit.making import Made, Source, graph_before, make
from toolkit.measurement import latency
from toolkit.predict import OnnxPredictor
from toolkit.progress import tell
from toolkit.recipe import Recipe
from toolkit.shapes import in_shape
from toolkit.targets import answering

ROUNDING = "static_int8"
"""The pass that can leave layers in float."""
_BEFORE = "round_weights"
"""The pass that puts weights on a grid for it, and leaves the same layers as they are."""
ROWS = 200
"""Rows by which the effect of each layer is told."""
NAMED = 3
"""So many layers are named in a sentence."""


@dataclass(frozen=True, eq=False)
class Mix:
    """A candidate with some layers in float, where one was found, and what there is to say."""

    made: Made | None
    finding: Finding


@dataclass(frozen=True, eq=False)
class Bench:
    """Where mixes are made: what recipes begin with, and what is kept of them."""

    source: Source
    cache: Cache
    checkpoints: Path
    target: str = ""

    def answers(self, content: bytes, name: str, x: Any) -> Floats:
        """What a file answers on CPUs of the target."""
        return answering(content, name, self.target)(x)

    def made(self, recipes: Sequence[Recipe]) -> list[Made]:
        """What comes of each recipe."""
        return make(recipes, self.source, self.cache, self.checkpoints)

    def errors(self, one: Made) -> list[LayerError]:
        """The layers of a candidate that could be put back to float, worst first."""
        first = next(p.name for p in one.recipe.passes if p.name in (_BEFORE, ROUNDING))
        graph = graph_before(one.recipe, first, self.source, self.cache)
        rows = self.source.fit.ranging(ROWS).x[:]

        def work() -> Facts:
            return {"errors": [asdict(e) for e in diagnose(graph, one.content, rows)]}

        key = key_of("layer errors", graph.SerializeToString(), one.content, np.asarray(rows))
        found = [
            LayerError(**{**e, "subject": one.recipe.name})
            for e in self.cache.recalled(key, work)["errors"]
        ]
        floats = {n for f in one.facts if f.get("pass") == ROUNDING for n in f["skipped"]}
        rounded = {o for node in graph.graph.node if node.name not in floats for o in node.output}
        return sorted((e for e in found if e.layer in rounded), key=lambda e: -e.effect)


def mixable(recipe: Recipe) -> bool:
    """Whether layers of what a recipe makes can be left in float."""
    return any(p.name == ROUNDING for p in recipe.passes)


def mixed(recipe: Recipe, layers: Sequence[str], name: str) -> Recipe:
    """The recipe under another name, with these layers in float.

    >>> from toolkit.recipe import load
    >>> mixed(load("int8"), ["conv"], "int8-mixed").passes[0].keep_float
    ('conv',)
    """
    both = (_BEFORE, ROUNDING)
    passes: list[Any] = list(recipe.passes)
    passes = [replace(p, keep_float=tuple(layers)) if p.name in both else p for p in passes]
    return Recipe(name, tuple(passes), f"As {recipe.name}, with some layers in float.")


def faults(made: Sequence[Made], bench: Bench) -> tuple[tuple[LayerError, ...], list[Finding]]:
    """What rounding does to the layers of each candidate whose layers could stay float."""
    found: list[LayerError] = []
    apart: list[Finding] = []
    for one in made:
        if one.error is None and mixable(one.recipe):
            try:
                found += bench.errors(one)
            except ToolkitError as error:  # of one candidate; the others are told
                name, why = one.recipe.name, str(error)
                said = "What rounding does to the layers of {name} cannot be told: {why}."
                apart.append(Finding.of("Q5", "info", name, said, name=name, why=why))
    return tuple(found), apart


def expected_bound(base: Floats, other: Floats, rows: Data, n: int) -> float:
    """The one-sided 95 % bound of the drop, points, as n other rows like these would show it.

    base, other: f32 (m, k), answers to the m `rows`. The bound is that of `metrics.accuracy_drop`
    with the shares of lost and won rows that were seen here.
    """
    drop = metrics.accuracy_drop(base, other, rows.y)
    lost, won = drop.lost * n / drop.n, drop.won * n / drop.n
    p, q = (lost + 1) / (n + 2), (won + 1) / (n + 2)
    error = math.sqrt((p + q - (p - q) ** 2) / (n + 2))
    return 100 * min(1.0, p - q + metrics.Z_ONE_SIDED * error)


def accurate(one: Made, bench: Bench, *, limit: float, n: int) -> Mix | None:
    """Put layers of a candidate back to float until its drop keeps below `limit`, points.

    Worst first, by what rounding each alone does to the answers; then those that turn out not to
    be needed are rounded again, largest first, so that few bytes are lost. Validation rows say
    when it is enough, as far as n test rows could show it. None where no layer is rounded.
    """
    rows = bench.source.fit.validation
    base = OnnxPredictor(bench.source.base.content, "base")(rows.x)
    name = f"{one.recipe.name}-mixed"
    errors = bench.errors(one)
    if not errors:
        return None

    def tried(layers: Sequence[str]) -> tuple[Made, float]:
        (made,) = bench.made([mixed(one.recipe, layers, name)])
        if made.error is not None:
            return made, math.inf
        other = bench.answers(made.content, name, rows.x)
        return made, expected_bound(base, other, rows, n)

    kept: list[str] = []
    costs: dict[str, int] = {}
    size, bound, best = len(one.content), math.inf, one
    for done, worst in enumerate(errors):
        tell("layers back to float", done, len(errors))
        best, bound = tried([*kept, worst.layer])
        kept.append(worst.layer)
        costs[worst.layer] = len(best.content) - size
        size = len(best.content)
        if bound < limit:
            break
    if bound >= limit:
        return Mix(None, _given_up(one, errors, bound, limit=limit, n=n))
    for layer in sorted(kept[:-1], key=lambda layer: -costs[layer]):
        fewer = [k for k in kept if k != layer]
        made, bound = tried(fewer)
        if bound < limit and len(made.content) < len(best.content):
            best, kept = made, fewer
    tell("layers back to float", len(errors), len(errors))
    return _put_back(one, best, {e.layer: e for e in errors if e.layer in kept}, costs, len(rows))


def some_of(names: Sequence[str]) -> str:
    """The first of many names and the number of the others; facts and recipe hold them all.

    >>> some_of("abcde")
    'a, b, c and 2 more'
    """
    few = ", ".join(names[:NAMED])
    return few if len(names) <= NAMED else f"{few} and {len(names) - NAMED} more"


def _put_back(
    one: Made, best: Made, layers: dict[str, LayerError], costs: dict[str, int], rows: int
) -> Mix:
    told = {
        name: f"{e.kind}: rounded alone it moves a probability by {e.effect:.2g}; "
        f"{costs[name]:,} bytes"
        for name, e in layers.items()
    }
    facts = {"pass": "layers back to float", "chosen_on_rows": rows, "skipped": told}
    more = len(best.content) - len(one.content)
    said = (
        "{n} of the layers of {name} stay float for the sake of accuracy, {layers}: "
        "{more:,} bytes more.",
        "Allow a larger drop for a smaller file.",
    )
    if more <= 0:
        said = (
            "{n} of the layers of {name} stay float for the sake of accuracy, {layers}: "
            "not a byte more.",
            "",
        )
    finding = Finding.of(
        "K1",
        "info",
        best.recipe.name,
        *said,
        n=len(layers),
        name=one.recipe.name,
        layers=some_of(list(layers)),
        more=more,
    )
    return Mix(replace(best, facts=(*best.facts, facts)), finding)


def _given_up(
    one: Made, errors: Sequence[LayerError], bound: float, *, limit: float, n: int
) -> Finding:
    return Finding.of(
        "K2",
        "warning",
        one.recipe.name,
        "Even with all {layers} layers of {name} back in float, {n:,} test rows "
        "could not rule out a loss of {limit:g} points; the bound would be {bound:.2f}.",
        "Give more test rows, allow a larger drop, or train what the recipe begins with longer.",
        layers=len(errors),
        name=one.recipe.name,
        n=n,
        limit=limit,
        bound=bound,
    )


def swift(one: Made, bench: Bench, *, rounds: int = 15) -> Mix | None:
    """Look for the mix of float and integer layers that is the quickest, where integers are slow.

    Groups of layers are put back to float: those of a kind, the smaller ones, those up to or from
    a place; all are timed beside the base, interleaved. None where the candidate is not slower, or
    has not two layers that could be told apart.
    """
    # by the ratio and not by its interval: what is told slow in the end must have been looked at
    if timed([one], bench, rounds=rounds)[one.recipe.name][0] <= NOTICEABLE:
        return None
    errors = bench.errors(one)
    groups = _groups(errors, one.recipe, bench)
    if not groups:
        return None
    name = f"{one.recipe.name}-quick"
    recipes = [mixed(one.recipe, g, f"{name}-{i}") for i, g in enumerate(groups)]
    made = [m for m in bench.made(recipes) if m.error is None]
    ratios = timed([one, *made], bench, rounds=rounds)
    best = min(made, key=lambda m: ratios[m.recipe.name][0], default=one)
    value, low, high = ratios[best.recipe.name]
    own = ratios[one.recipe.name][0]
    if best is one or high > NOTICEABLE or value > own / NOTICEABLE:
        return Mix(None, _no_mix(one.recipe.name, own, value, low, len(made)))
    kept = best.recipe.passes[[p.name for p in best.recipe.passes].index(ROUNDING)]
    layers = list(getattr(kept, "keep_float", ()))
    facts = {"pass": "layers back to float", "skipped": dict.fromkeys(layers, "quicker in float")}
    renamed = replace(best.recipe, name=name)
    finding = Finding.of(
        "K3",
        "info",
        name,
        "{name} takes {own:.2f} times the base's time. With {n} layers in "
        "float, {layers}, it takes {value:.2f} times: these are too small for integer "
        "kernels to win back what rounding around them costs.",
        "Take it where time counts more than size.",
        name=one.recipe.name,
        own=own,
        n=len(layers),
        layers=some_of(list(layers)),
        value=value,
    )
    return Mix(replace(best, recipe=renamed, facts=(*best.facts, facts)), finding)


def _no_mix(name: str, own: float, best: float, low: float, tried: int) -> Finding:
    return Finding.of(
        "K4",
        "info",
        name,
        "{name} takes {own:.2f} times the base's time, and none of {tried} mixes of float and "
        "integer layers is as quick as the base (the best takes {best:.2f}, at least {low:.2f}): "
        "its layers are too small for integer kernels to win back what rounding around them costs.",
        "Where speed counts more than size, take a float candidate.",
        name=name,
        own=own,
        tried=tried,
        best=best,
        low=low,
    )


def _groups(errors: Sequence[LayerError], recipe: Recipe, bench: Bench) -> list[list[str]]:
    """Sets of layers to leave in float, in the order of the graph; never none and never all."""
    graph = graph_before(recipe, ROUNDING, bench.source, bench.cache).graph
    place = {name: i for i, node in enumerate(graph.node) for name in node.output}
    layers = sorted(errors, key=lambda e: place[e.layer])
    names = [e.layer for e in layers]
    weighing = sorted((e for e in layers if e.nbytes), key=lambda e: e.nbytes)
    sets = [[e.layer for e in layers if e.kind == kind] for kind in {e.kind for e in layers}]
    sets.append([e.layer for e in layers if not e.nbytes])
    for share in (0.25, 0.5, 0.75):
        cut = round(share * len(layers))
        small = {e.layer for e in weighing[: round(share * len(weighing))]}
        # what has no weights joins the layers around it
        sets += [names[:cut], names[cut:]]
        sets.append([e.layer for e in layers if e.layer in small or not e.nbytes])
    found: list[list[str]] = []
    for one in sorted(sets):
        if one and len(one) < len(names) and one not in found:
            found.append(one)
    return found


def timed(candidates: Sequence[Made], bench: Bench, *, rounds: int) -> dict[str, list[float]]:
    """The ratio of each candidate's time to the base's, and the ends of its interval."""
    contents = {"base": bench.source.base.content}
    contents |= {one.recipe.name: one.content for one in candidates}
    key = key_of("times", contents, rounds, provenance.machine())
    return bench.cache.recalled(key, lambda: _ratios(contents, bench, rounds))


def _ratios(contents: dict[str, bytes], bench: Bench, rounds: int) -> Facts:
    with tempfile.TemporaryDirectory() as folder:
        paths = {name: Path(folder) / f"{name}.onnx" for name in contents}
        for name, path in paths.items():
            path.write_bytes(contents[name])
        x = bench.source.fit.validation.x[:1]
        rows = {n: in_shape(x, OnnxPredictor(p, n).shape) for n, p in paths.items()}
        found = latency(paths, rows, rounds=rounds, seed=bench.source.seed)
    return {m.subject: [m.value, m.low, m.high] for m in found if m.name == "latency_ratio"}


def mixes(
    made: Sequence[Made], bench: Bench, test: Data, *, limit: float | None, quick: bool
) -> list[Mix]:
    """Mixes for those candidates that lose too much, or that are slower than the base.

    limit: of the one-sided 95 % bound of the drop, points. quick: whether slower ones matter.
    """
    found: list[Mix | None] = []
    base = OnnxPredictor(bench.source.base.content, "base")(test.x) if limit else None
    for one in made:
        if one.error is not None or not mixable(one.recipe):
            continue
        try:
            if limit is not None and base is not None:
                answers = bench.answers(one.content, one.recipe.name, test.x)
                if 100 * metrics.accuracy_drop(base, answers, test.y).upper >= limit:
                    found.append(accurate(one, bench, limit=limit, n=len(test)))
            if quick:
                found.append(swift(one, bench))
        except ToolkitError as error:  # of one candidate; the others are made and stand
            found.append(Mix(None, _unmixed(one.recipe.name, error)))
    return [mix for mix in found if mix is not None]


def _unmixed(name: str, error: ToolkitError) -> Finding:
    return Finding.of(
        "K5",
        "warning",
        name,
        "No layer of {name} could be put back to float: {why}.",
        "Take it as it is, or another candidate.",
        name=name,
        why=str(error),
    )
