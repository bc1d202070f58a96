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

    words: of models that have none of their own. Raises RecipeError for options of Keras files
    where there is none.
    """
    from toolkit.models import open_model, parted
    from toolkit.models.opening import kind_of
    from toolkit.predict import predictor

    all_onnx(list(paths.values()), custom=custom, trust=trust, architecture=architecture)
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


def all_onnx(
    paths: Sequence[Path], *, custom: Sequence[str], trust: bool, architecture: str
) -> bool:
    """Whether no file is of Keras.

    Raises RecipeError where none is for options that say how those of Keras open.
    """
    from toolkit.errors import RecipeError
    from toolkit.models.opening import kind_of

    found = all(kind_of(path) == "onnx" for path in paths)
    given = {"--custom": custom, "--trust": trust, "--architecture": architecture}
    wrong = next((name for name, value in given.items() if value), None)
    if found and wrong:
        raise RecipeError(f"{wrong} with an .onnx", "a Keras model", f"leave {wrong} out")
    return found
