"""A Keras model or an `.onnx` file -> Predictor: the only door to measuring and explaining."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.errors import MatchError, ModelError
from toolkit.glossary import Data, Floats, Predictor
from toolkit.in_floats import in_floats
from toolkit.masked import Masked, by_rows
from toolkit.models.batches import at_once, batched, reordered, two
from toolkit.models.first_layer import FirstLayer, first_layer
from toolkit.models.heads import Head, head_of_graph, probabilities, summing, trials
from toolkit.models.keras_predictor import KerasPredictor
from toolkit.runtime import said, session
from toolkit.shapes import in_shape, matching

_ASKED = 32
_SHAPES = 7
"""The type of an ONNX tensor of 64-bit integers."""
_TOGETHER = 8
"""Coalitions of a game that are asked at once: of a single one other kernels make other bits."""


class OnnxPredictor:
    """An `.onnx` classifier on onnxruntime's CPU, one session for its whole life."""

    def __init__(
        self,
        model: Path | bytes,
        name: str,
        threads: int = 0,
        *,
        exact: bool = False,
        as_written: bool = False,
    ) -> None:
        """Open it; threads 0 is the runtime's choice. Raises ModelError for no classifier.

        exact: integer sums never saturate, as on CPUs newer than AVX2, at the price of time.
        as_written: roundings in a net of floats stay where they are.
        """
        self.name = name
        self._open = partial(session, threads=threads, exact=exact, as_written=as_written)
        self.session = self._open(model)
        if not _of_floats(self.session):
            model = bytes(in_floats(_read(model)).SerializeToString())
            self.session = self._open(model)
        inputs, outputs = self.session.get_inputs(), self.session.get_outputs()
        if len(inputs) != 1:
            raise _refused(name, f"it has {len(inputs)} inputs")
        self._input, dtype = inputs[0].name, inputs[0].type
        if dtype != "tensor(float)":
            raise _refused(name, f"its input holds {dtype}")
        places = [o for o in outputs if o.type == "tensor(float)"]
        if len(places) != 1:
            raise _refused(name, f"it has {len(outputs)} outputs, {len(places)} of them floats")
        self._output = places[0].name
        # our own export says what its classes are called
        written = self.session.get_modelmeta().custom_metadata_map.get("classes", "")
        self.class_names = tuple(written.split("\n")) if written else ()
        declared = [d if isinstance(d, int) else None for d in inputs[0].shape]
        self.shape: tuple[int | None, ...] = tuple(declared[1:])
        self._fixed = declared[0] or None
        # read once: another file may lie there by the time that more of it is asked
        self._model = _read(model)
        # ranges that are taken of a whole call: a device asks one row a call, and so is it here
        graph = self._model.graph
        dynamic = any(n.op_type.startswith("DynamicQuantize") for n in graph.node)
        self.step = 1 if dynamic else self._fixed
        """How many rows are asked together in a call; None for any number."""
        self._head, self._before = head_of_graph(graph, self._output)
        self._inner: Any = None
        try:
            trial = self._run(np.zeros((1, *(d or 1 for d in self.shape)), np.float32))
        except ModelError as error:
            told = places[0].shape
            if None not in self.shape or len(told) != 2 or not isinstance(told[1], int):
                raise _refused(name, f"it does not run ({error.problem})") from error
            # a length of 1 is too short for some; the file says what comes out
            trial = np.zeros((1, told[1]), np.float32)
        if trial.ndim != 2 or trial.shape[1] < 1:
            raise _refused(name, f"its output has the shape {trial.shape}")
        if trial.shape[1] == 1 and self._head != "sigmoid":
            raise _refused(name, "it ends in one unit without a sigmoid")
        several = trial.shape[1] > 1
        if (self._head == "logits" or (self._head == "sigmoid" and several)) and self._sums():
            self._head, self._before = "softmax", None
        if several and self._head == "sigmoid":
            raise _refused(name, f"{trial.shape[1]} sigmoid units are multi-label")
        self.classes = max(trial.shape[1], 2)

    def __call__(self, x: Floats, /) -> Floats:
        """Class probabilities of the rows `x`."""
        return batched(self._ask, x, self.shape, self.classes)

    def masked(self, asked: Masked, /) -> Floats:
        """Class probabilities of its rows, which are not made where the first layer is dense."""
        if self.parted is None or self._turned(asked.shape):
            return by_rows(self, asked)
        first, behind = self.parted
        suits, count = first.suits(asked), asked.masks.count
        if not suits.any():
            return by_rows(self, asked)
        both = np.empty((count, len(suits), self.classes), np.float32)
        if not suits.all():
            for those in (suits, ~suits):
                both[:, those] = self.masked(asked.of(those)).reshape(count, -1, self.classes)
            return both.reshape(-1, self.classes)
        # as many rows as if they were made, and at least some of each game
        rows = at_once(max(first.weights.shape))
        games = max(rows // _TOGETHER, 1)
        for i in range(0, len(suits), games):
            some, begin = asked.of(slice(i, i + games)), 0
            for masks in asked.masks.parts(max(rows // len(some.x), _TOGETHER)):
                given = first.asked(replace(some, masks=masks))
                found = probabilities(behind.run([self._output], given)[0], self._head)
                place = both[begin : begin + masks.count, i : i + games]
                place[:] = found.reshape(len(some.x), masks.count, -1).swapaxes(0, 1)
                begin += masks.count
        return both.reshape(-1, self.classes)

    def _turned(self, shape: tuple[int, ...]) -> bool:
        """Whether rows of this shape are brought into another order before they are asked."""
        places = np.arange(math.prod(shape), dtype=np.float32)
        brought = in_shape(places.reshape(1, *shape), self.shape)
        return not np.array_equal(brought.reshape(-1), places)

    @cached_property
    def parted(self) -> tuple[FirstLayer, Any] | None:
        """The first layer and a session of what is behind it, or None."""
        first = None if self.step else first_layer(self._model)
        if first is None:
            return None
        return first, self._open(first.behind)

    @property
    def ends(self) -> tuple[str, str]:
        """The names of the rows and of their answers in the graph."""
        return self._input, self._output

    @property
    def at_once(self) -> int:
        """How many rows the file takes in a call; 0 for any number."""
        return self._fixed or 0

    @property
    def head(self) -> Head:
        """What the output of the file is: softmax or sigmoid probabilities, or logits."""
        return self._head

    @property
    def parameters(self) -> int:
        """How many numbers the graph holds as weights; whole numbers of 64 bits are shapes."""
        held = self._model.graph.initializer
        return sum(math.prod(w.dims) for w in held if w.data_type != _SHAPES)

    def logits(self, x: Floats) -> Floats | None:
        """What the last softmax or sigmoid is given, f32 (n, k), or None where the graph has none.

        The softmax of it is what a call gives. One sigmoid unit z counts as (0, z).
        """
        if self._before is None:
            return None
        if self._inner is None and self._head != "logits":
            self._inner = self._open(_with_output(self._model, self._before))
        inner, name = self._inner or self.session, self._before

        def ask(rows: Floats) -> Floats:
            return two(self._run(rows, inner, name))

        return batched(ask, x, self.shape, self.classes)

    def shuffled(self, seed: int) -> OnnxPredictor:
        """The same graph with every weight of two and more axes in a random order of its values.

        Raises ModelError when it has none.
        """
        return OnnxPredictor(_shuffled(self._model, self.name, seed), self.name)

    def _ask(self, x: Floats) -> Floats:
        return probabilities(self._run(x), self._head)

    def _sums(self) -> bool:
        """Whether what no softmax makes sums to 1 all the same, as a mean of softmaxes does."""
        for rows in trials(self.shape):
            try:
                return summing(np.concatenate([self._run(x[None]) for x in rows]))
            except ModelError:
                continue  # a shape of any length, and not of this one
        return False

    def sums_after_all(self, x: Floats) -> bool:
        """Whether what is taken for logits gives probabilities of all rows `x` as it is."""
        if self._head != "logits":
            return False
        return summing(batched(self._run, x, self.shape, self.classes))

    def _run(self, x: Floats, opened: Any = None, output: str = "") -> Floats:
        if self.step is None:
            return self._call(x, opened, output)
        found, size = [], self._fixed or self.step
        for i in range(0, len(x), self.step):
            part = x[i : i + self.step]
            # a call that takes more rows is filled up with the last
            full = np.concatenate([part, np.repeat(part[-1:], size - len(part), axis=0)])
            found.append(self._call(full, opened, output)[: len(part)])
        return np.concatenate(found)

    def _call(self, x: Floats, opened: Any, output: str) -> Floats:
        try:
            answers = (opened or self.session).run([output or self._output], {self._input: x})
        except Exception as error:  # onnxruntime's errors share no public base
            raise ModelError(
                f"{self.name} does not run on rows of shape {x.shape[1:]} ({said(error)})",
                "rows as it was exported for",
                "export it for rows of this shape",
            ) from error
        return np.asarray(answers[0])


def predictor(model: Any, name: str = "", *, data: Data | None = None) -> Predictor:
    """Open a keras.Model, a `.keras`, `.h5` or `.onnx` path, or the bytes of an `.onnx`.

    data: when given, rows and classes must fit it. Raises ModelError when it is no classifier and
    MatchError when it does not fit `data`. An `.onnx` never loads TensorFlow.
    """
    from toolkit.models.opening import kind_of, open_model

    found: Predictor
    if isinstance(model, bytes):
        found = OnnxPredictor(model, name or "model")
    elif isinstance(model, str | Path):
        path = Path(model)
        name = name or path.stem
        onnx = kind_of(path) == "onnx"
        found = OnnxPredictor(path, name) if onnx else KerasPredictor(open_model(path), name)
    else:
        found = KerasPredictor(model, name or str(model.name))
    if data is not None:
        fitting(found, data)
    return found


def fitting(found: Predictor, data: Data) -> None:
    """Raise MatchError when the rows, the number of classes or their order do not fit the model.

    Raises ModelError for an `.onnx` of which it cannot be told whether it gives probabilities.
    """
    matching(found.shape, found.classes, data, found.name)
    if isinstance(found, OnnxPredictor) and found.sums_after_all(np.asarray(data.x[:_ASKED])):
        raise ModelError(
            f"{found.name} gives answers that sum to 1 on these rows, and nothing else tells that "
            "they are probabilities",
            "a file that ends in a Softmax, or that tells the sizes of its rows",
            "export it so",
        )
    told = getattr(found, "class_names", ())
    if told and tuple(told) != data.classes:
        at = next(
            i for i, pair in enumerate(zip(told, data.classes, strict=True)) if pair[0] != pair[1]
        )
        raise MatchError(
            f"class {at} is '{told[at]}' in {found.name} and '{data.classes[at]}' in the data",
            "the same classes in the same order",
            "give the data this model was trained on, or rename and sort its classes",
        )


def _read(model: Path | bytes) -> Any:
    import onnx

    return onnx.load_from_string(model) if isinstance(model, bytes) else onnx.load(model)


def _with_output(model: Any, name: str) -> bytes:
    """The same graph, which also gives the tensor `name`."""
    import onnx

    inside = onnx.ModelProto()
    inside.CopyFrom(model)
    inside.graph.output.append(onnx.ValueInfoProto(name=name))
    return bytes(inside.SerializeToString())


def _shuffled(model: Any, name: str, seed: int) -> bytes:
    """The file with its weights reordered."""
    import onnx

    rng = np.random.default_rng(seed)
    inside = onnx.ModelProto()
    inside.CopyFrom(model)
    held = [*inside.graph.initializer]
    # other exporters keep weights in nodes
    held += [a.t for n in inside.graph.node if n.op_type == "Constant" for a in n.attribute]
    weights = [one for one in held if len(one.dims) > 1]
    if not weights:
        raise ModelError(f"{name} has no weights to shuffle", "weights of two axes or more", "")
    for one in weights:
        values = reordered(onnx.numpy_helper.to_array(one), rng)
        one.CopyFrom(onnx.numpy_helper.from_array(values, one.name))
    return bytes(inside.SerializeToString())


def _of_floats(opened: Any) -> bool:
    """Whether a session takes and gives float32, beside labels that nobody asks for."""
    taken, given = ({v.type for v in ends} for ends in (opened.get_inputs(), opened.get_outputs()))
    return taken == {"tensor(float)"} and "tensor(float)" in given


def _refused(name: str, why: str) -> ModelError:
    return ModelError(
        f"{name} is not a classifier this tool can ask: {why}",
        "one input of numbers, one output (n, k) of probabilities or logits",
        "export it so",
    )
