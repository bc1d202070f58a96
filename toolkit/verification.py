"""Is a page true? What it says of its models and data is checked, and some of it made again."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

import numpy as np

from toolkit import provenance
from toolkit.errors import DataError
from toolkit.explainers import EXPLAINERS, Explainer
from toolkit.explanation import explain
from toolkit.fidelity.difference import Difference
from toolkit.files import sha256
from toolkit.glossary import Attribution, Predictor, Splits
from toolkit.run import Run, from_json
from toolkit.study import prepared

CLOSE = 1e-4
"""A difference of an attribution, in probability, that another processor's sums may leave."""


@dataclass(frozen=True)
class Checked:
    """One thing that a page says, and whether it matches; None where it is only told."""

    about: str
    matches: bool | None
    sentence: str


def page(path: Path) -> Run:
    """The Run that a page, or the .json beside it, was made from.

    Raises DataError when there is none.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read {path}", "a page or its .json", "give its path") from error
    if path.suffix in (".html", ".htm"):
        found = _Script()
        found.feed(text)
        text = "".join(found.parts)
        if not text:
            raise DataError(
                f"{path} carries no run", "a page of this version", "give the .json beside it"
            )
    return from_json(text)


def named(run: Run, paths: Sequence[Path]) -> tuple[dict[str, Path], tuple[Checked, ...]]:
    """The given files by the names that the page has for them, found by their SHA-256."""
    hashes = {sha256(path): path for path in paths}
    wanted = {
        name.removeprefix("model ").removesuffix(".onnx"): digest
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
    order = [run.base, *(name for name in predictors if name != run.base)]
    alone, _ = prepared([predictors[name] for name in order], splits)
    asked: list[Predictor] = [*alone]
    asked += [Difference(alone[0], other) for other in alone[1:]]
    stored = {(a.method, a.subject, a.row): a for a in run.attributions}
    own = run.seeds.get("seed", 0)
    for explainer in _explainers(run):
        made = explain(
            asked,
            explainer,
            splits.test,
            some,
            background=splits.fit.train,
            size=run.settings.get("background"),
            seed=own,
        )
        worst = max(_apart(a, stored.get((a.method, a.subject, a.row))) for a in made)
        told.append(
            Checked(
                explainer.method,
                worst <= CLOSE,
                f"{len(made)} attributions by {explainer.method} of rows "
                f"{', '.join(str(row) for row in some)} made again: "
                f"largest difference {worst:.1e} of a probability",
            )
        )
    return tuple(told)


def _apart(made: Attribution, told: Attribution | None) -> float:
    if told is None or made.target != told.target or made.values.shape != told.values.shape:
        return float("inf")
    return float(np.abs(made.values - told.values).max())


def _explainers(run: Run) -> list[Explainer]:
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


class _Script(HTMLParser):
    """Collects what stands in <script type="application/json" id="run">."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)
        self.parts: list[str] = []
        self._inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Notice where the run begins."""
        about = dict(attrs)
        self._inside = (
            tag == "script" and about.get("id") == "run" and about.get("type") == "application/json"
        )

    def handle_endtag(self, tag: str) -> None:  # noqa: ARG002  # the parser calls it so
        """Notice where it ends."""
        self._inside = False

    def handle_data(self, data: str) -> None:
        """Keep what stands between."""
        if self._inside:
            self.parts.append(data)
