"""Pruning in training with tensorflow-model-optimization: a Keras 3 model in, a sparse one out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from toolkit.bridge.back import weights_back
from toolkit.bridge.forward import to_tf_keras
from toolkit.bridge.tfmot import tfmot
from toolkit.glossary import History
from toolkit.undisturbed import undisturbed

Train = Callable[..., tuple[Any, History]]
"""train(model, library=, callbacks=) trains a tf_keras model in place, as `tuning.tune` does."""

CHANGED = {"Conv1D", "Conv2D", "Conv2DTranspose", "Conv3D", "Dense"}
CHANGED |= {"SeparableConv1D", "SeparableConv2D"}
"""The layers whose main kernel is pruned or clustered; depthwise ones would lose too much."""

_STAGES = 50
"""In so many steps sparsity rises to its end."""


def pruned(
    model: Any, train: Train, *, sparsity: float, pattern: str, steps: int
) -> tuple[Any, History, dict[str, str]]:
    """A copy of `model`, pruned while `train` trains, its history, and layer left out -> why.

    pattern "magnitude": the smallest weights go, step by step along a cubic curve (Zhu and Gupta
    2017) that ends after two thirds of `steps`, and may come back until then. "2:4": of every four
    inputs the two largest stay, from the first step on. Zeros that the model came with stay zeros.
    Depthwise kernels, which tensorflow-model-optimization does not prune, are left as they are.
    Where all are, nothing is trained.
    """
    import tf_keras

    sparse = tfmot().sparsity.keras
    twin = to_tf_keras(model)
    skipped = {}
    frequency = max(2 * steps // 3 // _STAGES, 1)
    end = max(2 * steps // 3 // frequency, 1) * frequency

    def wrapped(layer: Any) -> Any:
        if not has_matrix(layer):
            return layer
        why = _reason(layer, sparsity, pattern)
        if why:
            skipped[layer.name] = why
            return layer
        if pattern == "2:4":
            return sparse.prune_low_magnitude(layer, sparsity_m_by_n=(2, 4))
        schedule = sparse.PolynomialDecay(_zeros(layer), sparsity, 0, end, frequency=frequency)
        return sparse.prune_low_magnitude(layer, pruning_schedule=schedule)

    # wrapped layers lose their kernel as a variable: what is there is found before
    held, learning = keeping(twin.model), matrices_of(twin.model)
    with undisturbed():
        wrapper = tf_keras.models.clone_model(twin.model, clone_function=wrapped)
    if learning <= skipped.keys():
        return model, History("", {}), skipped
    callbacks = [sparse.UpdatePruningStep(), held]
    _, history = train(wrapper, library=tf_keras, callbacks=callbacks)
    with undisturbed():
        plain = sparse.strip_pruning(wrapper)
    return weights_back(twin, plain, model), history, skipped


def matrices_of(model: Any) -> set[str]:
    """The names of the layers of a tf_keras model that learn more than biases and scales."""
    return {layer.name for layer in model.layers if has_matrix(layer)}


def keeping(model: Any) -> Any:
    """A callback that holds every kernel of a tf_keras model at 0 where it is 0 now."""
    import tf_keras

    masks = []
    for layer in model.layers:
        for weight in kernels_of(layer):
            mask = (weight.numpy() != 0).astype(np.float32)
            if not mask.all():
                masks.append((weight, mask))

    class Keeping(tf_keras.callbacks.Callback):  # type: ignore[misc]
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002
            for weight, mask in masks:
                weight.assign(weight * mask)

    return Keeping()


def kernels_of(layer: Any) -> list[Any]:
    """The kernels of a convolution or a dense layer of tf_keras; of other layers none."""
    names = ("kernel", "depthwise_kernel", "pointwise_kernel")
    found = [getattr(layer, name, None) for name in names]
    return [w for w in found if w is not None]


def has_matrix(layer: Any) -> bool:
    """Whether a layer learns more than biases, means and scales."""
    return any(len(w.shape) > 1 for w in layer.trainable_weights)


def main_kernel(layer: Any) -> Any:
    """The kernel that tensorflow-model-optimization changes."""
    return kernels_of(layer)[-1]


def _zeros(layer: Any) -> float:
    return float((main_kernel(layer).numpy() == 0).mean())


def _reason(layer: Any, sparsity: float, pattern: str) -> str:
    """Why a layer with weights is not pruned, or nothing."""
    kind = type(layer).__name__
    if kind not in CHANGED:
        return f"{kind} is not pruned"
    if pattern == "magnitude":
        # the schedule cannot fall
        return f"{_zeros(layer):.2f} of it is zeros already" if _zeros(layer) >= sparsity else ""
    kernel = main_kernel(layer)
    if "Transpose" in kind:
        return "the pattern would lie along its outputs"
    if len(kernel.shape) not in (2, 4):
        return f"the pattern is for kernels with 2 or 4 axes, this one has {len(kernel.shape)}"
    if kernel.shape[-2] <= 2:
        return f"it sums over {kernel.shape[-2]} inputs, so that no four of them lie in a row"
    return ""
