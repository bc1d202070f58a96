from math import comb

import numpy as np
import pytest

from toolkit.explainers.designs import drawn, sizes


def pair_names(shown):
    """Each pair by its lesser name, so that a coalition and its complement are one."""
    bits = 1 << np.arange(shown.shape[1], dtype=object)
    numbers = [int((row * bits).sum()) for row in shown]
    full = (1 << shown.shape[1]) - 1
    return [min(n, full - n) for n in numbers]


def test_pairs_of_each_size_are_half_of_its_coalitions_and_those_of_its_complement():
    for k in range(2, 9):
        assert sizes(k).sum() == 2 ** (k - 1) - 1


@pytest.mark.parametrize("k", [3, 4, 7, 10, 30, 91])
@pytest.mark.parametrize("pairs", [40, 200, 1000])
def test_no_pair_is_drawn_twice(k, pairs):
    design = drawn(k, pairs, np.random.default_rng(k))
    names = pair_names(design.shown)
    assert len(set(names)) == len(names) == min(pairs, 2 ** (k - 1) - 1)


@pytest.mark.parametrize("k", [4, 5, 8])
def test_all_pairs_are_asked_where_there_are_no_more(k):
    design = drawn(k, 10_000, np.random.default_rng(0))
    assert len(design.shown) == 2 ** (k - 1) - 1
    assert (design.rest == 0).all()


@pytest.mark.parametrize(("k", "pairs"), [(9, 100), (16, 300), (30, 600)])
def test_every_size_gets_an_equal_share_and_its_weight(k, pairs):
    design = drawn(k, pairs, np.random.default_rng(1))
    size = design.shown.sum(axis=1)
    size = np.minimum(size, k - size)
    full = [s for s in set(size.tolist()) if (size == s).sum() == comb(k, s)]
    open_ = [(size == s).sum() for s in set(size.tolist()) if s not in full and 2 * s != k]
    assert max(open_) - min(open_) <= 1
    for s in set(size.tolist()):
        # the weights stand for all pairs of the size: the mass of the Shapley kernel
        mass = (k - 1) / (s * (k - s)) / (2 if 2 * s == k else 1)
        assert design.weights[size == s].sum() == pytest.approx(mass)


def test_coalitions_of_one_shuffle_share_no_player():
    design = drawn(40, 500, np.random.default_rng(2))
    ends = [*design.bunches[1:], len(design.shown)]
    several = 0
    for begin, end in zip(design.bunches, ends, strict=True):
        shown = design.shown[begin:end]
        if shown.sum(axis=1)[0] * 2 == 40:
            continue  # one of the two halves is turned over
        assert (shown.sum(axis=0) <= 1).all()
        several += len(shown) > 1
    assert several > 10


def test_the_same_generator_gives_the_same_design():
    one, two = (drawn(20, 300, np.random.default_rng(3)) for _ in range(2))
    assert one.shown.tobytes() == two.shown.tobytes()
