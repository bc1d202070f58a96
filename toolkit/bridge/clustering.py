"""Weight clustering with tensorflow-model-optimization: every kernel shares a few values."""

from __future__ import annotations

from typing import Any

import numpy as np

from toolkit.bridge.back import weights_back
from toolkit.bridge.configs import objects
from toolkit.bridge.forward import to_tf_keras
from toolkit.bridge.pruning import CHANGED, Train, has_matrix, keeping, main_kernel, matrices_of
from toolkit.bridge.tfmot import tfmot
from toolkit.glossary import History
from toolkit.undisturbed import undisturbed


def clustered(model: Any, train: Train, *, clusters: int) -> tuple[Any, History, dict[str, str]]:
    """A copy of `model` with at most `clusters` values a kernel, its history, and layers left out.

    Values and what belongs to which are learnt while `train` trains. Where a kernel has zeros, one
    of its values is 0 and zeros stay zeros. Depthwise kernels lose too much and stay as they are,
    and so do kernels of fewer than two weights a value. Where all do, nothing is trained.
    """
    import tf_keras

    few = tfmot().clustering.keras
    twin = to_tf_keras(model)
    skipped = {}

    def wrapped(layer: Any) -> Any:
        if not has_matrix(layer):
            return layer
        if type(layer).__name__ not in CHANGED:
            skipped[layer.name] = f"{type(layer).__name__} is not clustered"
            return layer
        values = main_kernel(layer).numpy()
        counted = int(np.count_nonzero(values))
        if counted < 2 * clusters:
            # fewer would be no clusters to what comes after, which keeps none of them
            skipped[layer.name] = (
                f"it has {counted} weights beside 0, too few for {clusters} values"
            )
            return layer
        return few.cluster_weights(
            layer,
            number_of_clusters=clusters,
            cluster_centroids_init=few.CentroidInitialization.KMEANS_PLUS_PLUS,
            preserve_sparsity=bool((values == 0).any()),
        )

    # the wrapped layers lose their kernel as a variable: what is held is found before
    held, learning = keeping(twin.model), matrices_of(twin.model)
    with undisturbed():
        wrapper = tf_keras.models.clone_model(twin.model, clone_function=wrapped)
    if learning <= skipped.keys():
        return model, History("", {}), skipped
    _, history = train(wrapper, library=tf_keras, callbacks=[held])
    # the wrapped layers are made again, from their configs
    with undisturbed(), tf_keras.utils.custom_object_scope(objects()):
        plain = few.strip_clustering(wrapper)
    return weights_back(twin, plain, model), history, skipped
