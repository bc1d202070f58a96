"""A Keras classifier as a Predictor that also tells its logits, slopes and contributions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from toolkit.errors import ModelError
from toolkit.glossary import Doubles, Floats
from toolkit.models.batches import VALUES, batched, reordered, two
from toolkit.models.graph import copied
from toolkit.models.heads import probabilities
from toolkit.shapes import in_shape


class KerasPredictor:
    """A Keras classifier, called through one traced function; of texts, from word indices on."""

    def __init__(self, model: Any, name: str) -> None:
        """Wrap it. Raises ModelError when it is no classifier."""
        import tensorflow as tf

        from toolkit.models.heads import head_of
        from toolkit.models.vocabulary import parted

        model, _ = parted(model)

        self.name, self._tensor = name, tf.constant
        self._head = head_of(model)
        self.shape: tuple[int | None, ...] = tuple(model.inputs[0].shape[1:])
        self.classes = max(int(model.outputs[0].shape[-1]), 2)
        spec = tf.TensorSpec((None, *self.shape), tf.float32)
        # a concrete function: traced once, and never again for another number of rows
        self._call = tf.function(lambda x: model(x, training=False)).get_concrete_function(spec)
        self._model, self._spec = model, spec
        self._slope: Any = None

    @property
    def parameters(self) -> int:
        """How many weights the model has."""
        return int(self._model.count_params())

    def logits(self, x: Floats) -> Floats | None:
        """What the last softmax or sigmoid is given, f32 (n, k), or None where it cannot be told.

        The softmax of it is what a call gives. One sigmoid unit z counts as (0, z).
        """
        import keras

        last = self._model.layers[-1]
        if self._head == "logits":
            inner = self._model
        elif self._model.outputs[0]._keras_history[0] is not last:
            return None  # what makes the answers is no layer, as the sum of two
        elif getattr(getattr(last, "activation", None), "__name__", "") == "linear":
            return None  # it hands on what came out of a softmax before it
        elif not hasattr(last, "kernel"):
            # a layer that is nothing but the softmax
            if not isinstance(last, keras.layers.Softmax | keras.layers.Activation):
                return None
            inner = keras.Model(self._model.inputs, last.input)
        else:
            inner = copied(self._model)
            inner.layers[-1].activation = keras.activations.linear
        return batched(
            lambda rows: two(np.asarray(inner(self._tensor(rows), training=False))),
            x,
            self.shape,
            self.classes,
        )

    def gradients(self, x: Floats, target: int) -> Floats:
        """The gradient of the probability of `target` by every value of each row: f32 (n, ...).

        Raises ModelError for a net whose answers have none, as one that looks up words.
        """
        import tensorflow as tf

        if self._slope is None:
            spec = tf.TensorSpec((), tf.int32)
            self._slope = tf.function(self._traced).get_concrete_function(self._spec, spec)
        given, place = x.shape, self._tensor(target)
        x = in_shape(x, self.shape)
        # what every layer gave is kept until its gradient is known
        step = min(max(VALUES // (4 * max(math.prod(x.shape[1:]), 1)), 8), 4096)
        found = np.zeros(x.shape, np.float32)
        for i in range(0, len(x), step):
            part = self._slope(self._tensor(x[i : i + step]), place)
            if part is None:
                raise ModelError(
                    f"the answers of {self.name} have no gradient by its input",
                    "a net of numbers, not of the indices of words",
                    "explain it by shapley or lime",
                )
            found[i : i + step] = part.numpy()
        return found.reshape(given)

    def _traced(self, x: Any, target: Any) -> Any:
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(x)
            said = self._model(x, training=False)
            if self._head == "logits":
                said = tf.nn.softmax(said)
            elif self._head == "sigmoid":
                said = tf.concat([1 - said, said], axis=1)
            picked = tf.gather(said, target, axis=1)
        return tape.gradient(picked, x)

    def contributions(self, x: Floats, background: Floats, target: int) -> Doubles:
        """What each value of a row adds to the probability of `target`, by DeepLIFT: f64 (...).

        background: f32 (b, ...). Raises ModelError for a layer for which shap is not right.
        """
        from toolkit.models.deep import contributions

        row, rest = in_shape(x[None], self.shape)[0], in_shape(background, self.shape)
        return contributions(self._model, row, rest, target).reshape(x.shape)

    def shuffled(self, seed: int) -> KerasPredictor:
        """The same net with every weight of two and more axes in a random order of its values."""
        rng = np.random.default_rng(seed)
        inner = copied(self._model)
        inner.set_weights([reordered(w, rng) for w in self._model.get_weights()])
        return KerasPredictor(inner, self.name)

    def __call__(self, x: Floats, /) -> Floats:
        """Class probabilities of the rows `x`."""
        return batched(self._ask, x, self.shape, self.classes)

    def _ask(self, x: Floats) -> Floats:
        return probabilities(self._call(self._tensor(x)).numpy(), self._head)
