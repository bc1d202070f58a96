"""Clipped sums beside a slow sum pair by pair, and whole nets beside the runtime itself."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from onnx import TensorProto, helper, numpy_helper, parser

from toolkit import provenance
from toolkit.exporting import export
from toolkit.passes import PASSES, apply
from toolkit.predict import predictor
from toolkit.runtime import session
from toolkit.saturation import IntegerPredictor, can_clip, sums

CLIPS_HERE = {"avx2", "avx512_vnni", "avx_vnni"} & set(provenance.machine()["features"]) == {"avx2"}
"""Whether the machine of this test is one whose sums clip."""


def pair_by_pair(a, weights):
    """vpmaddubsw in words: two products, one sum of 16 bits, clipped; then 32 bits."""
    total = np.zeros((len(a), weights.shape[1]), np.int64)
    for row in range(len(a)):
        for column in range(weights.shape[1]):
            for k in range(0, len(weights), 2):
                both = int(a[row, k]) * int(weights[k, column])
                if k + 1 < len(weights):
                    both += int(a[row, k + 1]) * int(weights[k + 1, column])
                total[row, column] += min(max(both, -32768), 32767)
    return total


shapes = st.tuples(st.integers(1, 4), st.integers(1, 9), st.integers(1, 4))


@given(shapes.flatmap(lambda s: st.tuples(
    arrays(np.uint8, (s[0], s[1])), arrays(np.int8, (s[1], s[2]))
)))  # fmt: skip
def test_unsigned_by_signed(pair):
    a, weights = pair
    made, clipped = sums(a, weights)
    slow = pair_by_pair(a, weights)
    true = a.astype(int) @ weights.astype(int)
    assert np.array_equal(made, slow)
    assert (clipped > 0) >= bool((slow != true).any())
    assert np.array_equal(sums(a, weights, clipping=False)[0], true)


@given(arrays(np.int8, (3, 6)), arrays(np.int8, (6, 2)))
def test_signed_inputs_never_clip(a, weights):
    made, clipped = sums(a, weights)
    assert np.array_equal(made, a.astype(int) @ weights.astype(int))
    assert clipped == 0


@pytest.mark.parametrize("kind", [np.uint8, np.int8])
def test_sums_are_those_of_the_runtime_here(kind):
    """Large inputs and weights, so that most pairs clip where any do."""
    rng = np.random.default_rng(0)
    a = rng.integers(90, np.iinfo(kind).max + 1, (16, 32)).astype(kind)
    weights = rng.choice([-127, 100, 127], (32, 8)).astype(np.int8)
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["a", "w"], ["y"])],
        "g",
        [helper.make_tensor_value_info("a", helper.np_dtype_to_tensor_dtype(a.dtype), ["n", 32])],
        [helper.make_tensor_value_info("y", TensorProto.INT32, ["n", 8])],
        [numpy_helper.from_array(weights, "w")],
    )
    opsets = [helper.make_opsetid("", 17)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    (theirs,) = session(model.SerializeToString()).run(None, {"a": a})
    assert np.array_equal(theirs, sums(a, weights, clipping=CLIPS_HERE)[0])
    assert (sums(a, weights)[1] > 0) == (kind == np.uint8)


@given(arrays(np.int8, (5, 3)))
def test_what_cannot_clip_never_does(weights):
    """255 is the worst input for either sign, and where it clips we said that it might."""
    for sign in (1, -1):
        worst = np.where(sign * weights > 0, 255, 0).astype(np.uint8)
        for column in range(3):
            made, _ = sums(worst[:, column][None], weights[:, [column]])
            true = worst[:, column].astype(int) @ weights[:, column].astype(int)
            if made[0, 0] != true:
                assert can_clip(weights)[:, column].any()
    assert not can_clip(np.clip(weights, -64, 64)).any()
    assert not can_clip(weights.view(np.uint8)).any()


@pytest.fixture(scope="module")
def floats(residual, digits):
    return export(residual, digits.fit.validation).model


def made(floats, digits, *names, **settings):
    small = apply(PASSES[names[0]](**settings), floats, digits.fit).model
    for name in names[1:]:
        small = apply(PASSES[name](), small, digits.fit).model
    return small


@pytest.mark.parametrize(
    ("names", "settings"),
    [
        (("static_int8",), {"bits": 8}),
        (("static_int8", "integer_operators", "shorten"), {"bits": 8}),
        (("static_int8", "integer_operators"), {"bits": 8, "per_channel": False}),
        (("static_int8", "integer_operators"), {"bits": 8, "signed": True}),
        (("dynamic_int8", "shorten"), {"bits": 8}),
    ],
)
def test_a_net_answers_to_the_bit_as_the_runtime_here(names, settings, floats, digits):
    """Windows, groups, zero points, biases and rounding: all but the clipping, on any machine."""
    small = made(floats, digits, *names, **settings)
    x = digits.test.x[:70]
    ours = IntegerPredictor(small, clipping=CLIPS_HERE)
    assert ours.clips != settings.get("signed", False)
    asked = predictor(small.SerializeToString())
    theirs = asked(x)
    if names[0] == "static_int8":
        assert np.array_equal(ours(x), theirs)
    else:  # ranges are those of one row then; the runtime multiplies scales in another order
        theirs = np.concatenate([asked(x[i : i + 1]) for i in range(len(x))])
        assert np.abs(ours(x) - theirs).max() < 1e-5


def test_clipped_pairs_are_counted_where_they_are(floats, digits):
    small = made(floats, digits, "static_int8", bits=8)
    bright = np.full_like(digits.test.x[:5], 16.0)
    clipping = IntegerPredictor(small)
    exact = IntegerPredictor(small, clipping=False)
    counts = clipping.clipped(bright)
    assert set(exact.clipped(bright).values()) == {0}
    changed = not np.array_equal(clipping(bright), exact(bright))
    assert changed <= (sum(counts.values()) > 0)


def test_seven_bits_need_no_simulation(floats, digits):
    small = made(floats, digits, "static_int8")
    assert not IntegerPredictor(small).clips
    assert IntegerPredictor(small)(digits.test.x[:0]).shape == (0, 10)


LOOPED = """
<ir_version: 8, opset_import: ["" : 17]>
net (float[n, 2] x) => (float[n, 2] p)
<float step = {0.1}, uint8 zero = {0}, int8[2, 2] w = {127, 1, 127, -1}, int64 times = {3},
 bool on = {1}, float fine = {0.001}, float nothing = {0}> {
    whole = QuantizeLinear (x, step, zero)
    sums = MatMulInteger (whole, w)
    floats = Cast <to = 1> (sums)
    h = Mul (floats, fine)
    more = QuantizeLinear (h, step, zero)
    others = MatMulInteger (more, w)
    also = Cast <to = 1> (others)
    start = Mul (also, nothing)
    z = Loop (times, on, start) <body = body (int64 i, bool b, float[n, 2] s)
        => (bool c, float[n, 2] t) { c = Identity (b)  t = Add (s, h) }>
    p = Softmax <axis = 1> (z)
}
"""


def test_what_a_loop_reads_of_the_sums_outside_is_there():
    net = IntegerPredictor(parser.parse_model(LOOPED), clipping=False)
    x = np.float32([[25.5, 25.5], [1, 2]])
    logits = 3 * np.float32(0.001) * (np.rint(x / np.float32(0.1)) @ [[127, 1], [127, -1]])
    made = np.exp(logits - logits.max(axis=1, keepdims=True))
    assert net(x) == pytest.approx(made / made.sum(axis=1, keepdims=True), abs=1e-5)


def test_of_sums_within_a_loop_nothing_is_said_of_avx2():
    inside = LOOPED.replace(
        "t = Add (s, h)", "u = MatMulInteger (whole, w) v = Cast <to = 1> (u) t = Add (s, v)"
    )
    net = IntegerPredictor(parser.parse_model(inside))
    assert net.sums
    assert net.unknown == ("MatMulInteger",)
