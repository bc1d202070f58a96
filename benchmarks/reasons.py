"""What quantisation, pruning and distillation do to reasons: a table, and a page for each data set.

[TOOLKIT_DATA=FOLDER] [TOOLKIT_MODELS=FOLDER] python benchmarks/reasons.py [--out DIR]
    [--data digits,breast_cancer,mnist.npz,adult.data,cifar10.npz] [--rows 40] [--samples 1024]
    [--cache DIR]

Each recipe is run from one trained base; distil has a larger teacher if there is one, distil-half
and distil-reasons the base, and half its width. All models and the base trained again with another
seed (the ceiling) answer the same questions of the same rows, drawn at random. cifar10.npz: the
ResNet-8 of MLPerf Tiny out of TOOLKIT_MODELS, without a larger teacher, distil-reasons and a
ceiling, for the time they take. cache: where what recipes made is found again.
Intervals are bootstrap ones over rows. Pages hold figures and attributions, and nothing of any row.
--quick is digits and breast_cancer over 24 rows.
"""

import argparse
import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

from toolkit import data, models, report
from toolkit.cache import Cache
from toolkit.checks import checked
from toolkit.cli.screen import table
from toolkit.explainers import EXPLAINERS
from toolkit.making import begun, make
from toolkit.passes import PASSES
from toolkit.predict import predictor
from toolkit.recipe import Recipe
from toolkit.recipe import load as named
from toolkit.studying import study
from toolkit.training import Settings, train

asked = argparse.ArgumentParser()
asked.add_argument("--data", default="digits,breast_cancer")
asked.add_argument("--rows", type=int, default=40)
asked.add_argument("--samples", type=int, default=1024)
asked.add_argument("--out", default="")
asked.add_argument("--cache", type=Path)
asked.add_argument("--quick", action="store_true")
o = asked.parse_args()
ROWS = 24 if o.quick else o.rows
CARRIED = 12
"""Rows whose attributions a page carries, so that it stays below 1 MB."""
FOLDER, REFERENCE = (Path(os.environ.get(n, ".")) for n in ("TOOLKIT_DATA", "TOOLKIT_MODELS"))
began = time.time()


def pruned(part):
    return Recipe(f"prune-{100 * part:.0f}", (PASSES["prune"](sparsity=part),))


AFTER = [named("float16"), named("int8"), named("int8-dynamic"), pruned(0.5), pruned(0.8)]
HALF = Recipe("distil-half", (PASSES["distil"](teacher="base", student="base*0.5"),))
TAUGHT = [named("distil"), HALF, named("distil-reasons")]
SETS = {
    "digits": ("cnn", Settings(epochs=30, batch=32)),
    "breast_cancer": ("tabular", Settings(epochs=20, batch=16)),
    "mnist.npz": ("cnn", Settings(epochs=4, batch=64)),
    "adult.data": ("tabular", Settings(epochs=4, batch=64)),
}


def job(name):
    """The data, its base, the recipes, and the base trained again, if it is ours to train."""
    splits = data.load(name if name in data.NAMED else FOLDER / name)
    fit = replace(splits.fit, train=splits.fit.train.rows(slice(10_000)))
    splits = replace(splits, fit=fit, test=splits.test.rows(slice(3_000)))
    if name == "cifar10.npz":
        net = models.open_model(REFERENCE / "pretrainedResnet.h5")
        return splits, net, [*AFTER, HALF], None
    kind, settings = SETS[name]
    nets = [
        train(models.build(kind, fit.train, seed=seed), fit, settings, seed=seed)[0]
        for seed in (0, 1)
    ]
    return splits, nets[0], [*AFTER, *TAUGHT], predictor(nets[1], "trained again")


def figure(run, subject, name, form="{:.3f}"):
    found = run.measured(subject, name)
    if found is None:
        return "-"
    ends = "" if found.low is None else f" ({form.format(found.low)} to {form.format(found.high)})"
    return form.format(found.value) + ends


def shown(run, methods):
    for method in methods:
        head = (
            method,
            "right %",
            "same %",
            "agreement of reasons",
            "drift",
            "carried over",
            "moved",
        )
        rows = [
            (
                subject,
                figure(run, subject, "accuracy", "{:.1f}").split(" ")[0],
                figure(run, subject, "agreement", "{:.1f}").split(" ")[0],
                figure(run, subject, f"reason_place {method}"),
                figure(run, subject, f"reason_drift {method}", "{:.2f}"),
                figure(run, subject, f"reason_transfer {method}", "{:.2f}"),
                figure(run, subject, f"reason_moved {method}", "{:.3f}").split(" ")[0],
            )
            for subject in run.subjects()
            if run.measured(subject, f"reason_cosine {method}")
        ]
        print(table(head, rows))
        ends = ", ".join(
            f"{text} {figure(run, run.base, f'reason_{name} {method}')}"
            for text, name in (("random", "null"), ("noise", "floor"), ("trained again", "ceiling"))
        )
        print(f"cosines: {ends}\n", flush=True)


def light(run):
    """The run as its page carries it: figures of all rows, attributions of `CARRIED`, no inputs."""
    rows = list(dict.fromkeys(a.row for a in run.attributions))[:CARRIED]
    kept = (replace(a, shown=None) for a in run.attributions if a.row in rows)
    return replace(run, decisions=(), attributions=tuple(kept))


for name in o.data.split(","):
    splits, net, recipes, again = job(name)
    with tempfile.TemporaryDirectory() as folder:
        kept = o.cache or Path(folder)
        cache = Cache(kept)
        source = begun(net, splits.fit, cache)
        small = [predictor(source.base.content, "base")]
        for one in make(recipes, source, cache, kept):
            if one.error is None:
                small.append(predictor(one.content, one.recipe.name))
            else:
                print(f"{one.recipe.name}: {one.error}")
    methods = [EXPLAINERS["shapley"](samples=o.samples), EXPLAINERS["lime"](samples=4096)]
    run = study(small, splits, methods=methods, rows=1, sample=ROWS, retrained=again)
    print(f"{name}: base right in {figure(run, 'base', 'accuracy', '{:.1f}')} %, {ROWS} rows")
    shown(run, ("shapley", "lime"))
    for finding in run.findings:
        print(f"  {finding.code} {finding.subject}: {finding.sentence}")
    if o.out:
        run = checked(replace(run, title=f"{splits.name}: what compression does"))
        page = Path(o.out) / f"{name.split('.')[0]}.html"
        report.write_page(light(run), "reasons", page)
        print(f"{page}: {page.stat().st_size:,} bytes\n")
print(f"{time.time() - began:.0f} s")
