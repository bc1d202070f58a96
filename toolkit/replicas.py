"""One training on several replicas: each sees its part of every batch, gradients are added up.

Keras 3.15's own fit under tf.distribute loses the batches it looks at before it starts and
weighs parts of unequal size alike. Here the sum over the parts is the mean over the batch, so that
the loss does not depend on the number of replicas. BatchNormalization sees its part alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np


def fit(
    strategy: Any,
    model: Any,
    loss: Any,
    accuracy: Any,
    *,
    batches: Callable[[int], Iterator[tuple[Any, Any]]],
    validation: Any,
    epochs: range,
    watch: Any,
) -> None:
    """Train a compiled Keras 3 model that was made in the strategy's scope.

    batches: epoch -> global ones, (x, y), the same on every worker. validation: batches, anew each
    time. watch: a callback whose on_epoch_end hears the figures and may set model.stop_training.
    """
    import tensorflow as tf

    optimizer, replicas = model.optimizer, strategy.num_replicas_in_sync
    row_loss = getattr(loss, "call", loss)
    hit = _hits if accuracy == "accuracy" else accuracy

    def figures(y: Any, p: Any, weights: Any) -> tuple[Any, Any]:
        found = tf.cast(tf.reshape(hit(y, p), [-1]), tf.float32)
        return tf.reduce_sum(row_loss(y, p) * weights), tf.reduce_sum(found * weights)

    def part(x: Any, y: Any, weights: Any) -> tuple[Any, Any]:
        with tf.GradientTape() as tape:
            total, right = figures(y, model(x, training=True), weights)
            # the penalties of weights are the same on every replica
            total += sum(model.losses) / replicas
            scaled = optimizer.scale_loss(total)
        slopes = tape.gradient(scaled, model.trainable_variables)
        optimizer.apply_gradients(zip(slopes, model.trainable_variables, strict=True))
        return total, right

    @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]
    def step(x: Any, y: Any, weights: Any) -> list[Any]:
        return [strategy.reduce("SUM", v, None) for v in strategy.run(part, (x, y, weights))]

    @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]
    def judge(x: Any, y: Any, weights: Any) -> tuple[Any, Any]:
        total, right = figures(y, model(x, training=False), weights)
        return total + sum(model.losses), right

    model.stop_training = False
    watch.set_model(model)
    for epoch in epochs:
        watch.on_epoch_begin(epoch)
        logs = _epoch("", ((len(x), step(*_parted(strategy, x, y))) for x, y in batches(epoch)))
        _levelled(strategy, model)
        held = ((len(x), judge(x, y, tf.fill([len(x)], 1 / len(x)))) for x, y in validation)
        watch.on_epoch_end(epoch, {**logs, **_epoch("val_", held)})
        if model.stop_training:
            break


def _epoch(prefix: str, seen: Any) -> dict[str, float]:
    """The mean over rows of what was found batch by batch: (rows, (loss, accuracy))."""
    rows, found = zip(*((n, [float(v) for v in values]) for n, values in seen), strict=True)
    loss, accuracy = np.average(found, axis=0, weights=rows)
    return {f"{prefix}accuracy": float(accuracy), f"{prefix}loss": float(loss)}


def _parted(strategy: Any, x: Any, y: Any) -> list[Any]:
    """Each replica's rows, targets and weights; the weights of a whole batch add up to 1."""
    import tensorflow as tf

    split = np.array_split(np.arange(len(x)), strategy.num_replicas_in_sync)

    def give(context: Any) -> tuple[Any, Any, Any]:
        mine = split[context.replica_id_in_sync_group]
        # a replica without rows looks at one that does not count
        rows = mine if len(mine) else np.arange(1)
        share = np.full(len(rows), bool(len(mine)) / len(x), np.float32)
        return tf.constant(x[rows]), tf.constant(y[rows]), tf.constant(share)

    return [
        strategy.experimental_distribute_values_from_function(lambda c, i=i: give(c)[i])
        for i in range(3)
    ]


def _levelled(strategy: Any, model: Any) -> None:
    """Make moving averages, which each replica keeps of its own rows, the same everywhere."""
    for variable in model.non_trainable_variables:
        if variable.dtype.startswith("float"):
            local = iter(strategy.experimental_local_results(variable.value))
            own = strategy.experimental_distribute_values_from_function(
                lambda _, local=local: next(local) + 0.0  # a value; a variable counts as level
            )
            variable.assign(strategy.reduce("MEAN", own, axis=None))


def _hits(y: Any, p: Any) -> Any:
    """Which rows are right: labels, one column of a sigmoid, or one-hot rows."""
    import tensorflow as tf

    if p.shape[-1] == 1:
        return tf.equal(tf.cast(y, p.dtype), tf.cast(p > 0.5, p.dtype))
    answer = tf.argmax(p, -1)
    return tf.equal(answer, tf.argmax(y, -1) if len(y.shape) == len(p.shape) else y)
