"""The files a page speaks of, found again, and attributions of some rows made again."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from toolkit import provenance
from toolkit.errors import DataError
from toolkit.explainers import EXPLAINERS, Explainer
from toolkit.explainers.choices import Choice
from toolkit.explanation import explain
from toolkit.fidelity.difference import Difference
from toolkit.files import sha256
from toolkit.glossary import Attribution, Predictor, Splits
from toolkit.run import Run
from toolkit.studying import prepared
from toolkit.verification.pages import Checked

CLOSE = 1e-4
"""A difference of an attribution, in probability, that another processor's sums may leave."""


def named(run: Run, paths: Sequence[Path]) -> tuple[dict[str, Path], tuple[Checked, ...]]:
    """The given files by the names that the page has for them, found by their SHA-256."""
    hashes = {sha256(path): path for path in paths}
    wanted = {
        (
            name.removeprefix("model ") if name.startswith("model ") else name.removesuffix(".onnx")
        ): digest
        for name, digest in run.hashes.items()
        if name.startswith("model ") or name.endswith(".onnx")
    }
    subjects = [s for s in dict.fromkeys(a.subject for a in run.attributions) if s in wanted]
    found, told = {}, []
    for name in subjects:
        if wanted[name] in hashes:
            found[name] = hashes[wanted[name]]
            told.append(Checked(name, True, f"{name} is {found[name].name}"))
        else:
            told.append(Checked(name, False, f"none of the files given is {name} of the page"))
    told += [
        Checked(name, None, f"{name} is no file by itself: it is not checked")
        for name in run.subjects()
        if name not in wanted and run.measured(name, "accuracy")
    ]
    return found, tuple(told)


def versions(run: Run) -> tuple[Checked, ...]:
    """What is installed in another version than the page was made with: told, not judged."""
    here = provenance.versions()
    return tuple(
        Checked(name, None, f"{name} {here.get(name, 'not installed')}, the page has {then}")
        for name, then in run.versions.items()
        if here.get(name) != then
    )


def recomputed(
    run: Run, predictors: Mapping[str, Predictor], splits: Splits, *, rows: int = 3, seed: int = 0
) -> tuple[Checked, ...]:
    """Attributions of some rows made again with the page's own settings and seed.

    predictors: by the names in the page, the base among them. seed: which rows are picked.
    Raises DataError when the page does not tell its settings.
    """
    if splits.sha256 != run.hashes.get("data"):
        return (Checked("data", False, "the data are not those of the page"),)
    told = [Checked("data", True, f"the data are those of the page ({splits.sha256[:12]})")]
    every = sorted({a.row for a in run.attributions})
    picked = np.random.default_rng(seed).permutation(every)[:rows]
    some = sorted(int(row) for row in picked)
    alone = asked_as_there(run, predictors, splits)
    asked: list[Predictor] = [*alone]
    asked += [Difference(alone[0], other) for other in alone[1:]]
    stored = {(a.method, a.subject, a.row): a for a in run.attributions}
    own = run.seeds.get("seed", 0)
    how: dict[str, Any] = {"background": splits.fit.train, "seed": own}
    how["choice"] = Choice.told(run.settings.get("choice", {}))
    for explainer in explainers_of(run):
        made = explain(asked, explainer, splits.test, some, **how)
        pairs = [(a, stored.get((a.method, a.subject, a.row))) for a in made]
        worst = max(_apart(*pair) for pair in pairs)
        otherwise = sum(_otherwise(*pair) for pair in pairs)
        said = f"; the page tells other facts of {otherwise}" if otherwise else ""
        told.append(
            Checked(
                explainer.method,
                worst <= CLOSE and not otherwise,
                f"{len(made)} attributions by {explainer.method} of rows "
                f"{', '.join(str(row) for row in some)} made again: "
                f"largest difference {worst:.1e} of a probability{said}",
            )
        )
    return tuple(told)


def _apart(made: Attribution, told: Attribution | None) -> float:
    if told is None or made.target != told.target or made.values.shape != told.values.shape:
        return float("inf")
    ends = ([a.base, a.prediction] for a in (made, told))
    # of an error that is not known there is nothing to tell
    both = [(made.values, told.values), (made.stderr, told.stderr), tuple(map(np.array, ends))]
    return max(float(np.abs(np.nan_to_num(a) - np.nan_to_num(b)).max(initial=0)) for a, b in both)


def _otherwise(made: Attribution, told: Attribution | None) -> bool:
    """Whether the page tells another number of evaluations, other players or other facts."""
    if told is None:
        return True
    same = (made.converged, made.degrees, made.names) == (told.converged, told.degrees, told.names)
    return not same or not _alike(
        {"evaluations": made.evaluations, "shown": made.shown, **made.facts},
        {"evaluations": told.evaluations, "shown": told.shown, **told.facts},
    )


def _alike(one: Any, other: Any) -> bool:
    """Whether two facts are the same but for what another processor's sums may leave."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(_alike(v, other[k]) for k, v in one.items())
    if isinstance(one, str | None | bool) or isinstance(other, str | None | bool):
        return bool(one == other)
    a, b = np.asarray(one), np.asarray(other)
    if a.shape != b.shape or {a.dtype.kind, b.dtype.kind} - set("biuf"):
        return bool(a.tolist() == b.tolist())
    return bool(np.allclose(a, b, atol=1e-3, rtol=1e-3, equal_nan=True))


def asked_as_there(
    run: Run, predictors: Mapping[str, Predictor], splits: Splits
) -> tuple[Predictor, ...]:
    """The models as the page had them explained, its base first."""
    order = [run.base, *(name for name in predictors if name != run.base)]
    return prepared([predictors[name] for name in order], splits)[0]


def explainers_of(run: Run) -> list[Explainer]:
    """The methods with the settings that the page tells. Raises DataError where it does not."""
    found = []
    for method, settings in run.settings.get("methods", {}).items():
        if method not in EXPLAINERS:
            raise DataError(f"the page's method '{method}'", "one of this version", "update")
        known = {f.name for f in dataclasses.fields(EXPLAINERS[method])}
        if not settings.keys() <= known:
            raise DataError(
                f"settings {sorted(settings.keys() - known)} of {method}",
                f"those of this version: {sorted(known)}",
                "take the version that made the page",
            )
        found.append(EXPLAINERS[method](**settings))
    if not found:
        raise DataError(
            "the page does not tell how it was made", "a page of explain", "make it again"
        )
    return found
