"""Whether a model's probabilities are fine enough to attribute: a softmax in integers has steps."""

from __future__ import annotations

from typing import Any

import numpy as np

from toolkit.glossary import Finding, Floats, Predictor
from toolkit.models.heads import softmax

LEVELS = 256

_NEAR, _LEAST = 1e-3, 8


class FromLogits:
    """A predictor by the softmax of its logits, where its own probabilities are rounded."""

    def __init__(self, predict: Any) -> None:
        """Of a predictor that has logits."""
        self._predict, self._logits = predict, predict.logits
        self.name, self.classes, self.shape = predict.name, predict.classes, predict.shape

    def __call__(self, x: Floats, /) -> Floats:
        """Class probabilities of the rows `x`."""
        return softmax(np.asarray(self._logits(x), np.float64)).astype(np.float32)

    @property
    def gradients(self) -> Any:
        """(x, target) -> slopes, which pass over rounding, or None where it has none."""
        return getattr(self._predict, "gradients", None)

    @property
    def contributions(self) -> Any:
        """(x, background, target) -> those of the predictor, or None where it has none."""
        return getattr(self._predict, "contributions", None)

    @property
    def shuffled(self) -> Any:
        """Seed -> the same with shuffled weights, or None where they are not known."""
        shuffle = getattr(self._predict, "shuffled", None)
        return None if shuffle is None else lambda seed: FromLogits(shuffle(seed))


def resolved(predict: Predictor, x: Floats) -> tuple[Predictor, tuple[Finding, ...]]:
    """The predictor, by its logits where the probabilities of rows `x` are rounded to 1/256.

    A finding says so, or that no finer answers can be had.
    """
    if not in_steps(predict(x)):
        return predict, ()
    ask = getattr(predict, "logits", None)
    finer = ask(x) if ask is not None else None
    if finer is not None and not in_steps(softmax(np.asarray(finer, np.float64))):
        finding = Finding.of(
            "P1",
            "info",
            predict.name,
            "The probabilities of {name} move in steps of 1/{levels}: its reasons are those of the "
            "softmax of its logits, which are finer.",
            name=predict.name,
            levels=LEVELS,
        )
        return FromLogits(predict), (finding,)
    finding = Finding.of(
        "P2",
        "warning",
        predict.name,
        "The probabilities of {name} move in steps of 1/{levels}: attributions below {least:.3f} "
        "are not resolved.",
        "If it was quantised, quantise it with a float softmax.",
        name=predict.name,
        levels=LEVELS,
        least=1 / LEVELS,
    )
    return predict, (finding,)


def in_steps(p: Any) -> bool:
    """Whether all probabilities are multiples of 1/256 or 1/255, and not of a larger part.

    The votes of 16 trees are 16ths: these are the model's own answers, which nobody rounded.

    >>> in_steps(np.arange(64) / 256), in_steps(np.linspace(0, 1, 64)), in_steps(np.eye(4))
    (True, False, False)
    >>> in_steps(np.arange(17) / 16)
    False
    """
    p = np.asarray(p, np.float64).reshape(-1)
    if len(np.unique(p[(p > _NEAR) & (p < 1 - _NEAR)])) < _LEAST:
        return False
    rounded = any(_of(p, n) for n in (LEVELS, LEVELS - 1))
    return rounded and not any(_of(p, n) for n in range(1, LEVELS // 2 + 1))


def _of(p: Any, n: int) -> bool:
    """Whether all are n-ths."""
    return bool(np.abs(p * n - np.round(p * n)).max() < _NEAR)
