"""Rows with parts hidden, and a student that answers them as its teacher does."""

import numpy as np
import pytest

from toolkit.data import load
from toolkit.errors import RecipeError
from toolkit.explainers import EXPLAINERS
from toolkit.explanation import explain
from toolkit.fidelity import reasons
from toolkit.passes import PASSES, apply
from toolkit.passes.hiding import hiding
from toolkit.predict import predictor


def test_parts_of_pictures_are_the_mean_picture(digits):
    train = digits.fit.train
    hide = hiding(train, 0.5)
    x = train.x[:200]
    shown, hidden = hide(x, np.random.default_rng(0))
    assert shown[~hidden].tobytes() == x[~hidden].tobytes()
    assert 70 < hidden.sum() < 130
    mean = hide.background[0]
    patches = set()
    for row in np.flatnonzero(hidden):
        gone = [g for g in range(16) if (shown[row] == mean)[hide.groups == g].all()]
        kept = [g for g in range(16) if (shown[row] == x[row])[hide.groups == g].all()]
        assert set(gone) | set(kept) == set(range(16))
        assert gone
        patches.add(len(gone))
    # every number of hidden patches has the same chance
    assert len(patches) >= 14


def test_columns_come_from_one_row(wine):
    train = wine.fit.train
    hide = hiding(train, 0.9)
    shown, hidden = hide(train.x[:50], np.random.default_rng(1))
    for row in np.flatnonzero(hidden):
        other = shown[row] != train.x[row]
        assert any((r[other] == shown[row][other]).all() for r in hide.background)


def test_words_of_a_text_are_the_unknown_word(tmp_path):
    lines = [f"{label}\tthe film was {word} and {word} again" for label, word in
             (("good", "fine"), ("bad", "dull"))] * 40  # fmt: skip
    (tmp_path / "t.txt").write_text("\n".join(f"{line} {i}" for i, line in enumerate(lines)))
    train = load(tmp_path / "t.txt").fit.train
    hide = hiding(train, 0.9)
    shown, hidden = hide(train.x[:20], np.random.default_rng(0))
    changed = (shown != train.x[:20]).any(axis=1)
    assert changed.sum() > 5
    assert not changed[~hidden].any()
    unknown = train.words.unknown
    assert (shown[shown != train.x[:20]] == unknown).all()


def test_the_same_seed_hides_the_same(digits):
    hide = hiding(digits.fit.train, 0.5)
    one, two = (hide(digits.fit.train.x[:30], np.random.default_rng(3))[0] for _ in range(2))
    assert one.tobytes() == two.tobytes()


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1])
def test_a_share_that_cannot_be(share):
    with pytest.raises(RecipeError, match="hidden"):
        PASSES["distil_reasons"](hidden=share)


def test_reasons_are_kept_better_than_without(cnn, digits):
    """The same student, epochs and seed; benchmarks/distilling_reasons.py measures it."""
    base = predictor(cnn, "base")
    settings = {"teacher": "base", "student": "mlp", "epochs": 12}
    cosines = {}
    for name in ("distil", "distil_reasons"):
        small = predictor(apply(PASSES[name](**settings), cnn, digits.fit).model, name)
        asked = explain(
            [base, small], EXPLAINERS["lime"](samples=800), digits.test, range(20),
            background=digits.fit.train,
        )  # fmt: skip
        found = {m.name: m.value for m in reasons(asked, "base", name)}
        cosines[name] = found["reason_cosine lime"]
    assert cosines["distil_reasons"] > cosines["distil"], cosines
