"""Bundles replayed on other processors: how far answers differ, and what is noticed.

python benchmarks/elsewhere.py [--quick] [--on NAME=COMMAND ...]

COMMAND starts a Python that has numpy and onnxruntime on another processor, real or emulated, such
as "qemu-aarch64 -L ROOT ROOT/usr/bin/python3.11" or "qemu-x86_64 -cpu Haswell python";
docs/deploying.md says how to get one. Without --on, this machine alone. A CNN trained on
scikit-learn's digits, seed 0; with TOOLKIT_DATA (cifar10.npz) and TOOLKIT_MODELS
(pretrainedResnet.h5) also the ResNet-8 of MLPerf Tiny, which --quick leaves out. 32 samples each,
one row a call, one thread.
"""

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import replace
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

from toolkit import build, bundle, compress, load, open_model, train
from toolkit.passes import PASSES
from toolkit.recipe import Recipe
from toolkit.training import Settings

asked = argparse.ArgumentParser()
asked.add_argument("--quick", action="store_true")
asked.add_argument("--on", action="append", default=[])
args = asked.parse_args()
places = {"here": [sys.executable]}
for one in args.on:
    name, _, command = one.partition("=")
    places[name] = shlex.split(command)


def rounded(bits):
    """Static int8 whose weights take so many bits."""
    last = (PASSES["integer_operators"](), PASSES["shorten"]())
    return Recipe(
        f"int8 of {bits} bits".replace(" ", "-"), (PASSES["static_int8"](bits=bits), *last)
    )


def cases():
    """Each net with its data."""
    digits = load("digits")
    net = build("cnn", digits.fit.train)
    yield "digits CNN", train(net, digits.fit, Settings(epochs=15, batch=32))[0], digits
    if not args.quick and {"TOOLKIT_DATA", "TOOLKIT_MODELS"} <= set(os.environ):
        cifar = load(str(Path(os.environ["TOOLKIT_DATA"]) / "cifar10.npz"))
        cifar = replace(cifar, test=cifar.test.rows(slice(1000)))
        path = Path(os.environ["TOOLKIT_MODELS"]) / "pretrainedResnet.h5"
        yield "ResNet-8", open_model(path), cifar


HEAD = ("net", "file", "where", "same bits", "same class", "largest difference",
        "allowed: rounding; falls of a step", "passed")  # fmt: skip
print(f"| {' | '.join(HEAD)} |")
print("|---" * len(HEAD) + "|")
for net_name, net, splits in cases():
    with tempfile.TemporaryDirectory() as out:
        recipes = ["float16", "int8-dynamic", rounded(7), rounded(8)]
        run = compress(net, splits, recipes, out=out).run
        for artifact in run.artifacts:
            folder = Path(out) / f"{artifact.name} there"
            packed = bundle.write(run, splits.test, Path(out) / "b.zip", name=artifact.name)
            with zipfile.ZipFile(packed) as inside:
                inside.extractall(folder)
            for place, command in places.items():
                done = subprocess.run(
                    [*command, str(folder / "run.py"), "--verify", "--json"],
                    capture_output=True, text=True, check=False,
                )  # fmt: skip
                if not done.stdout:
                    raise SystemExit(f"{place}: {done.stderr[-300:]}")
                found = json.loads(done.stdout)["replay"]
                limits = found["allowed"]
                row = (
                    net_name,
                    artifact.name,
                    place,
                    f"{found['same_bits']} of {found['rows']}",
                    found["same_class"],
                    f"{found['largest_difference']:.2g}",
                    f"{limits['rounding']:.2g}; {limits['falls']} of {limits['step']:.2g}",
                    "yes" if found["passed"] else "NO",
                )
                print(f"| {' | '.join(map(str, row))} |", flush=True)
