"""Every type that rooms share, with its shapes, dtypes and units. Imports numpy alone.

    n rows    k classes    p players    ... the shape of one row, e.g. (28, 28, 1) or (12,)

Values flow one way: Data -> Step -> Artifact -> Predictor -> Measurement, Attribution -> Run.
One file, however long: a type is looked up in one place.
All types are frozen; what is made from them is new.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Ints = NDArray[np.int64]
Facts = dict[str, Any]
"""What was done, what was skipped and why: JSON values only."""

UNSAVED = {"saved": False}
"""Of a field that no file of a Run holds."""

FEW = 50
"""Fewer rows set ranges that new rows will often leave."""

NOTICEABLE = 1.02
"""A ratio of times below this is no difference to anyone, however surely it was measured."""

Kind = Literal["image", "tabular", "text"]
Stage = Literal["keras", "onnx"]
Severity = Literal["info", "warning", "error"]


@dataclass(frozen=True)
class Words:
    """How a text becomes the indices of its words; 0 fills up what is too short.

    vocabulary: index -> word. unknown: the index of a word that is not in it; None leaves it out.
    lower, strip: small letters, no ASCII punctuation. characters: letters instead of words.
    padding, cut: the end at which short texts are filled up and long ones cut.
    """

    vocabulary: tuple[str, ...]
    length: int
    unknown: int | None = 1
    lower: bool = True
    strip: bool = True
    characters: bool = False
    padding: Literal["post", "pre"] = "post"
    cut: Literal["post", "pre"] = "post"


@dataclass(frozen=True, eq=False)
class Data:
    """Rows with their labels.

    x: f32 (n, ...), values as the device will send them (raw, unscaled); of texts the indices of
    their words, (n, length). y: i64 (n,), indices into `classes`.
    features: one name a column when tabular, else empty. categories: column -> the names of its
    values, which x holds as codes 0, 1, ...; columns that are not in it hold numbers. fill:
    column -> the number that stands where one is missing. words, texts: of texts only.
    """

    x: Floats
    y: Ints
    classes: tuple[str, ...]
    features: tuple[str, ...] = ()
    kind: Kind = "tabular"
    categories: dict[int, tuple[str, ...]] = field(default_factory=dict)
    fill: dict[int, float] = field(default_factory=dict)
    words: Words | None = None
    texts: NDArray[Any] | None = None

    def __len__(self) -> int:
        return len(self.y)

    def rows(self, index: Any) -> Data:
        """The rows that `index` (slice, mask or indices) picks."""
        texts = None if self.texts is None else self.texts[index]
        # pictures that stay in their files stay there
        pick = getattr(self.x, "rows", self.x.__getitem__)
        return replace(self, x=pick(index), y=self.y[index], texts=texts)

    def spread(self, count: int) -> Data:
        """At most `count` rows from all over: the set may be sorted by class."""
        if len(self) <= count:
            return self
        return self.rows(np.linspace(0, len(self) - 1, count).astype(int))


@dataclass(frozen=True, eq=False)
class Fit:
    """What a pass may see: rows to train on, to stop and choose by, to calibrate ranges with.

    base: what the recipe began with, f32 (n, ...) -> f32 (n, k) probabilities; it teaches what
    came of it. unlabelled: more rows, f32 (n, ...), to learn from a teacher alone.
    """

    train: Data
    validation: Data
    calibration: Data
    base: Callable[[Floats], Floats] | None = None
    unlabelled: Floats | None = None

    def ranging(self, rows: int) -> Data:
        """At most `rows` rows that set ranges: training rows, where `FEW` others are not there."""
        few = len(self.calibration) < min(FEW, len(self.train))
        return (self.train if few else self.calibration).spread(rows)


@dataclass(frozen=True, eq=False)
class Splits:
    """A named data set in parts that share no row; `sha256` is over its raw arrays."""

    name: str
    fit: Fit
    test: Data
    sha256: str
    facts: Facts = field(default_factory=dict)


class Predictor(Protocol):
    """The only thing that measuring and explaining ever see of a model.

    Called with f32 (n, ...) it gives f32 (n, k) whose rows sum to 1, for any n from 0 up.
    """

    @property
    def name(self) -> str:
        """What the model is called in tables and pages."""

    @property
    def classes(self) -> int:
        """k, the number of classes."""

    @property
    def shape(self) -> tuple[int | None, ...]:
        """The shape of one row; None where any length goes."""

    def __call__(self, x: Floats, /) -> Floats:
        """Class probabilities of the rows `x`."""


class Differentiable(Predictor, Protocol):
    """A Predictor that also looks inside; a Keras model is one, an `.onnx` is not."""

    def gradients(self, x: Floats, target: int) -> Floats:
        """The gradient of the probability of `target` by every value of each row: f32 (n, ...)."""

    def contributions(self, x: Floats, background: Floats, target: int) -> Doubles:
        """What each value of one row adds to it beside rows (b, ...), by DeepLIFT: f64 (...)."""


@dataclass(frozen=True, eq=False)
class Step:
    """What a pass gives back: a new model (keras.Model or onnx.ModelProto) and its facts."""

    model: Any
    facts: Facts


@dataclass(frozen=True)
class Artifact:
    """An `.onnx` on disk and how it came about; the same facts lie in its manifest.

    nbytes: raw size, bytes. recipe: name and TOML text. facts: one entry a pass, in order.
    """

    name: str
    path: Path
    recipe: str
    facts: tuple[Facts, ...]
    sha256: str
    nbytes: int


@dataclass(frozen=True)
class Measurement:
    """One figure of one subject, with its 95 % interval where it has one.

    n: the number of rows or repeats behind it. low, high: None where no interval is known.
    """

    subject: str
    name: str
    value: float
    unit: str
    n: int
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, eq=False)
class Attribution:
    """How much each player moved one model's probability of `target` for one row.

    values: f64 (p,), probability. stderr: f64 (p,), standard error of `values`; 0 when exact, or
    where no answer told otherwise.
    base: probability of the target with every player absent. prediction: with every one present.
    evaluations: rows the model was asked for. converged: every stderr is within the tolerance.
    degrees: of freedom of `stderr` where few draws gave it, else None. names: of the players.
    shown: f64 (p,), what each player has in the row, its value or the mean of its values.
    written: the category that a code of `shown` stands for, "" where it is a number; none for a row
    without categories. worded: whether players are words. picture: f32 (h, w, c) and the player of
    each pixel, i64 (h, w); it is not saved, since pages do not carry pictures.
    """

    method: str
    subject: str
    row: int
    values: Doubles
    stderr: Doubles
    base: float
    prediction: float
    target: int
    evaluations: int
    seed: int
    converged: bool
    facts: Facts = field(default_factory=dict)
    degrees: int | None = None
    names: tuple[str, ...] = ()
    shown: Doubles | None = None
    written: tuple[str, ...] = ()
    worded: bool = False
    picture: tuple[Floats, Ints] | None = field(default=None, repr=False, metadata=UNSAVED)

    def interval(self, level: float = 0.95) -> tuple[Doubles, Doubles]:
        """Where the values lie with this probability: f64 (p,) low, f64 (p,) high.

        By Student's t where few draws gave the standard error.

        >>> one = np.ones(1)
        >>> a = Attribution("m", "s", 0, one, 0.1 * one, 0.0, 1.0, 0, 9, 0, True, degrees=3)
        >>> [float(end[0].round(3)) for end in a.interval()]
        [0.682, 1.318]
        """
        from scipy.stats import norm, t

        tail = (1 + level) / 2
        half = (norm.ppf(tail) if self.degrees is None else t.ppf(tail, self.degrees)) * self.stderr
        return self.values - half, self.values + half

    def to_shap(self, *, pixels: bool = False) -> Any:
        """The same as a `shap.Explanation` of one row, for shap's plots.

        pixels: (1, h, w, c) for `shap.plots.image`, each value in equal parts on what its player
        has of the picture, so that they still add up. Raises ValueError where no picture is known.
        """
        import shap

        if pixels:
            return self._of_pixels()
        shown: Any = self.shown
        if self.shown is not None and any(self.names_shown()):
            # shap.plots.text strings words together as they are
            gap = " " if self.worded else ""
            both = zip(self.names_shown(), self.shown.tolist(), strict=True)
            shown = np.array([f"{name}{gap}" if name else value for name, value in both], object)
        return shap.Explanation(
            values=self.values,
            base_values=self.base,
            data=shown,
            feature_names=list(self.names) or None,
            error_std=self.stderr,
        )

    def _of_pixels(self) -> Any:
        import shap

        if self.picture is None:
            raise ValueError(
                "no picture is known of these reasons; those that explain() gives of pictures; "
                "explain the row again"
            )
        x, players = self.picture
        size = np.bincount(players.reshape(-1), minlength=len(self.values)) * x.shape[2]
        each = (self.values / np.maximum(size, 1))[players]
        values = np.repeat(each[..., None], x.shape[2], axis=2)
        return shap.Explanation(values=values[None], base_values=self.base, data=x[None])

    def names_shown(self) -> list[str]:
        """What each player has as it is written, where `shown` is a code of it, else ""."""
        none = ("",) * len(self.values)
        return list((self.names if self.worded else self.written) or none)

    def to_frame(self, level: float = 0.95) -> Any:
        """A pandas.DataFrame, a line a player: its name, what it has, value, error, interval.

        written: what `shown` means where it is a code, of a category or a word, else "".
        """
        import pandas as pd

        low, high = self.interval(level)
        columns = {
            "row": self.row,
            "model": self.subject,
            "method": self.method,
            "target": self.target,
            "player": list(self.names) or [str(i) for i in range(len(self.values))],
            "shown": np.full(len(self.values), np.nan) if self.shown is None else self.shown,
            "written": self.names_shown(),
            "value": self.values,
            "stderr": self.stderr,
            "low": low,
            "high": high,
        }
        return pd.DataFrame(columns)


@dataclass(frozen=True)
class Drift:
    """One row to which the base and `subject` give the same answer, and how alike the reasons are.

    p_value: of the cosine, if the reasons were the same. drifted: they are others beyond noise.
    """

    subject: str
    method: str
    row: int
    cosine: float
    p_value: float
    drifted: bool


@dataclass(frozen=True)
class Flip:
    """The fewest players to hide in a row for `subject` to give another answer.

    players: indices, none where no set that was tried does it. answer: the class given then, its
    own where none. tried: every set of up to so many players was tried, so that a set of one more
    is known to be the smallest.
    """

    subject: str
    row: int
    players: tuple[int, ...]
    answer: int
    tried: int


@dataclass(frozen=True, eq=False)
class Decision:
    """One row that was explained.

    row: index into the test part. x: f32 (...), as the device sends it. label: its true class.
    players: p names. segments: i64 (h, w), the player of each pixel, or None when not a picture.
    probabilities: subject -> f32 (k,). text: what was written, when it is a text. pieces: what it
    is written of, in order and whole, each with its player, -1 for what is none.
    """

    row: int
    x: Floats
    label: int
    players: tuple[str, ...]
    segments: Ints | None
    probabilities: dict[str, Floats]
    text: str | None = None
    pieces: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, eq=False)
class Cut:
    """A picture that was explained again over other players than those of its Decision.

    segments: i64 (h, w). values: subject -> f64 (p,), for the class that its attributions explain.
    """

    method: str
    row: int
    segments: Ints
    values: dict[str, Doubles]


@dataclass(frozen=True, eq=False)
class Layer:
    """What one layer learnt (`role` "weights") or answers to `row` (`role` "activation").

    values: f32; weights (inputs, units) or (kh, kw, inputs, units), activations without the batch
    axis. image: the shape (h, w, c) that the inputs of a first dense layer have as a picture.
    """

    subject: str
    name: str
    role: Literal["weights", "activation"]
    values: Floats
    row: int | None = None
    image: tuple[int, ...] | None = None


@dataclass(frozen=True)
class LayerError:
    """What rounding does to one layer of `subject`, an `.onnx` with integers, beside its float.

    layer: the name of what it makes; kind: its ONNX operator. sqnr: dB, signal over rounding noise
    of its output; cosine: of its output with the float one. used: share of the integer levels that
    its output takes; saturated: share of its values that are clipped. effect: mean change of a
    probability when this layer alone is rounded. nbytes: of its weights, as stored.
    """

    subject: str
    layer: str
    kind: str
    sqnr: float
    cosine: float
    used: float
    saturated: float
    effect: float
    nbytes: int


@dataclass(frozen=True)
class History:
    """How a training went: one value an epoch for each series, e.g. loss, val_loss, accuracy."""

    subject: str
    series: dict[str, tuple[float, ...]]
    facts: Facts = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Confusion:
    """counts: i64 (k, k), rows the true class, columns the predicted one, on the test part."""

    subject: str
    counts: Ints


@dataclass(frozen=True)
class Finding:
    """Something the reader should know: a stable code, a sentence, and what to do about it.

    said: sentence and next step with {fields}, values: what stands in these; from both a page says
    it in another language. Empty where it can only be said in English.
    """

    code: str
    severity: Severity
    subject: str
    sentence: str
    next_step: str
    said: tuple[str, ...] = ()
    values: Facts = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        code: str,
        severity: Severity,
        subject: str,
        sentence: str,
        next_step: str = "",
        /,
        **values: Any,
    ) -> Finding:
        """A finding from texts with {fields} and the plain values that stand in them.

        >>> Finding.of("X1", "info", "small", "{n:.1f} points off.", n=2).sentence
        '2.0 points off.'
        """
        now, then = sentence.format(**values), next_step.format(**values)
        return cls(code, severity, subject, now, then, (sentence, next_step), values)
