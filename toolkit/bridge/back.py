"""tf_keras -> Keras 3: the whole model from its config, or the weights into a copy."""

from __future__ import annotations

import json
from typing import Any

from toolkit.bridge.configs import objects
from toolkit.bridge.forward import Twin, steady
from toolkit.errors import ModelError
from toolkit.models.graph import copied
from toolkit.undisturbed import undisturbed


@undisturbed()
def to_keras(model: Any) -> Any:
    """Rebuild a tf_keras model of built-in layers in Keras 3, with its weights.

    Raises ModelError that names what Keras 3 does not have.
    """
    from keras.src.legacy.saving import saving_options, saving_utils

    from toolkit.models import legacy, mends

    legacy.register()
    config = mends.mended(json.loads(model.to_json()))
    with saving_options.keras_option_scope(use_legacy_config=True):
        twin = saving_utils.model_from_config(config, custom_objects=_theirs())
    ours = [w for w in twin.weights if "seed_generator" not in w.path]
    if [tuple(w.shape) for w in ours] != [tuple(w.shape) for w in model.weights]:
        raise ModelError(
            f"{model.name} has {len(model.weights)} weights, its twin in Keras {len(ours)}",
            "layers that both Kerases have",
            "report the layers of this model",
        )
    for mine, theirs in zip(ours, model.weights, strict=True):
        mine.assign(theirs.numpy())
    return twin


def weights_back(twin: Twin, trained: Any, model: Any) -> Any:
    """A copy of the Keras 3 `model` with the weights of `trained`, a tf_keras model of its twin.

    trained: has layers of the twin's names and shapes; the model given stays as it is.
    """
    made = copied(model)
    places = {id(old): new for old, new in zip(_layers(model), _layers(made), strict=True)}
    for name, layer in twin.layers.items():
        ours = steady(places[id(layer)])
        theirs = trained.get_layer(name).weights
        if len(ours) != len(theirs):
            continue  # statistics that the twin keeps in its config do not change
        for mine, value in zip(ours, theirs, strict=True):
            mine.assign(value.numpy().reshape(mine.shape))
    return made


def _theirs() -> dict[str, Any]:
    """The activations that crossed under a name of their own, as Keras 3 calls them."""
    import keras

    return {n: getattr(keras.activations, n.removeprefix("keras3_")) for n in objects()}


def _layers(model: Any) -> list[Any]:
    """Every layer of a model and of the models inside it."""
    return list(model._flatten_layers())
