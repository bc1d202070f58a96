"""Recipe: a named row of passes, whose order is checked when it is built; to and from TOML."""

from __future__ import annotations

import dataclasses
import itertools
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolkit.errors import RecipeError, near
from toolkit.passes import PASSES, Pass

FOLDER = Path(__file__).parent / "recipes"

USUAL = ("float16", "int8-dynamic", "int8", "int8-qat", "distil-float16", "distil-int8-qat")
"""What is tried when nobody says which: each serves many nets, and none takes hours."""

_ROUNDING = ("dynamic_int8", "float16", "quantise_aware", "static_int8")
_FLOATS = ("equalise", "round_weights", "weights_int4")
_SPENT = {
    "dynamic_int8": ("dynamic_int8", "static_int8"),
    "quantise_aware": (*_ROUNDING, *_FLOATS),
    "static_int8": ("static_int8", *_FLOATS),
    "weights_int4": ("dynamic_int8", "static_int8"),
}
"""Pass that rounds -> what finds nothing to round after it, or rounds the same weights anew."""


@dataclass(frozen=True)
class Recipe:
    """A name and the passes in their order; keras passes come before onnx passes.

    Raises RecipeError for a wrong order, no pass at all, or a name that is no file name.

    >>> from toolkit.passes import PASSES
    >>> Recipe("half", (PASSES["float16"](), PASSES["shorten"]())).name
    'half'
    """

    name: str
    passes: tuple[Pass, ...]
    about: str = ""

    def __post_init__(self) -> None:
        """Refuse before an hour of training is spent."""
        if not self.name or not all(c.isalnum() or c in "-_." for c in self.name):
            raise RecipeError(
                f"recipe name '{self.name}'", "letters, digits, - _ .", "it names a file: change it"
            )
        if not self.passes:
            raise RecipeError(f"recipe {self.name} has no pass", "at least one", "add [[pass]]")
        stages = [p.stage for p in self.passes]
        if stages != sorted(stages):  # "keras" < "onnx"
            order = ", ".join(f"{p.name} ({p.stage})" for p in self.passes)
            raise RecipeError(
                f"recipe {self.name} has the order {order}",
                "keras passes first, then onnx passes",
                "reorder it",
            )
        for one, two in itertools.pairwise(self.passes):
            if one.stage == two.stage and one.rank > two.rank:
                raise RecipeError(
                    f"recipe {self.name} has {two.name} after {one.name}, whose work it undoes",
                    f"{two.name}, then {one.name}",
                    "reorder it",
                )
        for one, two in itertools.combinations(self.passes, 2):
            _useful(self.name, one, two)

    @property
    def needs_keras(self) -> bool:
        """Whether a pass of it changes the Keras model, so that an `.onnx` is not enough."""
        return any(p.stage == "keras" for p in self.passes)

    def to_toml(self) -> str:
        """The recipe as TOML; only settings that differ from their default are written."""
        lines = [f"name = {_toml(self.name)}"]
        lines += [f"about = {_toml(self.about)}"] if self.about else []
        for step in self.passes:
            lines += ["", "[[pass]]", f"kind = {_toml(step.name)}"]
            lines += [
                f"{f.name} = {_toml(getattr(step, f.name))}"
                for f in dataclasses.fields(step)
                if getattr(step, f.name) != f.default
            ]
        return "\n".join(lines) + "\n"


def _useful(name: str, one: Any, two: Any) -> None:
    """Raise RecipeError where `two` has nothing left to do after `one`, or undoes it."""
    if two.name in _SPENT.get(one.name, ()):
        alone = two.name in _ROUNDING
        raise RecipeError(
            f"recipe {name} has {two.name} after {one.name}",
            "one pass that rounds" if alone else f"{two.name} where weights are floats",
            f"leave one out: after {one.name} the file holds integers already",
        )
    if one.name == two.name == "cluster" and two.clusters > one.clusters:
        raise RecipeError(
            f"recipe {name} has cluster of {two.clusters} after cluster of {one.clusters}",
            f"at most {one.clusters} clusters: kernels hold no more values by then",
            "leave one out",
        )


def known() -> tuple[str, ...]:
    """The names of the recipes that come with the toolkit."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.toml")))


def load(spec: str | Path) -> Recipe:
    """A recipe by its name, or from a TOML file.

    Raises RecipeError for an unknown name, with the near ones, and for a file that is no recipe.

    >>> [p.name for p in load("int8").passes]
    ['static_int8', 'integer_operators', 'shorten']
    """
    text = str(spec)
    if text in known():
        path = FOLDER / f"{text}.toml"
    elif Path(text).is_file():
        path = Path(text)
    elif "/" in text or text.endswith(".toml"):
        raise RecipeError(f"no recipe file at {text}", "a .toml", "check the path")
    else:
        raise RecipeError(f"unknown recipe '{text}'", near(text, known()))
    try:
        return from_toml(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise RecipeError(f"{path} is not text", "TOML in UTF-8", "check the path") from error


def from_toml(text: str) -> Recipe:
    """The recipe written in `text`.

    Raises RecipeError for what is no TOML, and for unknown passes and settings.
    """
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"not TOML ({error})", "name = ..., then [[pass]] tables") from error
    _only(raw, ("name", "about", "pass"), "a recipe")
    steps = raw.get("pass", [])
    if not isinstance(raw.get("name"), str) or not isinstance(steps, list):
        raise RecipeError("a recipe without a name or passes", "name = ..., then [[pass]] tables")
    return Recipe(raw["name"], tuple(_pass(step) for step in steps), str(raw.get("about", "")))


def _pass(raw: dict[str, Any]) -> Pass:
    kind = raw.get("kind")
    if not isinstance(kind, str) or kind not in PASSES:
        raise RecipeError(f"unknown pass '{kind}'", near(str(kind), PASSES))
    fields = {f.name: f for f in dataclasses.fields(PASSES[kind])}
    _only(raw, ("kind", *fields), kind)
    settings = {}
    for name, value in raw.items():
        if name == "kind":
            continue
        wanted: Any = type(fields[name].default)
        fits = type(value) is wanted or (wanted is float and type(value) is int)
        if wanted is tuple:
            fits = isinstance(value, list) and all(isinstance(v, str) for v in value)
        if not fits:
            allowed = "a list of texts" if wanted is tuple else f"a value of type {wanted.__name__}"
            raise RecipeError(f"{kind} has {name} = {value!r}", allowed, "correct it")
        settings[name] = wanted(value)
    return PASSES[kind](**settings)


def _only(raw: dict[str, Any], allowed: tuple[str, ...], owner: str) -> None:
    for name in raw:
        if name not in allowed:
            raise RecipeError(f"{owner} has no setting '{name}'", near(name, allowed))


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return '"' + "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in escaped) + '"'
    if isinstance(value, tuple):
        return "[" + ", ".join(_toml(v) for v in value) + "]"
    return repr(value)
