"""Two models made to answer the same question, or refused."""

import numpy as np
import pytest

from toolkit.alignment import Mapped, aligned
from toolkit.errors import MatchError
from toolkit.glossary import Data
from toolkit.predict import predictor


@pytest.fixture
def base(mlp):
    return predictor(mlp, "base")


class Other:
    """The base under another name, with other classes or these in another order."""

    def __init__(self, base, *, order=None, names=(), classes=None):
        self.base, self.order = base, order
        self.name, self.shape = "other", base.shape
        self.classes = classes or base.classes
        if names:
            self.class_names = names

    def __call__(self, x):
        p = self.base(x)
        return p if self.order is None else p[:, self.order]

    def logits(self, x):
        found = self.base.logits(x)
        return found if self.order is None else found[:, self.order]


ORDER = [3, 1, 2, 0, 4, 5, 6, 7, 9, 8]


def test_what_is_alike_stays_as_it_is(base, digits):
    other = Other(base)
    assert aligned(base, [other], digits.fit.train) == ((other,), ())


def test_classes_named_in_another_order_are_mapped(base, digits):
    names = tuple(digits.test.classes[i] for i in ORDER)
    (found,), (said,) = aligned(base, [Other(base, order=ORDER, names=names)], digits.fit.train)
    x = digits.test.x[:20]
    assert found(x).tobytes() == base(x).tobytes()
    assert found.logits(x).tobytes() == base.logits(x).tobytes()
    assert (said.code, said.subject) == ("M1", "other")


def test_classes_in_another_order_without_names_are_refused(base, digits):
    with pytest.raises(MatchError, match="output 3 of other answers where base says '0'"):
        aligned(base, [Other(base, order=ORDER)], digits.fit.train)


def test_names_that_belie_the_answers_are_not_asked_for_again(base, digits):
    other = Other(base, order=ORDER, names=digits.test.classes)
    with pytest.raises(MatchError, match="look which of both learnt other labels"):
        aligned(base, [other], digits.fit.train)


def test_two_classes_that_changed_places_are_refused(base, digits):
    swapped = [1, 0, *range(2, 10)]
    with pytest.raises(MatchError, match="output 1 of other answers where base says '0'"):
        aligned(base, [Other(base, order=swapped)], digits.fit.train)


def test_a_model_that_guesses_is_not_taken_for_one_in_another_order(base, digits):
    class Guess(Other):
        def __call__(self, x):
            return np.random.default_rng(0).dirichlet(np.ones(10), len(x)).astype(np.float32)

    guess = Guess(base)
    assert aligned(base, [guess], digits.fit.train) == ((guess,), ())


def test_other_classes_are_refused(base, digits):
    names = (*digits.test.classes[:9], "dog")
    with pytest.raises(MatchError, match="'dog'"):
        aligned(base, [Other(base, names=names)], digits.fit.train)
    with pytest.raises(MatchError, match="other knows 3 classes"):
        aligned(base, [Other(base, classes=3)], digits.fit.train)


class Brightness:
    """Class 1 when the mean of the picture, in the range of its training, is above the middle."""

    classes, shape = 2, (4, 4, 1)

    def __init__(self, name, high):
        self.name, self.high = name, high

    def __call__(self, x):
        mean = np.asarray(x).reshape(len(x), -1).mean(axis=1) / self.high
        p = 1 / (1 + np.exp(-20 * (mean - 0.5)))
        return np.stack([1 - p, p], axis=1).astype(np.float32)


def test_another_range_is_mapped_where_that_is_sure():
    rng = np.random.default_rng(0)
    y = np.arange(400) % 2
    x = 255 * (rng.uniform(0, 0.4, (400, 4, 4, 1)) + 0.6 * y[:, None, None, None])
    data = Data(x.astype(np.float32), y, ("dark", "bright"), kind="image")
    base = Brightness("base", 255)
    (found,), (said,) = aligned(base, [Brightness("other", 1)], data)
    assert isinstance(found, Mapped)
    assert found(data.x) == pytest.approx(base(data.x), abs=1e-4)
    assert "0.00392" in said.sentence


def test_a_class_that_the_base_never_gives_has_no_order(digits):
    """Nothing is told of it; of the others it is told as before."""

    class Guess:
        name, classes, shape = "base", 3, (64,)
        order = (0, 1, 2)

        def __call__(self, x):
            p = np.eye(3, dtype=np.float32)[np.arange(len(x)) % 2]
            return p[:, list(self.order)]

    rows = digits.fit.train
    three = Data(rows.x, rows.y % 3, ("a", "b", "c"))
    for order in ((0, 1, 2), (1, 2, 0), (2, 0, 1), (1, 0, 2)):
        other = Guess()
        other.name, other.order = "other", order
        if order == (1, 0, 2):
            with pytest.raises(MatchError, match="says 'a'"):
                aligned(Guess(), [other], three)
        else:
            aligned(Guess(), [other], three)


def test_a_better_model_is_not_taken_for_one_in_another_order(digits):
    """The base takes two classes for one; the other tells them apart, in their own order."""
    rows = digits.fit.train
    y = np.repeat([0, 1, 2, 2, 2], 40)
    three = Data(rows.x[:200], y, ("a", "b", "c"))

    class Lumping:
        name, classes, shape = "base", 3, (64,)

        def __call__(self, x):
            return np.eye(3, dtype=np.float32)[np.minimum(y, 1)[: len(x)]]

    class Right(Lumping):
        name = "other"

        def __call__(self, x):
            return np.eye(3, dtype=np.float32)[y[: len(x)]]

    aligned(Lumping(), [Right()], three)
