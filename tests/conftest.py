"""What many tests share, made once a session: data sets and trained classifiers."""

from __future__ import annotations

import inspect
import os
import pickle
from collections.abc import Callable
from fcntl import LOCK_EX, flock
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# as the commands have it, so that a test that runs one does not change what child processes compute
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
# tests that load onnxruntime first
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import hypothesis
import pytest

# a laden machine is no fault of the code
hypothesis.settings.register_profile("any machine", deadline=None)
hypothesis.settings.load_profile("any machine")


@pytest.fixture(scope="session")
def in_common(tmp_path_factory: Any) -> Path:
    """A folder for all processes of the session."""
    folder: Path = tmp_path_factory.getbasetemp()
    return folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder


def once(make: Callable[..., Any]) -> Any:
    """A fixture of the session that one of its processes makes and the others read."""

    def read(*, in_common: Path, **given: Any) -> Any:
        path = in_common / f"{make.__name__}.pickle"
        with path.with_suffix(".lock").open("w") as held:
            flock(held, LOCK_EX)
            if not path.exists():
                path.write_bytes(pickle.dumps(make(**given)))
        return pickle.loads(path.read_bytes())  # noqa: S301

    own = inspect.signature(read).parameters["in_common"]
    wanted = inspect.signature(make).parameters.values()
    read.__name__, read.__doc__ = make.__name__, make.__doc__
    read.__signature__ = inspect.Signature([*wanted, own])  # type: ignore[attr-defined]
    return pytest.fixture(scope="session")(read)


@pytest.fixture(scope="session")
def digits() -> Any:
    from toolkit.data import load

    return load("digits")


@pytest.fixture(scope="session")
def wine() -> Any:
    from toolkit.data import load

    return load("wine")


@once
def mlp(digits: Any) -> Any:
    """A trained 64-10-10-10 classifier of digits."""
    from toolkit import models, training

    start = models.build("mlp", digits.fit.train)
    return training.train(start, digits.fit, training.Settings(epochs=40, batch=32))[0]


@once
def cnn(digits: Any) -> Any:
    from toolkit import models, training

    start = models.build("cnn", digits.fit.train)
    return training.train(start, digits.fit, training.Settings(epochs=15, batch=32))[0]


@once
def tabular(wine: Any) -> Any:
    from toolkit import models, training

    start = models.build("tabular", wine.fit.train)
    return training.train(start, wine.fit, training.Settings(epochs=20, batch=32))[0]


@once
def residual(digits: Any) -> Any:
    """A trained net with what pruning and packing meet: batch norms, a sum, a depthwise layer."""
    import keras
    from keras import layers

    from toolkit import training

    def convolved(x: Any, **settings: Any) -> Any:
        x = layers.Conv2D(16, 3, padding="same", use_bias=False, **settings)(x)
        return layers.BatchNormalization(momentum=0.8)(x)

    keras.utils.set_random_seed(0)
    first = layers.Input((8, 8, 1))
    x = layers.ReLU()(convolved(layers.Rescaling(1 / 16)(first), name="conv_a"))
    x = layers.ReLU()(layers.Add()([x, convolved(x, name="conv_b")]))
    x = layers.DepthwiseConv2D(3, name="depthwise")(x)
    x = layers.Conv2D(32, 1, activation="relu", name="conv_c")(x)
    last = layers.Dense(10, "softmax", name="classes")(layers.Flatten()(x))
    settings = training.Settings(epochs=4, batch=32)
    return training.train(keras.Model(first, last), digits.fit, settings)[0]


@once
def sparse(residual: Any, digits: Any) -> Any:
    """The step that pruned it to 60 %."""
    from toolkit.passes import PASSES, apply

    return apply(PASSES["prune"](sparsity=0.6, epochs=2), residual, digits.fit)


@once
def dense_onnx(tmp_path_factory: Any, digits: Any) -> Path:
    """A classifier of digits with a hidden layer that no TensorFlow made."""
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper
    from sklearn.neural_network import MLPClassifier

    x = digits.fit.train.x.reshape(len(digits.fit.train), -1)
    net = MLPClassifier((24,), max_iter=60, random_state=0, tol=0.1).fit(x, digits.fit.train.y)
    held = {"shape": np.array([-1, 64])}
    for i, (w, b) in enumerate(zip(net.coefs_, net.intercepts_, strict=True)):
        held |= {f"w{i}": w.astype(np.float32), f"b{i}": b.astype(np.float32)}
    nodes = [
        helper.make_node("Reshape", ["x", "shape"], ["flat"]),
        helper.make_node("Gemm", ["flat", "w0", "b0"], ["h"]),
        helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("Gemm", ["r", "w1", "b1"], ["z"]),
        helper.make_node("Softmax", ["z"], ["y"]),
    ]
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, shape) for n, shape in
            (("x", ["n", 8, 8, 1]), ("y", ["n", 10]))]  # fmt: skip
    tensors = [numpy_helper.from_array(v, n) for n, v in held.items()]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], tensors)
    path = tmp_path_factory.mktemp("base") / "base.onnx"
    opsets = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
    return path


@once
def looped() -> Any:
    """A graph with loops, and 60 rows: recurrent layers over words, of which zeros are hidden.

    A layer over one in both directions: the body of its loop reads a sum outside of it.
    """
    import keras
    import numpy as np
    from keras import layers

    from toolkit.exporting import export
    from toolkit.glossary import Data

    keras.utils.set_random_seed(0)
    both = layers.Bidirectional(layers.GRU(3, return_sequences=True))
    words = layers.Embedding(20, 5, mask_zero=True)
    last = [layers.LSTM(3), layers.Dense(3, "softmax")]
    net = keras.Sequential([keras.Input((6,)), words, both, *last])
    x = np.random.default_rng(0).integers(0, 20, (60, 6)).astype(np.float32)
    rows = Data(x, np.arange(60) % 3, ("a", "b", "c"))
    model = export(net, rows).model
    assert "Loop" in [n.op_type for n in model.graph.node]
    return model, rows


@once
def clustered(sparse: Any, digits: Any) -> Any:
    """The step that clustered what was pruned."""
    from toolkit.passes import PASSES, apply

    return apply(PASSES["cluster"](epochs=1), sparse.model, digits.fit)


@once
def saved(tmp_path_factory: Any, mlp: Any) -> Path:
    """The MLP as a .keras file."""
    path = tmp_path_factory.mktemp("saved") / "mlp.keras"
    mlp.save(path)
    return path


@once
def frontier(tmp_path_factory: Any, mlp: Any, digits: Any) -> Any:
    """Two quick recipes from the MLP, measured."""
    from toolkit.search import compress

    out = tmp_path_factory.mktemp("compressed")
    return compress(mlp, digits, ["float16", "int8"], out=out)


@pytest.fixture(scope="session")
def cluster() -> Any:
    """The address of a scheduler with two workers of one thread each, processes on loopback."""
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0"
    ) as started:
        started.wait_for_workers(2)
        yield started.scheduler_address


@pytest.fixture(scope="session")
def more_data() -> Path:
    """The folder with larger data sets."""
    folder = os.environ.get("TOOLKIT_DATA")
    if not folder:
        pytest.skip("TOOLKIT_DATA names no folder with mnist.npz")
    return Path(folder)


@once
def full_run(frontier: Any, digits: Any) -> Any:
    """Everything the two pages are made from: compressed, measured, explained, checked."""
    from toolkit.checks import checked
    from toolkit.explainers import EXPLAINERS
    from toolkit.predict import predictor
    from toolkit.studying import joined, study, with_layers

    pair = [predictor(a.path, a.name) for a in (frontier.base, frontier.candidates[1])]
    quick = [EXPLAINERS[m](samples=400) for m in ("shapley", "lime")]
    why = study(pair, digits, methods=quick, rows=3)
    return checked(joined(frontier.run, with_layers(why, frontier.base.path, digits)))
