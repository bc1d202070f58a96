"""Zeros asked for are zeros in the file, layer by layer, and later passes do not lose them."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

from toolkit import sparsity
from toolkit.errors import RecipeError
from toolkit.exporting import export
from toolkit.glossary import Step
from toolkit.models.graph import copied
from toolkit.passes import PASSES, Pass, apply
from toolkit.passes.prune import Prune
from toolkit.predict import predictor


def final(model, digits, *names):
    """The .onnx at the end of a chain."""
    small = export(model, digits.fit.validation).model
    for name in (*names, "pack", "shorten"):
        small = PASSES[name]()(small, digits.fit).model
    return small


@pytest.mark.parametrize("quantiser", [(), ("float16",), ("static_int8",)])
def test_every_layer_is_as_sparse_in_the_file(quantiser, sparse, digits):
    ours = sparsity.kernels(sparse.model)
    theirs = sparsity.kernels(final(sparse.model, digits, *quantiser))
    assert [k.shape for k in ours.values()] == [k.shape for k in theirs.values()]
    for (name, mine), stored in zip(ours.items(), theirs.values(), strict=True):
        # TFMOT keeps round(n * 0.4) weights of a kernel
        kept = mine.size if "depthwise" in name else round(mine.size * 0.4)
        assert np.count_nonzero(mine) == kept
        assert sparse.facts["sparsity"][name] == round(1 - kept / mine.size, 4)
        # small weights may round to 0 as well, but no zero is lost
        assert not stored[mine == 0].any()
        assert quantiser == ("static_int8",) or np.count_nonzero(stored) == kept


def test_the_smallest_weights_go(tabular, wine):
    """Hardly trained, what stays is the larger half of each kernel, as it was."""
    step = Prune(epochs=1, rate=1e-12, teacher="none")(tabular, wine.fit)
    for before, after in zip(tabular.layers, step.model.layers, strict=True):
        if not hasattr(before, "kernel"):
            continue
        kernel = before.kernel.numpy()
        order = np.argsort(np.abs(kernel), axis=None)
        expected = kernel.ravel().copy()
        expected[order[: kernel.size - round(kernel.size * 0.5)]] = 0
        assert np.allclose(after.kernel.numpy().ravel(), expected, atol=1e-9)


@pytest.fixture(scope="module")
def halved(residual, digits):
    return apply(Prune(pattern="2:4", epochs=1), residual, digits.fit)


def fours(kernel):
    """Four inputs in a row (n, 4), for each output and place of a kernel (outputs, inputs, ...)."""
    return np.moveaxis(kernel, 1, -1).reshape(-1, 4)


def test_two_of_four_inputs_stay(halved, digits):
    files = sparsity.kernels(final(halved.model, digits))
    layers = [halved.model.get_layer(n) for n in ("conv_b", "conv_c", "classes")]
    stored = {k.shape: k for k in files.values()}
    for layer in layers:
        kernel = layer.kernel.numpy()  # (..., inputs, outputs)
        grouped = np.moveaxis(kernel, -2, -1).reshape(-1, 4)
        assert (np.count_nonzero(grouped, axis=1) == 2).all()
        in_file = stored[np.moveaxis(kernel, (-1, -2), (0, 1)).shape]
        assert (np.count_nonzero(fours(in_file), axis=1) == 2).all()
        assert sparsity.two_of_four(in_file)
    assert not sparsity.two_of_four(np.ones((1, 4), np.float32))


def test_what_is_left_out_is_said(halved, sparse):
    assert set(halved.facts["skipped"]) == {"conv_a", "depthwise"}
    assert "sums over 1 inputs" in halved.facts["skipped"]["conv_a"]
    assert sparse.facts["skipped"] == {"depthwise": "DepthwiseConv2D is not pruned"}


def test_pruning_again_keeps_the_zeros_and_the_pattern(halved, digits):
    again = apply(Prune(sparsity=0.7, epochs=1), halved.model, digits.fit)
    before, after = (sparsity.kernels(m) for m in (halved.model, again.model))
    for name, kernel in after.items():
        assert not kernel[before[name] == 0].any()
        assert sparsity.two_of_four(kernel) or not sparsity.two_of_four(before[name])
        if "depthwise" not in name:
            assert np.count_nonzero(kernel) == round(kernel.size * 0.3)
    less = Prune(sparsity=0.3, epochs=1)(halved.model, digits.fit)
    assert less.facts["skipped"]["conv_b"] == "0.50 of it is zeros already"
    for name, kernel in sparsity.kernels(less.model).items():
        assert not kernel[before[name] == 0].any()


def test_a_pass_that_undoes_it_is_seen(sparse, digits):
    @dataclass(frozen=True, kw_only=True)
    class Careless(Pass):
        stage: ClassVar = "keras"

        def __call__(self, model, fit, seed=0):
            moved = copied(model)
            moved.set_weights([w + 0.01 for w in model.get_weights()])
            return Step(moved, {})

    facts = apply(Careless(), sparse.model, digits.fit).facts
    assert set(facts["sparsity"].values()) == {0.0}


def test_it_still_classifies(cnn, digits):
    small = Prune(epochs=4)(cnn, digits.fit).model
    answers = predictor(small)(digits.test.x).argmax(axis=1)
    assert (answers == digits.test.y).mean() > 0.8


@pytest.mark.parametrize(
    "wrong",
    [{"sparsity": 1.0}, {"pattern": "2:5"}, {"epochs": -1}, {"rate": 0.0}, {"teacher": "bse"}],
)
def test_wrong_settings(wrong):
    with pytest.raises(RecipeError):
        Prune(**wrong)


def test_a_net_that_encodes_a_column(wine):
    """The layer asks for the width of its rows, of which tf_keras forgets what it can."""
    from keras import Input, Model, layers

    rows = Input((13,))
    codes = layers.CategoryEncoding(16, output_mode="one_hot")(rows[:, :1])
    joined = layers.Concatenate()([layers.Rescaling(0.01)(rows[:, 1:]), codes])
    net = Model(rows, layers.Dense(3, "softmax", name="classes")(joined))
    step = Prune(epochs=1)(net, wine.fit)
    assert sparsity.zeros(step.model.get_layer("classes").kernel.numpy()) >= 0.49
