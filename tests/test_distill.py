import numpy as np
import pytest

from toolkit.errors import RecipeError
from toolkit.models import build
from toolkit.passes.distill import Distill
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
    step = Distill(temperature=3.0, weight=0.25)
    ours = np.asarray(step._loss(3)(np.concatenate([hard, soft], axis=1), logits))
    p, q = softmax(logits), softmax(logits / 3.0)
    by_hand = -0.75 * (hard * np.log(p)).sum(1) + 0.25 * 9 * (soft * np.log(soft / q)).sum(1)
    assert np.allclose(ours, by_hand, atol=1e-5)


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
