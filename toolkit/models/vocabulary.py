"""A model that takes text -> the part after its TextVectorization, and what that layer does."""

from __future__ import annotations

from typing import Any

from toolkit.errors import ModelError
from toolkit.glossary import Words
from toolkit.models.graph import settle, single
from toolkit.undisturbed import undisturbed

UNBOUNDED = 512
"""Words of a text kept where the layer sets no length."""


def takes_text(model: Any) -> bool:
    """Whether the model's one input is a string."""
    return len(model.inputs or ()) == 1 and str(model.inputs[0].dtype) == "string"


@undisturbed()
def parted(model: Any, given: Words | None = None) -> tuple[Any, Words | None]:
    """The model from word indices on, and its vocabulary; any other model as it is, and `given`.

    given: a vocabulary for a model that has none of its own, or whose file lost it.

    ONNX has no text: the device looks words up in the vocabulary beside the model and sends
    f32 (n, length) indices. Raises ModelError when the vocabulary is not in the file or the layer
    does what cannot be done beside the model.
    """
    import keras

    model = single(model)
    if not takes_text(model):
        return model, given
    layer = next(
        (one for one in model.layers if isinstance(one, keras.layers.TextVectorization)), None
    )
    if layer is None:
        raise ModelError(
            "the model takes text without a TextVectorization layer of its own",
            "TextVectorization first, then an Embedding",
            "give the part that takes word indices, with --vocabulary FILE",
        )
    words = _words(layer, given)
    first = keras.Input(tuple(layer.compute_output_shape((None, 1)))[1:], name="input")
    try:
        if isinstance(model, keras.Sequential):
            if model.layers[0] is not layer:
                raise ValueError("not the first")
            return keras.Sequential([first, *model.layers[1:]], name=model.name), words
        nodes = [node for level in model._nodes_by_depth.values() for node in level]
        start = next(node for node in nodes if node.operation is layer)
        rest = keras.Model(start.outputs[0], model.outputs[0], name=model.name)
    except ValueError as error:
        raise ModelError(
            f"{layer.name} is not the first layer of the model",
            "TextVectorization right after the input",
            "give the part that takes word indices, with --vocabulary FILE",
        ) from error
    twin = keras.models.clone_model(rest, input_tensors=first)
    twin.set_weights(rest.get_weights())
    settle(twin)
    return twin, words


def _words(layer: Any, given: Words | None) -> Words:
    config = layer.get_config()
    for name, allowed in (
        ("output_mode", ("int",)),
        ("ngrams", (None, 1)),
        ("split", ("whitespace", "character")),
        ("standardize", (None, "lower", "strip_punctuation", "lower_and_strip_punctuation")),
    ):
        if config.get(name) not in allowed:
            raise ModelError(
                f"{layer.name} has {name} {config.get(name)}",
                ", ".join(str(value) for value in allowed),
                "give the part after it, with data in the form it takes",
            )
    vocabulary = tuple(str(word) for word in layer.get_vocabulary())
    if len(vocabulary) <= 2 and given is not None:
        vocabulary = given.vocabulary
    if len(vocabulary) <= 2:
        raise ModelError(
            f"the vocabulary of {layer.name} is not in the file",
            "a .keras file, which holds it",
            "save it again as .keras, or give --vocabulary FILE",
        )
    standard = config.get("standardize") or ""
    return Words(
        vocabulary,
        config.get("output_sequence_length") or UNBOUNDED,
        lower="lower" in standard,
        strip="strip_punctuation" in standard,
        characters=config.get("split") == "character",
    )
