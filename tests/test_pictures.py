import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from toolkit.report import pictures


@settings(max_examples=25)
@given(arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3))))
def test_a_png_is_what_others_read(pixels):
    from PIL import Image

    read = np.asarray(Image.open(io.BytesIO(pictures.png(pixels))))
    assert np.array_equal(read, pixels)


def test_grey_uses_the_full_range_and_blanks_do_not_fail():
    x = np.float32([[[0.5], [2.5]]])
    assert pictures.grey(x)[..., 0].tolist() == [[0, 255]]


@pytest.mark.parametrize(
    ("value", "others", "wanted"),
    [
        (0.0, [], 0),
        (1.0, [], 255),
        (-1.0, [], 0),
        (255.0, [], 255),
        (7000.0, [], 128),
        (1.0, [0.0, 255.0], 1),
        (2.0, [-2.0, 6.0], 128),
    ],
)
def test_a_picture_of_one_value_is_as_light_as_it_is(value, others, wanted):
    """White is not black; beside others of the same data it has its place among them."""
    some = [np.full((1, 1, 1), other, np.float32) for other in others]
    assert (pictures.grey(np.full((2, 2, 1), value, np.float32), some) == wanted).all()


def test_colours_are_white_at_zero_and_full_at_the_ends():
    found = pictures.diverging(np.array([-1.0, 0.0, 1.0, 5.0]), 1.0)
    assert found.tolist() == [
        list(pictures.AGAINST),
        [255] * 3,
        list(pictures.FOR),
        list(pictures.FOR),
    ]
    assert (pictures.diverging(np.zeros(2), 0.0) == 255).all()


def test_a_picture_says_what_it_shows_and_keeps_its_shape():
    shown = str(pictures.image(np.zeros((2, 4, 3), np.uint8), '"<b>', 100))
    assert 'width="100" height="50"' in shown
    assert 'alt="&#34;&lt;b&gt;"' in shown


@settings(max_examples=25)
@given(arrays(np.uint8, st.tuples(st.integers(1, 40), st.integers(1, 40), st.just(3))))
def test_shrinking_keeps_the_mean_of_what_each_pixel_stands_for(pixels):
    small = pictures.shrunk(pixels, 7)
    assert max(small.shape[:2]) == min(max(pixels.shape[:2]), 7)
    h, w = small.shape[:2]
    down = [i * pixels.shape[0] // h for i in range(h + 1)]
    across = [i * pixels.shape[1] // w for i in range(w + 1)]
    for i in range(h):
        for j in range(w):
            block = pixels[down[i] : down[i + 1], across[j] : across[j + 1]]
            # the sums are taken along one axis and then the other
            assert np.abs(block.mean(axis=(0, 1)) - small[i, j]).max() <= 0.5 + 1e-9
