import numpy as np
import pytest

from toolkit.errors import RecipeError
from toolkit.models import build
from toolkit.passes.distill import Distill
from toolkit.passes.tuning import loss_of
from toolkit.predict import predictor


def test_a_small_base_gets_a_larger_teacher(mlp, digits):
    step = Distill(epochs=5, teacher_epochs=3)(mlp, digits.fit)
    facts = step.facts
    assert facts["teacher"] == "cnn-large"
    assert facts["student"] == "base"
    assert facts["teacher_parameters"] > 10 * facts["student_parameters"]
    assert facts["student_parameters"] == mlp.count_params()
    losses = facts["history"]["loss"]
    assert losses[-1] < losses[0]


def test_the_student_learns_the_teachers_answers(tabular, wine):
    """All weight on the teacher: the student comes nearer to it than it was."""
    untaught = build("tabular", wine.fit.train, seed=5)
    step = Distill(teacher="base", student="tabular", weight=1.0, epochs=20)(tabular, wine.fit, 5)
    x = wine.test.x
    wanted, before, after = (predictor(m)(x) for m in (tabular, untaught, step.model))
    assert np.abs(wanted - after).mean() < 0.5 * np.abs(wanted - before).mean()


def test_the_loss_is_hintons(digits):
    """Against the formula with logarithms in numpy."""
    from toolkit.models.heads import softmax

    rng = np.random.default_rng(0)
    logits = rng.normal(size=(6, 3)).astype(np.float32)
    soft = softmax(rng.normal(size=(6, 3))).astype(np.float32)
    hard = np.eye(3, dtype=np.float32)[[0, 1, 2, 0, 1, 2]]
    targets = np.concatenate([hard, soft], axis=1)
    ours = np.asarray(loss_of(3, "logits", 3.0, 0.25)(targets, logits))
    by_softmax = np.asarray(
        loss_of(3, "softmax", 3.0, 0.25)(targets, softmax(logits).astype(np.float32))
    )
    p, q = softmax(logits), softmax(logits / 3.0)
    by_hand = -0.75 * (hard * np.log(p)).sum(1) + 0.25 * 9 * (soft * np.log(soft / q)).sum(1)
    assert np.allclose(ours, by_hand, atol=1e-5)
    assert np.allclose(by_softmax, by_hand, atol=1e-5)


def test_the_same_seed_gives_the_same_student(tabular, wine):
    step = Distill(epochs=2, teacher_epochs=1)
    one, two = (step(tabular, wine.fit, 3).model.get_weights() for _ in range(2))
    assert all((a == b).all() for a, b in zip(one, two, strict=True))


@pytest.mark.parametrize(
    "wrong",
    [
        {"weight": 2.0},
        {"temperature": 0.0},
        {"teacher": "cnn-lrge"},
        {"teacher": "base", "student": "base"},
    ],
)
def test_wrong_settings(wrong):
    with pytest.raises(RecipeError):
        Distill(**wrong)


@pytest.mark.parametrize("head", ["logits", "sigmoid", "softmax in a model of its own"])
def test_students_with_any_head_learn(head, digits):
    """Two classes: below five or not."""
    import dataclasses

    import keras

    from toolkit.glossary import Fit
    from toolkit.predict import predictor

    def halved(data):
        return dataclasses.replace(data, y=(data.y > 4).astype(np.int64), classes=("low", "high"))

    fit = Fit(
        *(halved(d) for d in (digits.fit.train, digits.fit.validation, digits.fit.calibration))
    )
    layers = keras.layers
    last = {
        "logits": layers.Dense(2),
        "sigmoid": layers.Dense(1, "sigmoid"),
        "softmax in a model of its own": keras.Sequential([layers.Dense(2), layers.Softmax()]),
    }[head]
    start = [layers.Input((8, 8, 1)), layers.Rescaling(1 / 16), layers.Flatten()]
    base = keras.Sequential([*start, layers.Dense(16, "relu"), last])
    model = Distill(epochs=8, teacher_epochs=4)(base, fit).model
    assert (predictor(model)(digits.test.x).argmax(axis=1) == (digits.test.y > 4)).mean() > 0.8
