"""Kill, resume, compare: what comes out is what an undisturbed run gives, bit for bit."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from contextlib import contextmanager, suppress

import numpy as np
import pytest

from toolkit import models
from toolkit.checkpoints import Checkpoint, Saved, deciding, digest, resuming
from toolkit.devices import on
from toolkit.predict import predictor
from toolkit.progress import listening
from toolkit.search import compress
from toolkit.training import Settings, fitted, train

SETTINGS = Settings(batch=32, epochs=5)


class Killed(KeyboardInterrupt):
    pass


def keras_net():
    import keras

    keras.utils.set_random_seed(7)
    layers = keras.layers
    return keras.Sequential(
        [
            layers.Input((13,)),
            layers.Rescaling(0.001),
            layers.Dense(8),
            layers.BatchNormalization(),
            layers.Dropout(0.5),
            layers.Dense(3, "softmax"),
        ]
    )


def older_net():
    import tf_keras

    tf_keras.utils.set_random_seed(7)
    layers = tf_keras.layers
    return tf_keras.Sequential(
        [
            layers.Input((13,)),
            layers.Rescaling(0.001),
            layers.Dense(8),
            layers.BatchNormalization(),
            layers.Dropout(0.5),
            layers.Dense(3, "softmax"),
        ]
    )


def run(kind, wine, settings=SETTINGS, **options):
    """One training of a fresh net of either Keras; the learning rate falls, rows are changed."""
    import keras
    import tf_keras

    of = tf_keras if kind == "tf_keras" else keras
    rows = [(d.x, d.y) for d in (wine.fit.train, wine.fit.validation)]
    return fitted(
        older_net() if kind == "tf_keras" else keras_net(),
        *rows,
        of.losses.SparseCategoricalCrossentropy(),
        settings,
        subject="base",
        seed=3,
        decay=True,
        prepare=lambda x, y, turn: (x + turn.rng.normal(size=x.shape).astype(np.float32), y),
        library=tf_keras if kind == "tf_keras" else None,
        **options,
    )


def killed_after(epoch, work):
    """Run `work` until `epoch` epochs are done and stop it there."""

    def stop(task, done, total):
        if task.endswith("train base") and done == epoch:
            raise Killed

    with pytest.raises(Killed), listening(stop):
        work()


@contextmanager
def kept(folder):
    """What trainings write inside stays, as if the run had been killed at the end."""
    with suppress(Killed), resuming(folder):
        yield
        raise Killed


@pytest.fixture(scope="module", params=["keras", "tf_keras"])
def undisturbed(request, wine):
    return request.param, *run(request.param, wine)


def same(a, b):
    pairs = zip(a.get_weights(), b.get_weights(), strict=True)
    return all(x.tobytes() == y.tobytes() for x, y in pairs)


def test_a_killed_training_goes_on_and_ends_the_same(undisturbed, wine, tmp_path):
    kind, straight, history = undisturbed

    def work():
        with resuming(tmp_path / "left"):
            return run(kind, wine)

    killed_after(2, work)
    assert len(list((tmp_path / "left").iterdir())) == 1
    told = []
    with listening(lambda *said: told.append(said)):
        again, resumed = work()
    assert told == [("train base (resumed)", done, 5) for done in (2, 3, 4, 5)]
    assert resumed.facts == {**history.facts, "resumed_from": 2}
    assert resumed.series == history.series
    assert same(straight, again)
    assert not (tmp_path / "left").exists()


def test_a_finished_training_comes_back_at_once(undisturbed, wine, tmp_path):
    kind, straight, history = undisturbed
    with kept(tmp_path):
        run(kind, wine)
    told = []
    with resuming(tmp_path), listening(lambda *said: told.append(said)):
        again, resumed = run(kind, wine)
    assert told == [("train base (resumed)", 5, 5)]
    assert resumed.series == history.series
    assert same(straight, again)


@pytest.fixture(scope="module")
def left(wine, tmp_path_factory):
    """What a training leaves behind that was killed after its second epoch."""
    import keras

    folder = tmp_path_factory.mktemp("left")

    def work():
        with resuming(folder):
            run("keras", wine)

    killed_after(2, work)
    (path,) = folder.iterdir()
    with np.load(path) as file:
        arrays = [file[f"v{i}"] for i in range(len(file.files) - 1)]
        about = json.loads(str(file["about"]))
    return path, about, [keras.Variable(np.zeros_like(a), dtype=a.dtype.name) for a in arrays]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda content: content[: len(content) // 2],
        lambda content: content[:1500] + bytes(64) + content[1564:],
        lambda _: b"",
        lambda _: b"hello",
    ],
    ids=["cut", "overwritten", "empty", "text"],
)
def test_what_is_damaged_counts_as_not_there(spoil, left):
    path, about, variables = left
    intact = path.read_bytes()
    assert Checkpoint(path, about["key"]).restore(intact, variables).epochs == 2
    assert spoil(intact) != intact
    before = [v.numpy().copy() for v in variables]
    assert Checkpoint(path, about["key"]).restore(spoil(intact), variables) == Saved()
    assert all((v.numpy() == b).all() for v, b in zip(variables, before, strict=True))


def test_what_is_foreign_counts_as_not_there(left):
    path, about, variables = left
    content = path.read_bytes()
    assert Checkpoint(path, "another").restore(content, variables) == Saved()
    assert Checkpoint(path, about["key"]).restore(content, variables[:-1]) == Saved()


def test_a_damaged_file_lets_the_training_begin_anew(left, wine, tmp_path):
    path, _, _ = left
    (tmp_path / path.name).write_bytes(path.read_bytes()[:-100])
    with resuming(tmp_path):
        _, history = run("keras", wine)
    assert "resumed_from" not in history.facts


def test_pickles_are_never_opened(left, tmp_path):
    _, about, variables = left
    trap = tmp_path / "trap.npz"
    np.savez(trap, about=np.array([Trap(tmp_path / "sprung")], object))
    assert Checkpoint(trap, about["key"]).restore(trap.read_bytes(), variables) == Saved()
    assert not (tmp_path / "sprung").exists()


class Trap:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (str(self.path),))


def test_another_seed_rate_or_pass_is_another_training(left, wine, tmp_path):
    (tmp_path / left[0].name).write_bytes(left[0].read_bytes())
    other = Settings(batch=32, epochs=5, learning_rate=0.01)
    with resuming(tmp_path):
        _, first = run("keras", wine, other)
        with deciding("a pass"):
            _, second = run("keras", wine)
        _, third = run("keras", wine)
    found = [h.facts.get("resumed_from") for h in (first, second, third)]
    assert found == [None, None, 2]


def test_trainings_that_look_alike_do_not_mix(wine, tmp_path):
    start = models.build("tabular", wine.fit.train)
    with resuming(tmp_path):
        for _ in range(2):
            _, history = train(start, wine.fit, Settings(epochs=1))
            assert "resumed_from" not in history.facts


def test_a_digest_sees_what_a_loss_was_made_with():
    from toolkit.passes.tuning import loss_of

    assert digest(loss_of(3, "softmax", 2.0, 0.5)) == digest(loss_of(3, "softmax", 2.0, 0.5))
    assert digest(loss_of(3, "softmax", 2.0, 0.5)) != digest(loss_of(3, "softmax", 2.0, 0.6))


CHILD = """
import os, signal, sys
from toolkit.cli import run
from toolkit.progress import _listener

def stop(task, done, total):
    if task.endswith(sys.argv[1]) and done == 2:
        os.kill(os.getpid(), signal.SIGKILL)

_listener.set(stop)
sys.exit(run(["train", "compress"], sys.argv[2:], "toolkit"))
"""


def test_a_compress_that_was_killed_goes_on_where_it_was(tabular, wine, tmp_path):
    recipe = tmp_path / "short.toml"
    recipe.write_text(
        textwrap.dedent("""
        name = "short"
        about = "A quick one."
        [[pass]]
        kind = "distil"
        teacher = "tabular-large"
        epochs = 12
        """)
    )
    tabular.save(tmp_path / "base.keras")
    out = tmp_path / "out"
    arguments = ["compress", tmp_path / "base.keras", "--data", "wine", "--recipe", recipe]
    done = subprocess.run(
        [sys.executable, "-c", CHILD, "train student", *map(str, arguments), "--out", str(out)],
        capture_output=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert len(list((out / ".checkpoints").iterdir())) == 2
    told = []
    with listening(lambda *said: told.append(said)), on("cpu"):  # as the command does
        resumed = compress(tmp_path / "base.keras", wine, [recipe], out=out)
    assert ("short / distil / train teacher tabular-large (resumed)", 3, 3) in told
    assert ("short / distil / train student (resumed)", 2, 12) in told
    assert not (out / ".checkpoints").exists()
    straight = compress(tmp_path / "base.keras", wine, [recipe], out=tmp_path / "straight")
    # names of nodes count up in a process, so the files are compared by what they answer
    answers = [predictor(f.candidates[0].path, "x")(wine.test.x) for f in (resumed, straight)]
    assert answers[0].tobytes() == answers[1].tobytes()


def test_names_that_count_up_in_a_process_do_not_matter():
    """A loss may hold a net: made after others its layers are called otherwise, no more."""
    import keras
    from keras import layers

    def made():
        net = keras.Sequential([layers.Input((4,)), layers.Reshape((2, 2)), layers.Flatten()])
        return lambda y, p: (net, y, p)

    first = digest(made())
    for _ in range(3):
        keras.Sequential([layers.Input((4,)), layers.Reshape((2, 2))])
    assert digest(made()) == first
