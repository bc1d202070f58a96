"""A Keras model or an `.onnx` file -> Predictor: the only door to measuring and explaining."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.errors import ModelError
from toolkit.glossary import Data, Floats, Predictor
from toolkit.models.heads import Head, probabilities
from toolkit.shapes import in_shape, matching

_VALUES = 2**20
"""Input values in one batch: large enough to hide Python, small enough for any memory."""


class OnnxPredictor:
    """An `.onnx` classifier on onnxruntime's CPU, one session for its whole life."""

    def __init__(self, model: Path | bytes, name: str, threads: int = 0) -> None:
        """Open it; threads 0 is the runtime's choice. Raises ModelError for no classifier."""
        import onnxruntime

        self.name = name
        self.session = session(model, threads)
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
        declared = [d if isinstance(d, int) else None for d in inputs[0].shape]
        self.shape: tuple[int | None, ...] = tuple(declared[1:])
        self._fixed = declared[0]
        self._head: Head = _head_of_graph(model, self._output)
        try:
            trial = self._run(np.zeros((1, *(d or 1 for d in self.shape)), np.float32))
        except onnxruntime.capi.onnxruntime_pybind11_state.InvalidArgument as error:
            raise _refused(name, f"it does not run ({error})") from error
        if trial.ndim != 2 or trial.shape[1] < 1:
            raise _refused(name, f"its output has the shape {trial.shape}")
        if trial.shape[1] == 1 and self._head != "sigmoid":
            raise _refused(name, "it ends in one unit without a sigmoid")
        if trial.shape[1] > 1 and self._head == "sigmoid":
            raise _refused(name, f"{trial.shape[1]} sigmoid units are multi-label")
        self.classes = max(trial.shape[1], 2)

    def __call__(self, x: Floats, /) -> Floats:
        """Class probabilities of the rows `x`."""
        return _batched(self._ask, x, self.shape, self.classes)

    def _ask(self, x: Floats) -> Floats:
        return probabilities(self._run(x), self._head)

    def _run(self, x: Floats) -> Floats:
        if self._fixed is not None and len(x) != self._fixed:
            parts = [x[i : i + self._fixed] for i in range(0, len(x), self._fixed)]
            short = self._fixed - len(parts[-1])
            parts[-1] = np.concatenate([parts[-1], np.repeat(parts[-1][-1:], short, axis=0)])
            return np.concatenate([self._run(part) for part in parts])[: len(x)]
        return np.asarray(self.session.run([self._output], {self._input: x})[0])


class KerasPredictor:
    """A Keras classifier, called through one traced function."""

    def __init__(self, model: Any, name: str) -> None:
        """Wrap it. Raises ModelError when it is no classifier."""
        import tensorflow as tf

        from toolkit.models.heads import head_of

        self.name, self._tensor = name, tf.constant
        self._head = head_of(model)
        self.shape: tuple[int | None, ...] = tuple(model.inputs[0].shape[1:])
        self.classes = max(int(model.outputs[0].shape[-1]), 2)
        spec = tf.TensorSpec((None, *self.shape), tf.float32)
        # a concrete function: traced once, and never again for another number of rows
        self._call = tf.function(lambda x: model(x, training=False)).get_concrete_function(spec)

    def __call__(self, x: Floats, /) -> Floats:
        """Class probabilities of the rows `x`."""
        return _batched(self._ask, x, self.shape, self.classes)

    def _ask(self, x: Floats) -> Floats:
        return probabilities(self._call(self._tensor(x)).numpy(), self._head)


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
        matching(found.shape, found.classes, data, found.name)
    return found


def session(model: Path | bytes, threads: int = 0) -> Any:
    """An onnxruntime CPU session. Raises ModelError in one line when it cannot be loaded."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what fails is raised; the log would say it a second time
    options.intra_op_num_threads = threads
    source = model if isinstance(model, bytes) else str(model)
    try:
        return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors share no public base
        shown = "the model" if isinstance(model, bytes) else str(model)
        raise ModelError(
            f"onnxruntime cannot load {shown} ({str(error)[:160]})",
            "a complete .onnx of standard operators",
            "export it again",
        ) from error


def _batched(
    ask: Callable[[Floats], Floats], x: Floats, shape: tuple[int | None, ...], classes: int
) -> Floats:
    """Ask in batches that are large, but bounded in memory."""
    x = in_shape(x, shape)
    if len(x) == 0:
        return np.zeros((0, classes), np.float32)
    step = min(max(_VALUES // max(math.prod(x.shape[1:]), 1), 32), 16384)
    return np.concatenate([ask(x[i : i + step]) for i in range(0, len(x), step)])


_SEEN_THROUGH = ("QuantizeLinear", "DequantizeLinear", "Identity", "Reshape", "Cast", "Squeeze")


def _head_of_graph(model: Path | bytes, output: str) -> Head:
    """What makes the output, looked up through what only changes its form.

    A concatenation of p and 1 - p, as our export of a sigmoid makes it, counts as softmax.
    """
    import onnx

    graph = (onnx.load_from_string(model) if isinstance(model, bytes) else onnx.load(model)).graph
    makers = {name: node for node in graph.node for name in node.output}
    node = makers.get(output)
    while node is not None and node.op_type in _SEEN_THROUGH:
        node = makers.get(node.input[0])
    kind = "" if node is None else node.op_type
    if kind in ("Softmax", "Concat"):
        return "softmax"
    return "sigmoid" if kind in ("Sigmoid", "QLinearSigmoid") else "logits"


def _refused(name: str, why: str) -> ModelError:
    return ModelError(
        f"{name} is not a classifier this tool can ask: {why}",
        "one f32 input, one output (n, k) of probabilities or logits",
        "export it so",
    )
