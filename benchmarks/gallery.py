"""The sample pages in reports/, one folder a data set, each trained, compressed and explained.

python benchmarks/gallery.py [digits|adult|text|mnist|cifar10 ...]

digits comes with scikit-learn and is shown as it is. The others are read from the folder that
TOOLKIT_DATA names (adult.data, rt-polarity.pos and .neg, mnist.npz, cifar10.npz); their rows are
not ours to publish, so that their pages leave the inputs out: no picture, no text, no row of a
table, no answers of layers to a row, words by their number. Figures, reasons and charts stay.
"""

import os
import sys
import tempfile
import warnings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
warnings.simplefilter("ignore")

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from toolkit import data, models, report, training
from toolkit.checks import checked
from toolkit.glossary import Attribution, Decision, Splits
from toolkit.predict import predictor
from toolkit.run import Run
from toolkit.search import compress
from toolkit.studying import joined, study, with_layers

REPORTS = Path(__file__).parents[1] / "reports"


@dataclass(frozen=True)
class Sample:
    """A data set with the net and the recipes its pages show; most: training rows taken."""

    files: tuple[str, ...]
    net: str
    epochs: int
    recipes: tuple[str, ...]
    most: int = 20_000
    scale: float = 1.0


SAMPLES = {
    "digits": Sample((), "mlp", 100, ("float16", "int8", "int8-qat", "distil-int8-qat")),
    "adult": Sample(("adult.data",), "tabular", 5, ("float16", "int8", "distil-int8")),
    "text": Sample(("rt-polarity.pos", "rt-polarity.neg"), "text", 3, ("float16", "int8-dynamic")),
    "mnist": Sample(("mnist.npz",), "mlp", 5, ("float16", "int8", "distil-int8"), scale=1 / 255),
    "cifar10": Sample(("cifar10.npz",), "cnn", 3, ("float16", "int8"), most=12_000),
}


def loaded(name: str, sample: Sample) -> Splits:
    """The data, with no more rows than a sample needs."""
    folder = Path(os.environ.get("TOOLKIT_DATA", "."))
    spec = ",".join(str(folder / file) for file in sample.files) or name
    splits = data.load(spec, scale=sample.scale)
    fit = replace(
        splits.fit,
        train=splits.fit.train.rows(slice(0, sample.most)),
        validation=splits.fit.validation.rows(slice(0, 2_000)),
    )
    return replace(splits, fit=fit, test=splits.test.rows(slice(0, 4_000)))


def without_inputs(run: Run) -> Run:
    """The run without anything that a row of the data held."""

    def bare(d: Decision) -> Decision:
        players = d.players
        if d.text is not None:
            players = tuple(f"word {i + 1}" for i in range(len(players)))
        return replace(d, x=np.zeros(0, np.float32), text=None, pieces=(), players=players)

    def unnamed(a: Attribution) -> Attribution:
        names = a.names
        if run.data["kind"] == "text":
            names = tuple(f"word {i + 1}" for i in range(len(a.values)))
        return replace(a, names=names, shown=None)

    layers = tuple(layer for layer in run.layers if layer.role == "weights")
    return replace(
        run,
        decisions=tuple(map(bare, run.decisions)),
        attributions=tuple(map(unnamed, run.attributions)),
        layers=layers,
    )


def made(name: str, sample: Sample) -> Run:
    """The whole job on one data set."""
    splits = loaded(name, sample)
    start = models.build(sample.net, splits.fit.train)
    settings = training.Settings(epochs=sample.epochs, batch=64)
    model, history = training.train(start, splits.fit, settings)
    with tempfile.TemporaryDirectory() as folder:
        frontier = compress(model, splits, sample.recipes, out=folder, history=history)
        small = frontier.chosen or min(frontier.candidates, key=lambda a: a.nbytes)
        pair = [predictor(a.path, a.name) for a in (frontier.base, small)]
        why = with_layers(study(pair, splits), frontier.base.path, splits)
        return checked(joined(frontier.run, why))


def main() -> None:
    for name in sys.argv[1:] or SAMPLES:
        run = made(name, SAMPLES[name])
        shown = without_inputs(run) if SAMPLES[name].files else run
        for page in report.write(shown, REPORTS / name):
            size = page.stat().st_size
            if size > 1_000_000:
                raise SystemExit(f"{page} has {size:,} bytes, more than a sample may have")
            print(f"{page.relative_to(REPORTS.parent)} {size:,} bytes")


if __name__ == "__main__":
    main()
