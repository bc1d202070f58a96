"""Training after a change, with a teacher beside the labels: one way for every pass that tunes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from toolkit.augmentation import Augmentation, harmless
from toolkit.glossary import Fit, Floats, History
from toolkit.models.heads import Head, head_of, softmax
from toolkit.shapes import in_shape
from toolkit.training import Settings, fitted

Teacher = Callable[[Floats], Floats]
"""f32 (n, ...) -> f32 (n, k), probabilities; a Predictor is one."""


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
) -> tuple[Any, History]:
    """Train a copy of `model` on labels and on a teacher's softened answers (Hinton et al. 2015).

    teacher: None trains on labels alone. weight: the share of the teacher in the loss. Pictures
    are moved and mirrored as far as the teacher hardly minds, and it answers to what the student
    sees (Beyer et al. 2022). Unlabelled rows of `fit` are learnt from the teacher alone.
    library: tf_keras for a model of it, which is then trained in place, with more callbacks.
    """
    classes, head = len(fit.train.classes), head_of(model)
    shape = tuple(model.inputs[0].shape[1:])
    change = harmless(fit.validation, teacher, seed) if teacher else Augmentation()

    def taught(x: Floats, hard: Floats) -> Floats:
        soft = hard if teacher is None else softened(teacher(x), temperature)
        return np.concatenate([hard, soft], axis=1)

    eye = np.eye(classes, dtype=np.float32)
    x, hard = fit.train.x, eye[fit.train.y]
    if fit.unlabelled is not None and teacher is not None:
        x = np.concatenate([x[:], fit.unlabelled])
        hard = np.concatenate([hard, np.zeros((len(fit.unlabelled), classes), np.float32)])
    # where rows stay what they are the teacher answers once, not once an epoch
    once = change == Augmentation() and isinstance(x, np.ndarray)
    targets = taught(x, hard) if once else hard

    def prepare(rows: Any, wanted: Any, rng: np.random.Generator) -> tuple[Any, Any]:
        rows = change(rows, rng)
        return in_shape(rows, shape), wanted if once else taught(rows, wanted)

    held = fit.validation.x[:]
    trained, history = fitted(
        model,
        (x, targets),
        (in_shape(held, shape), taught(held, eye[fit.validation.y])),
        loss_of(classes, head, temperature, weight if teacher else 0.0),
        settings,
        subject=subject,
        seed=seed,
        accuracy=accuracy_of(classes, head),
        decay=True,
        prepare=prepare,
        library=library,
        callbacks=callbacks,
    )
    facts = {"mirror": change.mirror, "shift": change.shift, "taught": teacher is not None}
    return trained, replace(history, facts={**history.facts, **facts})


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
    import keras
    from keras import ops

    def loss(targets: Any, outputs: Any) -> Any:
        logits = logits_of(outputs, head)
        hard = keras.losses.categorical_crossentropy(targets[:, :classes], logits, from_logits=True)
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
    """The metric "accuracy" over the same targets."""
    from keras import ops

    def accuracy(targets: Any, outputs: Any) -> Any:
        answer = ops.argmax(logits_of(outputs, head), -1)
        return ops.equal(ops.argmax(targets[:, :classes], -1), answer)

    return accuracy


def logits_of(outputs: Any, head: Head) -> Any:
    """Logits (n, k) of a student with any head, up to a constant a row, which softmax forgets."""
    from keras import ops

    if head == "logits":
        return outputs
    p = ops.concatenate([1 - outputs, outputs], axis=-1) if head == "sigmoid" else outputs
    return ops.log(ops.clip(p, 1e-7, 1.0))
