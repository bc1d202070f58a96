"""Model files as the predictors that commands ask, and the words of those that take texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from toolkit.glossary import Predictor, Words


def opened(
    paths: Mapping[str, Path],
    words: Words | None,
    *,
    custom: Sequence[str] = (),
    trust: bool = False,
    architecture: str = "",
) -> tuple[list[Predictor], Any, Words | None]:
    """Predictors of all files by their names, the first as a Keras model if it is one, the words.

    words: of models that have none of their own.
    """
    from toolkit.models import open_model, parted
    from toolkit.models.opening import kind_of
    from toolkit.predict import predictor

    found: list[Predictor] = []
    first: Any = None
    for name, path in paths.items():
        model: Any = path
        if kind_of(path) != "onnx":
            model, own = parted(
                open_model(path, custom=custom, trust=trust, architecture=architecture), words
            )
            words = own or words
            first = first if found else model
        found.append(predictor(model, name))
    return found, first, words
