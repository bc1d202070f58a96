"""Pictures that stay in their files: the same numbers as in memory, in bounded memory."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from toolkit import models, training
from toolkit.data import images, load
from toolkit.data.streams import Pictures
from toolkit.exporting import export
from toolkit.predict import predictor


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Dark and bright pictures, 60 of each."""
    rng = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("pictures")
    for name, low in (("bright", 100), ("dark", 0)):
        (path / name).mkdir()
        for i in range(60):
            pixels = rng.integers(low, low + 150, (9, 8, 3), np.uint8)
            Image.fromarray(pixels).save(path / name / f"{i:02}.png")
    return path


@pytest.fixture(scope="module")
def in_memory(folder):
    return load(folder)


@pytest.fixture
def streamed(folder, monkeypatch):
    monkeypatch.setattr(images, "IN_MEMORY", 0)
    return load(folder)


def test_the_same_rows_as_in_memory(in_memory, streamed):
    whole = in_memory
    assert isinstance(streamed.test.x, Pictures)
    assert streamed.facts["streamed"]
    assert not whole.facts["streamed"]
    for part in ("train", "validation", "calibration"):
        a, b = getattr(streamed.fit, part), getattr(whole.fit, part)
        assert np.array_equal(np.asarray(a.x), b.x)
        assert np.array_equal(a.y, b.y)
    x, wanted = streamed.test.x, whole.test.x
    assert x.shape == wanted.shape
    for index in (3, -1, slice(2, 9, 3), np.array([5, 1]), np.arange(len(x)) % 2 == 0):
        assert np.array_equal(x[index], wanted[index]), index
    assert x[len(x) :].shape == (0, 9, 8, 3)
    assert np.array_equal(x.shaped((216,))[:2], wanted.reshape(-1, 216)[:2])
    assert np.allclose(x.times(1 / 255, -0.5)[:], wanted / 255 - 0.5, atol=1e-6)


def test_the_whole_job_on_streamed_pictures(streamed, tmp_path):
    from toolkit.search import compress
    from toolkit.studying import study

    start = models.build("cnn", streamed.fit.train)
    settings = training.Settings(epochs=15, batch=16, learning_rate=0.005)
    model, history = training.train(start, streamed.fit, settings)
    assert history.series["accuracy"][-1] > 0.9
    again, _ = training.train(start, streamed.fit, settings)
    for a, b in zip(model.get_weights(), again.get_weights(), strict=True):
        assert np.array_equal(a, b)
    made = export(model, streamed.fit.validation).model
    p = predictor(made.SerializeToString())(streamed.test.x)
    assert (p.argmax(axis=1) == streamed.test.y).mean() > 0.9
    frontier = compress(model, streamed, ["int8"], out=tmp_path)
    pair = [predictor(a.path, a.name) for a in (frontier.base, frontier.candidates[0])]
    assert study(pair, streamed, rows=2, sample=4).decisions[0].x.shape == (9, 8, 3)


MANY = """
import resource, sys
from toolkit.data import load, images
images.IN_MEMORY = 2**20
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
splits = load(sys.argv[1])
for part in (splits.fit.train, splits.fit.validation, splits.fit.calibration, splits.test):
    for i in range(0, len(part), 64):
        part.x[i:i + 64].sum()
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""


def test_memory_does_not_grow_with_the_folder(tmp_path):
    """600 pictures of 128 x 128 are 118 MB as numbers; a batch of 64 is 12.6 MB."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for i in range(300):
            picture = Image.new("RGB", (128, 128), (i % 256, 7, 99))
            picture.save(tmp_path / name / f"{i}.png")
    done = subprocess.run(
        [sys.executable, "-c", MANY, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert float(done.stdout) < 70
