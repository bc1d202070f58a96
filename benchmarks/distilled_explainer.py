"""The explainer net by labels and by FastSHAP's objective, and beside exact explanation.

    TOOLKIT_DATA=FOLDER python benchmarks/distilled_explainer.py [--only adult mnist] [--seed 0]

Adult (12 columns, 100 background rows, 16,384 training rows) and MNIST (16 patches, the mean
picture, 2,048 training pictures), classifiers of games.py. Both ways train the same net with the
same correction, Adam and a falling rate, on one seed. Labels: `explainer_labels`. FastSHAP (Jethani
et al. 2022): each step draws coalitions and their complements by the Shapley kernel for each row of
a batch, asks the classifier with a background row drawn for each, and fits the sums of values.
Error: mean distance from exact values over their mean length on test rows, with a 95 % bootstrap
interval. CPU seconds of all threads, labels and the classifier's answers included. Then the file
that `distil_explainer` makes for Adult.
"""

import argparse
import os
import time
import warnings

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
warnings.simplefilter("ignore")

import numpy as np
from games import made_once

from toolkit import explainer_net
from toolkit.explainer_labels import asked, exact, labels_of, rows_of
from toolkit.explainers.choices import USUAL
from toolkit.predict import OnnxPredictor
from toolkit.quick_explainer import SETTINGS, _trained, distil_explainer, error_of
from toolkit.training import Settings

PLANS = {
    "adult": (16_384, 100, (10, 40, 80), (500, 2_000, 4_000)),
    "mnist": (2_048, 30, (20, 80, 160), (160, 640, 1_280)),
}
"""Training rows, test rows, epochs by labels, steps of FastSHAP."""

COALITIONS, BATCH, RATE = 16, 128, 2e-3
arguments = argparse.ArgumentParser()
arguments.add_argument("--only", nargs="*", default=list(PLANS), choices=PLANS)
arguments.add_argument("--seed", type=int, default=0)
arguments.add_argument("--quick", action="store_true")
args = arguments.parse_args()


def by_fastshap(front, predict, players, x, steps):
    """The net trained by the objective of FastSHAP."""
    import keras
    import tensorflow as tf

    rng = np.random.default_rng(args.seed)
    net = explainer_net.net_of(front, args.seed)
    rate = keras.optimizers.schedules.CosineDecay(RATE, steps)
    optimizer = keras.optimizers.Adam(rate)
    count, heads = front.players, front.heads
    sizes = np.arange(1, count)
    weight = 1 / (sizes * (count - sizes))
    flat, groups = players.background.reshape(len(players.background), -1), players.groups.ravel()

    @tf.function
    def step(inputs, chosen, total, shown, gained):
        with tf.GradientTape() as tape:
            made = tf.reshape(net(inputs, training=True), (-1, heads, count)) * chosen[:, :, None]
            made = tf.reduce_sum(made, axis=1)
            made += (total - tf.reduce_sum(made, axis=1, keepdims=True)) / count
            loss = tf.reduce_mean((tf.einsum("np,nsp->ns", made, shown) - gained) ** 2)
        slopes = tape.gradient(loss, net.trainable_variables)
        optimizer.apply_gradients(zip(slopes, net.trainable_variables, strict=True))

    for _ in range(steps):
        rows = x[rng.integers(len(x), size=BATCH)]
        p = predict(rows)
        target = p.argmax(axis=1)
        size = rng.choice(sizes, (BATCH, COALITIONS), p=weight / weight.sum())
        shown = np.argsort(np.argsort(rng.random((BATCH, COALITIONS, count)))) < size[..., None]
        shown = np.concatenate([shown, ~shown], axis=1)
        rival = flat[rng.integers(len(flat), size=shown.shape[:2])]
        rows_shown = np.where(shown[..., groups], rows.reshape(BATCH, 1, -1), rival)
        said = predict(rows_shown.reshape(-1, *x.shape[1:])).reshape(*shown.shape[:2], -1)
        gained = said[np.arange(BATCH), :, target] - front.base[target][:, None]
        step(
            front.features(rows, p),
            front.chosen(p),
            front.total(p),
            shown.astype(np.float32),
            gained.astype(np.float32),
        )
    return net


def beside(name):
    """A line for each way and effort."""
    splits, _, onnx = made_once(name)
    count, tested, epochs, steps = PLANS[name]
    if args.quick:
        count, tested, epochs, steps = 256, 3, (2,), (5,)
    predict = OnnxPredictor(onnx._model.SerializeToString(), name, 1)
    train = splits.fit.train
    players = asked(train, USUAL, args.seed)
    base = predict(players.background).mean(axis=0, dtype=np.float64)
    front = explainer_net.front_of(train, base, len(players))
    x = rows_of(train, count, args.seed)
    test = splits.test.x[:tested]
    targets, learnt = predict(test).argmax(axis=1), predict(x).argmax(axis=1)
    truth, surely = exact(predict, players, test, targets, args.seed)
    print(f"\n{name}: {count:,} rows, {tested} test rows, exact: {surely}")
    print(f"{'way':<28} {'CPU s':>6} {'error':>7}  95 % interval", flush=True)

    def line(way, seconds, found):
        error, low, high = error_of(found, truth)
        print(f"{way:<28} {seconds:>6.1f} {error:>7.4f}  {low:.4f} to {high:.4f}", flush=True)

    def said(net):
        p = predict(test)
        return explainer_net.corrected(front, np.asarray(net(front.features(test, p))), p)

    start = time.process_time()
    one = labels_of(predict, players, test, targets, seed=args.seed + 1)
    line(f"a label itself, {tested} rows", time.process_time() - start, one)
    start = time.process_time()
    labels = labels_of(predict, players, x, learnt, seed=args.seed)
    labelled = time.process_time() - start
    held = x[:256], labels[:256], predict(x[:256])
    for number in epochs:
        settings = Settings(
            epochs=number, batch=SETTINGS.batch, learning_rate=SETTINGS.learning_rate
        )
        start = time.process_time()
        net, _ = _trained(front, (x, labels, predict(x)), held, settings, args.seed)
        line(f"labels, {number} epochs", labelled + time.process_time() - start, said(net))
    for number in steps:
        start = time.process_time()
        net = by_fastshap(front, predict, players, x, number)
        line(f"FastSHAP, {number:,} steps", time.process_time() - start, said(net))


def the_file():
    """What the toolkit makes for Adult."""
    splits, _, onnx = made_once("adult")
    rows = 256 if args.quick else PLANS["adult"][0]
    made = distil_explainer(onnx._model.SerializeToString(), splits, rows=rows, seed=args.seed)
    judged = made.judged
    print(
        f"\nadult, the file: {made.facts['bytes']:,} bytes, error {judged.error:.4f} "
        f"({judged.low:.4f} to {judged.high:.4f}, {judged.rows} rows, exact: {judged.exact}); "
        f"the mean of the class {judged.constant:.4f}"
    )
    middle, low, high = judged.quicker
    print(f"classifier and explainer beside exact: {middle:.0f} times ({low:.0f} to {high:.0f})")


if __name__ == "__main__":
    for one in args.only:
        beside(one)
    if "adult" in args.only:
        the_file()
