"""Training a Keras classifier: one way of doing it, for base, teacher and student alike."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit import replicas
from toolkit.checkpoints import (
    Checkpoint,
    Saved,
    checkpoint,
    few,
    outline,
    random_layers,
    variables_of,
)
from toolkit.devices import here, shared
from toolkit.errors import ModelError, near
from toolkit.glossary import Data, Fit, Floats, History, Ints
from toolkit.models.graph import copied
from toolkit.models.heads import head_of
from toolkit.progress import tell
from toolkit.seeding import seeded
from toolkit.shapes import in_shape, matching

AT_ONCE = 8
"""Steps that TensorFlow takes before Python has its turn, which is a good part of small ones."""

FEW = 200
"""Steps of a whole training that do not win back the longer tracing of several at once."""

LOSSES = ("crossentropy", "mse")
OPTIMIZERS = ("adam", "sgd")


@dataclass(frozen=True, eq=False)
class Turn:
    """Which rows a batch is made of, i64 (n,), in which epoch, and chance for this batch."""

    rows: Ints
    epoch: int
    rng: np.random.Generator


Prepare = Callable[[Any, Any, Turn], tuple[Any, Any]]
"""Rows and targets of one batch, and its turn -> what is trained on."""

_RATES = {"adam": 1e-3, "sgd": 1e-2}


@dataclass(frozen=True)
class Settings:
    """How to train. loss "mse" is over one-hot labels; learning_rate None takes the optimizer's.

    epochs: 0 means 10, and more for few rows: as many as make 2,000 steps, but at most 100.
    stop_below: stop after the first epoch whose training loss is below it.
    Raises ModelError for a value that is not allowed.

    >>> [Settings().over(rows).epochs for rows in (100, 10_000, 60_000)]
    [100, 26, 10]
    """

    loss: str = "crossentropy"
    optimizer: str = "adam"
    learning_rate: float | None = None
    batch: int = 128
    epochs: int = 0
    stop_below: float | None = None

    def __post_init__(self) -> None:
        """Refuse wrong values before any time is spent."""
        for name, value, known in (
            ("loss", self.loss, LOSSES),
            ("optimizer", self.optimizer, OPTIMIZERS),
        ):
            if value not in known:
                raise ModelError(f"unknown {name} '{value}'", near(value, known))
        if self.batch < 1:
            raise ModelError(f"batch {self.batch}", "whole numbers from 1 up", "correct it")
        if self.epochs < 0:
            raise ModelError(
                f"epochs {self.epochs}",
                "whole numbers from 1 up, or 0 for as many as the rows need",
                "leave it out",
            )
        if not 0 < self.rate < math.inf:
            raise ModelError(
                f"learning rate {self.learning_rate}", "a positive number", "try 0.001"
            )

    @property
    def rate(self) -> float:
        """The learning rate that is used."""
        return _RATES[self.optimizer] if self.learning_rate is None else self.learning_rate

    def over(self, rows: int) -> Settings:
        """The same with the number of epochs that so many training rows get."""
        steps = max(math.ceil(rows / self.batch), 1)
        return replace(self, epochs=self.epochs or min(max(10, math.ceil(2000 / steps)), 100))


def train(
    model: Any, fit: Fit, settings: Settings | None = None, *, subject: str = "base", seed: int = 0
) -> tuple[Any, History]:
    """Train a copy of `model` on `fit.train` and give it back with its history.

    The model given stays as it is. The same seed on the same machine gives the same weights.
    Raises MatchError when the model does not fit the data.

    >>> from toolkit import data, models
    >>> fit = data.load("wine").fit
    >>> start = models.build("tabular", fit.train, seed=1)
    >>> trained, history = train(start, fit, Settings(epochs=2))
    >>> sorted(history.series)
    ['accuracy', 'loss', 'val_accuracy', 'val_loss']
    """
    import keras

    settings = settings or Settings()
    head = head_of(model)
    classes = len(fit.train.classes)
    matching(tuple(model.inputs[0].shape[1:]), max(model.outputs[0].shape[-1], 2), fit.train)
    loss: Any
    if settings.loss == "mse":
        if head == "logits":
            raise ModelError(
                "mse on a model that ends in linear units", "crossentropy", "or end in a softmax"
            )
        loss = keras.losses.MeanSquaredError()
    elif head == "sigmoid":
        loss = keras.losses.BinaryCrossentropy()
    else:
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=head == "logits")

    def labels(data: Data) -> NDArray[Any]:
        if head == "sigmoid":
            return data.y[:, None].astype(np.float32)
        if settings.loss == "mse":
            return np.eye(classes, dtype=np.float32)[data.y]
        return data.y

    return fitted(
        model,
        (shaped(model, fit.train), labels(fit.train)),
        (shaped(model, fit.validation), labels(fit.validation)),
        loss,
        settings,
        subject=subject,
        seed=seed,
    )


def fitted(
    model: Any,
    train_rows: tuple[Any, NDArray[Any]],
    validation_rows: tuple[Any, NDArray[Any]],
    loss: Any,
    settings: Settings,
    *,
    subject: str,
    seed: int,
    accuracy: Any = "accuracy",
    decay: bool = False,
    prepare: Prepare | None = None,
    library: Any = None,
    callbacks: Sequence[Any] = (),
) -> tuple[Any, History]:
    """Fit a model to given targets with a given loss; `train` is the usual door.

    accuracy: a metric that reads these targets, or several. decay: the learning rate falls to 0
    along half a cosine (Loshchilov and Hutter 2017). prepare: changes each batch of training rows.
    A copy of the model is trained; with library, the other Keras that it is of, the model itself.
    callbacks: more of them, of that Keras.
    """
    import keras

    of, settings = library or keras, settings.over(len(train_rows[0]))

    class Watch(of.callbacks.Callback):  # type: ignore[misc, name-defined]
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
            nonlocal turn
            turn = epoch

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            nonlocal now
            logs = logs or {}
            below = logs.get("loss", math.nan)
            if settings.stop_below is not None and below < settings.stop_below:
                self.model.stop_training = True
            done = epoch + 1 == settings.epochs or self.model.stop_training
            series = {k: [*now.series.get(k, ()), float(v)] for k, v in logs.items()}
            now = Saved(epoch + 1, series, done)
            if mark is not None and place.chief:
                mark.write(now, variables_of(trained))
            tell(task, settings.epochs if done else epoch + 1, settings.epochs)

    # tf_keras models come as they were made, on one device
    place = replace(here(), strategy=None, mixed=False) if library else here()
    decisive = (loss, settings, subject, seed, decay, accuracy, prepare, place.name, place.mixed)
    mark, now = _mark(model, train_rows, validation_rows, *decisive), Saved()
    rate: Any = settings.rate
    steps = settings.epochs * math.ceil(len(train_rows[0]) / settings.batch)
    if decay:
        rate = of.optimizers.schedules.CosineDecay(rate, steps)
    with seeded(seed), place.scope():
        trained = model if library else copied(model)
        optimizer = {"adam": of.optimizers.Adam, "sgd": of.optimizers.SGD}[settings.optimizer](rate)
        if place.mixed:
            optimizer = of.optimizers.LossScaleOptimizer(optimizer)
            _mix(trained)
        metrics = accuracy if isinstance(accuracy, list) else [accuracy]
        # tf_keras takes seconds more to trace several, and pruning looks at every batch
        at_once = 1 if library or steps <= FEW else AT_ONCE
        trained.compile(optimizer, loss=loss, metrics=metrics, steps_per_execution=at_once)
        trained.optimizer.build(trained.trainable_variables)
        _make_metrics(trained, validation_rows[1])
        _seed_layers(trained, seed)
        if mark is not None:
            now = mark.restore(shared(mark.content()), variables_of(trained))
        turn = start = now.epochs
        task = f"train {subject}" + (" (resumed)" if start else "")
        tell(task, settings.epochs if now.finished else start, settings.epochs)
        drawn = _Drawn(*train_rows, settings.batch, seed, prepare)
        held = _dataset(_Drawn(*validation_rows, settings.batch), lambda: 0)
        if place.strategy is not None and not now.finished:
            replicas.fit(
                place.strategy,
                trained,
                loss,
                metrics[0],
                batches=drawn,
                validation=held,
                epochs=range(start, settings.epochs),
                watch=Watch(),
            )
        elif not now.finished:
            trained.fit(
                _dataset(drawn, lambda: turn),
                initial_epoch=start,
                epochs=settings.epochs,
                validation_data=held,
                callbacks=[*callbacks, Watch()],
                shuffle=False,
                verbose=0,
            )
        if not library:
            # whoever opens the model gets one that looks up after every step
            trained.compile(optimizer, loss=loss, metrics=metrics)
    if place.mixed or place.strategy is not None:
        # float32 and on one device again
        values = trained.get_weights()
        trained = copied(model)
        trained.set_weights(values)
    series = {key: tuple(values) for key, values in now.series.items()}
    if not all(math.isfinite(v) for values in series.values() for v in values):
        raise ModelError(
            f"training of {subject} diverged at learning rate {settings.rate}",
            "a finite loss",
            "lower the learning rate",
        )
    facts = {
        "loss": settings.loss,
        "optimizer": settings.optimizer,
        "learning_rate": settings.rate,
        "batch": settings.batch,
        "epochs": now.epochs,
        "stopped_early": now.epochs < settings.epochs,
        "seed": seed,
        **({"resumed_from": start} if start else {}),
        **({"devices": place.name} if place.name else {}),
        **({"mixed": True} if place.mixed else {}),
    }
    return trained, History(subject, series, facts)


def _mix(model: Any) -> None:
    """Let a Keras 3 model compute in float16 between the scaling in front and the last layer."""
    last = {id(output._keras_history.operation) for output in model.outputs}
    begun = False
    for layer in model._flatten_layers(include_self=False):
        begun = begun or bool(layer.trainable_variables)
        if begun and id(layer) not in last:
            layer.dtype_policy = "mixed_float16"


def _make_metrics(model: Any, targets: NDArray[Any]) -> None:
    """Let the metrics make their variables, or a step makes them and is traced a second time."""
    import tensorflow as tf

    answers = tf.zeros((1, model.outputs[0].shape[-1]))
    model.compute_metrics(None, tf.constant(targets[:1]), answers, None)
    model.reset_metrics()


def _seed_layers(model: Any, seed: int) -> None:
    """Give the random layers of a tf_keras model a state that can be kept with the weights."""
    import tensorflow as tf

    for number, layer in enumerate(random_layers(model)):
        dice = layer._random_generator
        dice._generator = tf.random.Generator.from_seed(seed + number, alg="philox")
        dice._rng_type, dice._built = dice.RNG_STATEFUL, True


def _mark(
    model: Any, train_rows: tuple[Any, Any], validation_rows: tuple[Any, Any], *others: Any
) -> Checkpoint | None:
    """Where this training is kept, known by all that decides its result, if anybody asked."""
    rows = [(tuple(x.shape), few(x), y) for x, y in (train_rows, validation_rows)]
    return checkpoint(outline(model), model.get_weights(), rows, *others)


@dataclass(frozen=True, eq=False)
class _Drawn:
    """Batches of rows, in an order of its own each epoch if seeded; x may stay in its files."""

    x: Any
    y: NDArray[Any]
    size: int
    seed: int | None = None
    prepare: Prepare | None = None

    def __len__(self) -> int:
        return math.ceil(len(self.x) / self.size)

    def __call__(self, epoch: int) -> Iterator[tuple[Any, Any]]:
        rng = np.random.default_rng((self.seed or 0, epoch))
        order = np.arange(len(self.x)) if self.seed is None else rng.permutation(len(self.x))
        for first in range(0, len(self.x), self.size):
            rows = order[first : first + self.size]
            given = self.x[rows], self.y[rows]
            yield given if self.prepare is None else self.prepare(*given, Turn(rows, epoch, rng))


def _dataset(drawn: _Drawn, epoch: Callable[[], int]) -> Any:
    """A tf.data.Dataset that gives the batches of `epoch()` each time that it is begun.

    Given a generator, Keras 3.15 restarts it with its first two batches and goes on where it had
    stopped, and tf_keras forgets the widths of rows, which layers such as CategoryEncoding ask for.
    """
    import tensorflow as tf

    forms = tf.nest.map_structure(
        lambda a: tf.TensorSpec((None, *a.shape[1:]), a.dtype), next(drawn(epoch()))
    )
    batches = tf.data.Dataset.from_generator(lambda: drawn(epoch()), output_signature=forms)
    known = tf.data.experimental.assert_cardinality(len(drawn))
    # one source has nothing to be planned, which TensorFlow does anew for each epoch
    unplanned = tf.data.Options()
    unplanned.experimental_optimization.apply_default_optimizations = False
    unplanned.autotune.enabled = False
    return batches.apply(known).prefetch(2).with_options(unplanned)


def shaped(model: Any, data: Data) -> Floats:
    """The rows of `data` in the shape the model's input has: (n, 28, 28, 1) or (n, 784)."""
    return in_shape(data.x, tuple(model.inputs[0].shape[1:]))
