"""Training after a change, with a teacher beside the labels: one way for every pass that tunes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from toolkit.augmentation import Augmentation, harmless
from toolkit.glossary import Fit, Floats, History
from toolkit.models.graph import copied
from toolkit.models.heads import Head, head_of, softmax
from toolkit.passes.hiding import Hiding
from toolkit.passes.hints import Hint
from toolkit.passes.showings import Teacher, showings
from toolkit.passes.together import Together
from toolkit.shapes import in_shape
from toolkit.training import Settings, Turn, fitted


def tune(
    model: Any,
    fit: Fit,
    settings: Settings,
    *,
    teacher: Teacher | None,
    temperature: float = 2.0,
    weight: float = 0.5,
    subject: str,
    seed: int = 0,
    library: Any = None,
    callbacks: Sequence[Any] = (),
    hint: Hint | None = None,
    hide: Hiding | None = None,
    frozen: Sequence[str] = (),
) -> tuple[Any, History]:
    """Train a copy of `model` on labels and on a teacher's softened answers (Hinton et al. 2015).

    teacher: None trains on labels alone. weight: the share of the teacher in the loss. Pictures
    are moved and mirrored as far as the teacher hardly minds, and it answers to what the student
    sees (Beyer et al. 2022), which comes round again after some epochs. Unlabelled rows of `fit`
    are learnt from the teacher alone.
    library: tf_keras for a model of it, which is then trained in place, with more callbacks.
    hint: what the student learns from inside the teacher besides; the history then has the series
    "features". hide: what is hidden in some rows, which the teacher alone then answers. frozen:
    layers of the model that were thawed before.
    """
    classes, head = len(fit.train.classes), head_of(model)
    shape = tuple(model.inputs[0].shape[1:])
    change = harmless(fit.validation, teacher, seed) if teacher else Augmentation()

    def targets(hard: Floats, answers: Floats, *more: Floats) -> Floats:
        return np.concatenate([hard, softened(answers, temperature), *more], axis=1)

    def taught(x: Any, hard: Floats) -> Floats:
        if teacher is None:
            return np.concatenate([hard, hard], axis=1)
        return targets(hard, *hint.ask(x)) if hint else targets(hard, teacher(x))

    eye = np.eye(classes, dtype=np.float32)
    rows: Any = fit.train.x
    labels = eye[fit.train.y]
    if fit.unlabelled is not None and teacher is not None:
        # no label: the hard loss of such a row is 0
        rows = Together(rows, fit.unlabelled)
        labels = np.concatenate([labels, np.zeros((len(fit.unlabelled), classes), np.float32)])
    shown = showings(teacher, rows, change, classes, seed) if teacher else None

    def prepare(x: Any, hard: Any, turn: Turn) -> tuple[Any, Any]:
        if teacher and shown and not hint and not hide:
            x, answers = shown(teacher, x, turn)
            return in_shape(x, shape), targets(hard, answers)
        x = change(x, turn.rng)
        if hide is not None:
            x, hidden = hide(x, turn.rng)
            # what is left of a row need not show its label
            hard = np.where(hidden[:, None], np.float32(0), hard)
        return in_shape(x, shape), taught(x, hard)

    if library is None and hint is None:
        model, frozen = thawed(model)
    units = model.outputs[0].shape[-1]
    loss = loss_of(classes, head, temperature, weight if teacher else 0.0)
    metrics = [accuracy_of(classes, head)]
    if hint:
        metrics = [hint.narrowed(2 * classes, units, metrics[0]), hint.features(2 * classes, units)]
    student = hint.joined if hint else model
    trained, history = fitted(
        student,
        (rows, labels),
        (
            in_shape(fit.validation.x, shape),
            taught(fit.validation.x, eye[fit.validation.y]),
        ),
        loss if hint is None else hint.loss(2 * classes, units, loss),
        settings,
        subject=subject,
        seed=seed,
        accuracy=metrics,
        decay=True,
        prepare=prepare,
        library=library,
        callbacks=callbacks,
    )
    if hint:
        trained = hint.alone(model, trained)
    facts = {
        "mirror": change.mirror,
        "shift": change.shift,
        "taught": teacher is not None,
        **({"thawed": list(frozen)} if frozen else {}),
        "unlabelled_rows": len(rows) - len(fit.train),
    }
    return trained, replace(history, facts={**history.facts, **facts})


def thawed(model: Any) -> tuple[Any, list[str]]:
    """The model with all layers to be trained, a copy where some were frozen, and which they were.

    What a pass changed is to be repaired, whatever was frozen when the model was made.
    """
    layers = model._flatten_layers(include_self=False)
    frozen = [layer.name for layer in layers if layer.weights and not layer.trainable]
    if frozen:
        model = copied(model)
        for layer in model._flatten_layers():
            layer.trainable = True
    return model, frozen


def usual_settings(epochs: int, rows: int, *, many: int, few: int, rate: float) -> Settings:
    """Epochs 0 means `many`, or `few` below 5,000 rows, where batches are smaller."""
    small = rows < 5_000
    return Settings(
        epochs=epochs or (few if small else many), batch=32 if small else 128, learning_rate=rate
    )


def softened(probabilities: Floats, temperature: float) -> Floats:
    """The same answers at a temperature, f32 (n, k).

    >>> softened(np.float32([[0.8, 0.2]]), 2.0).round(3).tolist()
    [[0.6669999957084656, 0.3330000042915344]]
    """
    # the softmax forgets only a constant a row, which the next softmax forgets as well
    logits = np.log(np.maximum(probabilities.astype(np.float64), 1e-12)) / temperature
    return softmax(logits).astype(np.float32)


def loss_of(classes: int, head: Head, temperature: float, weight: float) -> Any:
    """The loss over targets (n, 2 k): labels as one-hot rows, then the teacher's soft answers."""
    from keras import ops

    def loss(targets: Any, outputs: Any) -> Any:
        logits = logits_of(outputs, head)
        # TensorFlow's own crossentropy takes labels for 1 in sum: without one its loss is 0, but
        # its gradient is not
        hard = -ops.sum(targets[:, :classes] * ops.log_softmax(logits, axis=-1), axis=-1)
        soft = ops.sum(
            targets[:, classes:]
            * (
                ops.log(targets[:, classes:] + 1e-12)
                - ops.log_softmax(logits / temperature, axis=-1)
            ),
            axis=-1,
        )
        # squared temperature keeps both gradients of one size (Hinton et al. 2015, section 2)
        return (1 - weight) * hard + weight * temperature**2 * soft

    return loss


def accuracy_of(classes: int, head: Head) -> Any:
    """The metric "accuracy" over the same targets; without a label the teacher is right."""
    from keras import ops

    def accuracy(targets: Any, outputs: Any) -> Any:
        answer = ops.argmax(logits_of(outputs, head), -1)
        # a label is 1 and outweighs whatever the teacher answers
        right = 2 * targets[:, :classes] + targets[:, classes : 2 * classes]
        return ops.equal(ops.argmax(right, -1), answer)

    return accuracy


def logits_of(outputs: Any, head: Head) -> Any:
    """Logits (n, k) of a student with any head, up to a constant a row, which softmax forgets."""
    from keras import ops

    if head == "logits":
        return outputs
    p = ops.concatenate([1 - outputs, outputs], axis=-1) if head == "sigmoid" else outputs
    return ops.log(ops.clip(p, 1e-7, 1.0))
