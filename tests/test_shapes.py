import numpy as np
import pytest

from toolkit.errors import MatchError
from toolkit.glossary import Data
from toolkit.shapes import in_shape, matching


@pytest.mark.parametrize(
    ("row", "shape"), [((28, 28, 1), (784,)), ((784,), (28, 28, 1)), ((5, 3), (None, 3))]
)
def test_the_same_values_fit(row, shape):
    x = np.arange(2 * np.prod(row), dtype=np.float64).reshape(2, *row)
    out = in_shape(x, shape)
    assert out.dtype == np.float32
    assert np.array_equal(out.reshape(-1), x.reshape(-1))


@pytest.mark.parametrize(("row", "shape"), [((4,), (5,)), ((5, 4), (None, 3)), ((6,), (None, 3))])
def test_other_numbers_of_values_do_not(row, shape):
    with pytest.raises(MatchError):
        in_shape(np.zeros((1, *row), np.float32), shape)


def test_classes_must_be_as_many():
    data = Data(np.zeros((1, 2), np.float32), np.array([0]), ("a", "b"))
    matching((2,), 2, data)
    with pytest.raises(MatchError, match="knows 3 classes"):
        matching((2,), 3, data)
