"""The main job from end to end: train, compress, explain, and the pages about it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from toolkit import report, run
from toolkit.checks import checked
from toolkit.choice import Budget
from toolkit.files import writable_folder, write_with
from toolkit.glossary import Splits
from toolkit.models import build
from toolkit.models.reference import usual
from toolkit.predict import predictor
from toolkit.recipe import USUAL
from toolkit.run import Run
from toolkit.search import compress
from toolkit.studying import joined, study, with_layers
from toolkit.training import Settings, train


@dataclass(frozen=True, eq=False)
class Demonstration:
    """run: all results. pages: compression and explanation. steps: seconds each step took."""

    run: Run
    pages: tuple[Path, ...]
    steps: dict[str, float]


def demonstrate(
    splits: Splits,
    *,
    out: Path,
    epochs: int = 0,
    rows: int = 12,
    seed: int = 0,
    lang: str = "en",
    command: str = "",
) -> Demonstration:
    """Train the reference classifier, compress it, explain base and choice, write the pages.

    epochs: of the base; 0 as many as `Settings` gives. lang: of the pages. command: what asked for
    it, for the page to say how to repeat it.
    """
    steps: dict[str, float] = {}
    settings, folder = Settings(epochs=epochs), writable_folder(out)
    with _timed(steps, "train"):
        start = build(usual(splits.test.kind)[0], splits.fit.train, seed=seed)
        model, history = train(start, splits.fit, settings, seed=seed)
        write_with(folder / "base.keras", model.save)
    with _timed(steps, "compress and measure"):
        frontier = compress(
            model, splits, USUAL, budget=Budget(), out=folder, seed=seed, history=history
        )
    with _timed(steps, "explain"):
        chosen = frontier.chosen or min(frontier.candidates, key=lambda a: a.nbytes)
        pair = [predictor(a.path, a.name) for a in (frontier.base, chosen)]
        why = study(pair, splits, rows=rows, seed=seed)
        why = with_layers(why, frontier.base.path, splits)
    with _timed(steps, "write pages"):
        found = checked(joined(frontier.run, why))
        if command:
            found = replace(found, settings={**found.settings, "command": command})
        run.save(found, folder / "run.json")
        pages = report.write(found, folder, lang=lang)
    return Demonstration(found, pages, steps)


@contextmanager
def _timed(steps: dict[str, float], name: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    steps[name] = round(time.perf_counter() - start, 1)
