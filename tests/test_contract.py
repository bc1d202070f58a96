"""What a model was trained on against what it is given."""

from dataclasses import replace

import numpy as np
import pytest

from toolkit.contract import suspected
from toolkit.errors import MatchError
from toolkit.glossary import Data
from toolkit.shapes import in_shape


class Brightness:
    """Class 1 when the mean of the picture, as it was in training, is above the middle."""

    name, classes, shape = "net", 2, (4, 4, 1)

    def __init__(self, low, high):
        self.low, self.high = low, high

    def __call__(self, x):
        mean = x.reshape(len(x), -1).mean(axis=1)
        p = 1 / (1 + np.exp(-20 * ((mean - self.low) / (self.high - self.low) - 0.5)))
        return np.stack([1 - p, p], axis=1).astype(np.float32)


def bright(high, n=400):
    rng = np.random.default_rng(0)
    y = np.arange(n) % 2
    x = rng.uniform(0, 0.4, (n, 4, 4, 1)) + 0.6 * y[:, None, None, None]
    return Data((high * x).astype(np.float32), y, ("dark", "bright"), kind="image")


@pytest.mark.parametrize(
    ("trained", "given", "fix"),
    [
        ((0, 1), 255, "--scale 0.00392157"),
        ((-1, 1), 255, "--scale 0.00784314 --offset -1"),
        ((0, 255), 1, "--scale 255"),
    ],
)
def test_another_range_is_refused_with_the_mend(trained, given, fix):
    with pytest.raises(MatchError, match=fix):
        suspected(Brightness(*trained), bright(given))


@pytest.mark.parametrize("high", [1, 255])
def test_the_right_range_is_silent(high):
    assert suspected(Brightness(0, high), bright(high)) == ()


def test_classes_in_another_order_are_said():
    data = bright(1)
    (said,) = suspected(Brightness(0, 1), replace(data, y=1 - data.y))
    assert said.code == "U2"
    assert "'dark'" in said.sentence


def test_columns_that_were_standardised():
    class Linear:
        name, classes, shape = "net", 2, (2,)

        def __call__(self, x):
            p = 1 / (1 + np.exp(-5 * x[:, 0]))
            return np.stack([1 - p, p], axis=1).astype(np.float32)

    rng = np.random.default_rng(0)
    z = rng.normal(size=(500, 2))
    data = Data((1000 + 30 * z).astype(np.float32), (z[:, 0] > 0).astype(int), ("a", "b"))
    (said,) = suspected(Linear(), data)
    assert "standardised" in said.sentence
    assert suspected(Linear(), replace(data, x=z.astype(np.float32))) == ()


@pytest.mark.parametrize(
    ("row", "shape", "mend"),
    [
        ((28, 28, 1), (28, 28, 3), "--size 28x28x3"),
        ((28, 28, 3), (28, 28, 1), "--size 28x28x1"),
        ((32, 32, 3), (96, 96, 3), "--size 96x96x3"),
        ((28, 20, 3), (3, 28, 20), None),
        ((3, 28, 20), (28, 20, 3), None),
        ((28, 20, 3), (3, 20, 28), "data this model was trained on"),
        ((28, 28, 1), (1, 28, 28), None),
        ((7,), (8,), "8 columns"),
    ],
)
def test_shapes_that_do_not_fit_say_what_would(row, shape, mend):
    x = np.zeros((2, *row), np.float32)
    if mend is None:
        assert in_shape(x, shape).shape[1:] == shape
        return
    with pytest.raises(MatchError, match=mend):
        in_shape(x, shape)


def test_an_onnx_of_ours_knows_its_classes(frontier, digits):
    from toolkit.predict import predictor

    other = replace(digits.test, classes=(*digits.test.classes[1:], "0"))
    with pytest.raises(MatchError, match="class 0 is '0'"):
        predictor(frontier.base.path, data=other)


def test_rows_that_come_twice_are_counted():
    from toolkit.data.splits import Raw, split

    x = np.arange(60.0)[:, None].repeat(2, axis=0)
    found = split(Raw("r", x, np.arange(120) // 2 % 2))
    assert found.facts["duplicates"] == 60
    trained = np.concatenate(
        [p.x for p in (found.fit.train, found.fit.validation, found.fit.calibration)]
    )
    seen = int(np.isin(found.test.x, trained).sum())
    assert found.facts["test_rows_trained_on"] == seen > 0


@pytest.mark.parametrize(("head", "codes"), [("logits", ["U3"]), ("softmax", [])])
def test_linear_units_that_tell_nothing_are_said(head, codes):
    """A regressor of several values, whose file holds no loss, is taken for logits."""
    data = bright(1)
    shuffled = replace(data, y=np.random.default_rng(1).permutation(data.y))
    net = Brightness(0, 1)
    assert [one.code for one in suspected(net, shuffled, head=head)] == codes
    assert suspected(net, data, head=head) == ()
