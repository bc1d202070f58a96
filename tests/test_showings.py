"""A teacher is asked once for each way in which a row is shown, whoever asks."""

import dataclasses
import gc
import weakref

import numpy as np
import pytest

from toolkit.augmentation import Augmentation
from toolkit.models.reference import build
from toolkit.passes import showings as room
from toolkit.passes.showings import WAYS, Showings, showings
from toolkit.passes.teachers import teacher_of
from toolkit.passes.together import Together
from toolkit.predict import predictor
from toolkit.training import Turn

N, BATCH = 600, 128
PICTURES = np.random.default_rng(1).random((N, 8, 8, 1)).astype(np.float32)


@pytest.fixture(autouse=True)
def no_small_set(monkeypatch):
    monkeypatch.setattr(room, "SHOWN", WAYS * N)


class Counting:
    """A teacher of two classes that tells by one corner, and counts the rows it was asked for."""

    rows = 0

    def __call__(self, x):
        self.rows += len(x)
        return np.stack([x[:, 0, 0, 0], 1 - x[:, 0, 0, 0]], axis=1)


def epochs(shown, teacher, count, seed=0):
    """What is shown and answered in each epoch, in the order of the rows."""
    for epoch in range(count):
        order = np.random.default_rng((seed, epoch)).permutation(N)
        found = []
        for first in range(0, N, BATCH):
            rows = order[first : first + BATCH]
            turn = Turn(rows, epoch, np.random.default_rng(0))
            found.append(shown(teacher, PICTURES[rows], turn))
        back = np.argsort(order)
        yield tuple(np.concatenate(part)[back] for part in zip(*found, strict=True))


def test_every_way_is_asked_for_once_and_answered_as_it_is_shown():
    teacher = Counting()
    shown = Showings(PICTURES, Augmentation(mirror=True, shift=1), 2, seed=3)
    seen = list(epochs(shown, teacher, WAYS + 2))
    assert teacher.rows == WAYS * N
    for x, answers in seen:
        assert np.array_equal(answers, Counting()(x))
    assert len({x.tobytes() for x, _ in seen}) == WAYS
    for way in (0, 1):
        assert np.array_equal(seen[way][0], seen[WAYS + way][0])


def test_the_order_of_batches_decides_nothing():
    change = Augmentation(mirror=True, shift=1)
    one, two = (
        list(epochs(Showings(PICTURES, change, 2, seed=3), Counting(), 2, seed=s)) for s in (0, 9)
    )
    for (x, p), (other_x, other_p) in zip(one, two, strict=True):
        assert np.array_equal(x, other_x)
        assert np.array_equal(p, other_p)


def test_rows_that_stay_what_they_are_have_one_way():
    teacher = Counting()
    for x, _ in epochs(Showings(PICTURES, Augmentation(), 2, seed=3), teacher, 3):
        assert np.array_equal(x, PICTURES)
    assert teacher.rows == N


def test_a_small_set_is_shown_in_more_ways(monkeypatch):
    monkeypatch.setattr(room, "SHOWN", 11 * N - 1)
    shown = Showings(PICTURES, Augmentation(mirror=True, shift=1), 2, seed=3)
    assert len({x.tobytes() for x, _ in epochs(shown, Counting(), 13)}) == 11


def test_answers_beyond_the_bound_are_asked_for_each_time(monkeypatch):
    monkeypatch.setattr(room, "MOST", 4 * WAYS * N * 2 - 1)
    teacher = Counting()
    shown = Showings(PICTURES, Augmentation(shift=1), 2, seed=3)
    seen = list(epochs(shown, teacher, WAYS + 1))
    assert teacher.rows == (WAYS + 1) * N
    assert len({x.tobytes() for x, _ in seen}) == WAYS + 1
    for x, answers in seen:
        assert np.array_equal(answers, Counting()(x))


def test_the_next_training_on_the_same_rows_finds_them_and_no_other_does():
    teacher, change = Counting(), Augmentation(shift=1)
    first = showings(teacher, PICTURES, change, 2, 0)
    assert showings(teacher, PICTURES, change, 2, 0) is first
    more = [PICTURES.copy(), Together(PICTURES, PICTURES[:5])]
    others = [
        *(showings(teacher, x, change, 2, 0) for x in more),
        showings(Counting(), PICTURES, change, 2, 0),
        showings(teacher, PICTURES, Augmentation(), 2, 0),
        showings(teacher, PICTURES, change, 2, 1),
    ]
    assert first not in others
    assert len(set(others)) == len(others)
    # nothing outlives the teacher
    left = weakref.ref(first)
    del first, teacher, others
    gc.collect()
    assert left() is None


def test_pictures_in_their_files_are_not_read_twice():
    class InFiles:
        shape = PICTURES.shape
        read = 0

        def digests(self):
            return ()

        def __len__(self):
            return N

        def __getitem__(self, rows):
            InFiles.read += len(rows)
            return PICTURES[rows]

    for x in (InFiles(), Together(InFiles(), PICTURES[:5])):
        shown = Showings(x, Augmentation(shift=1), 2, seed=3)
        for pictures, answers in epochs(shown, Counting(), 2):
            assert np.array_equal(answers, Counting()(pictures))
    assert InFiles.read == 0


def test_a_teacher_that_cannot_be_looked_up_teaches_all_the_same():
    @dataclasses.dataclass
    class Changing(Counting):
        weight: float = 1.0

    one, two = (showings(Changing(), PICTURES, Augmentation(), 2, 0) for _ in range(2))
    assert one is not two


def test_passes_on_the_same_rows_have_one_teacher(tabular, wine, tmp_path):
    fit = dataclasses.replace(wine.fit, base=predictor(tabular))
    one, facts = teacher_of("base+tabular", tabular, fit, epochs=1)
    facts["spoilt"] = True
    again, told = teacher_of("base+tabular", tabular, fit, epochs=1)
    assert again is one
    assert "spoilt" not in told
    assert teacher_of("base+tabular", tabular, fit, epochs=2)[0] is not one
    tabular.save(tmp_path / "other.keras")
    both = f"base+{tmp_path / 'other.keras'}"
    # who is not trained here is the same however long the student is
    one, two = (teacher_of(both, tabular, fit, epochs=n, seed=n)[0] for n in (1, 2))
    assert one is two


def test_a_file_that_was_written_anew_is_opened_anew(tabular, wine, tmp_path):
    path = tmp_path / "teacher.keras"
    tabular.save(path)
    first = teacher_of(str(path), tabular, wine.fit)[0]
    assert teacher_of(str(path), tabular, wine.fit)[0] is first
    build("tabular", wine.fit.train, seed=9).save(path)
    assert not np.allclose(
        teacher_of(str(path), tabular, wine.fit)[0](wine.test.x), first(wine.test.x)
    )
