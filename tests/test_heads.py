import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import special

from toolkit.models.heads import probabilities, softmax

LOGITS = arrays(np.float64, (3, 4), elements=st.floats(-1e4, 1e4))


@given(LOGITS)
def test_softmax_is_scipys(z):
    assert np.allclose(softmax(z), special.softmax(z, axis=1))


@given(LOGITS)
def test_rows_sum_to_one(z):
    assert np.allclose(probabilities(z.astype(np.float32), "logits").sum(axis=1), 1, atol=1e-6)


def test_no_rows():
    assert softmax(np.zeros((0, 3))).shape == (0, 3)
