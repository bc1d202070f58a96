import dataclasses

import numpy as np
import pytest

from toolkit.errors import MatchError, ModelError, RecipeError
from toolkit.glossary import Fit
from toolkit.models import build
from toolkit.models.derived import derived
from toolkit.models.keras_predictor import KerasPredictor
from toolkit.passes.distil import Distil
from toolkit.passes.students import student_of
from toolkit.passes.tuning import loss_of
from toolkit.predict import predictor
from toolkit.training import Settings, train


def test_the_better_of_base_and_large_net_teaches(mlp, digits):
    """A base that was never trained gets the large net, a trained one is not taught by less."""
    few = dataclasses.replace(digits.fit, train=digits.fit.train.rows(slice(0, 320)))
    facts = Distil(epochs=8)(build("mlp", few.train), few).facts
    assert (facts["teacher"], facts["student"]) == ("cnn-large", "base")
    assert facts["teacher_parameters"] > 10 * facts["student_parameters"]
    assert facts["student_parameters"] == mlp.count_params()
    losses = facts["history"]["loss"]
    assert losses[-1] < losses[0]
    facts = Distil(epochs=1)(mlp, few).facts
    assert (facts["teacher"], facts["student"]) == ("base", "base*0.5")
    assert "validation rows" in facts["skipped"]["cnn-large"]


def test_the_student_learns_the_teachers_answers(tabular, wine):
    """All weight on the teacher: the student comes nearer to it than it was."""
    untaught = build("tabular", wine.fit.train, seed=5)
    step = Distil(teacher="base", student="tabular", weight=1.0, epochs=20)(tabular, wine.fit, 5)
    x = wine.test.x
    wanted, before, after = (predictor(m)(x) for m in (tabular, untaught, step.model))
    assert np.abs(wanted - after).mean() < 0.5 * np.abs(wanted - before).mean()


def test_facts_tell_how_student_and_teacher_stand(tabular, wine):
    step = Distil(teacher="base", student="base*0.5", epochs=2)(tabular, wine.fit)
    held, facts = wine.fit.validation, step.facts
    own, other = (predictor(m)(held.x).argmax(axis=1) for m in (step.model, tabular))
    assert facts["validation_rows"] == len(held)
    assert facts["student_agreement"] == round(float((own == other).mean()), 4)
    assert facts["student_accuracy"] == round(float((own == held.y).mean()), 4)
    assert facts["teacher_accuracy"] == round(float((other == held.y).mean()), 4)
    assert facts["teacher_parameters"] == tabular.count_params()
    assert facts["student_bytes"] == 4 * step.model.count_params()


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


def test_the_soft_loss_is_that_of_keras():
    """On logits both give the same number, if keras.distillation is told its loss as an object."""
    import keras

    from toolkit.models.heads import softmax
    from toolkit.passes.tuning import softened

    rng = np.random.default_rng(1)
    teacher, student = rng.normal(size=(2, 8, 4)).astype(np.float32)
    kept = keras.distillation.LogitsDistillation(3.0, loss=keras.losses.KLDivergence())
    theirs = kept.compute_loss(teacher, student)
    soft = softened(softmax(teacher).astype(np.float32), 3.0)
    targets = np.concatenate([np.zeros((8, 4), np.float32), soft], axis=1)
    ours = np.asarray(loss_of(4, "logits", 3.0, 1.0)(targets, student)).mean()
    assert ours == pytest.approx(float(theirs), abs=1e-5)


@pytest.mark.parametrize(
    "wrong",
    [
        {"weight": 2.0},
        {"temperature": 0.0},
        {"epochs": -1},
        {"teacher": "cnn-lrge"},
        {"teacher": "none"},
        {"student": "base*0"},
        {"student": "base*half"},
        {"student": "base*99999999"},
        {"assistant": "base*101"},
        {"student": "base in 20 kilos"},
        {"assistant": "bse"},
    ],
)
def test_wrong_settings(wrong):
    with pytest.raises(RecipeError):
        Distil(**wrong)


def test_an_assistant_stands_between_and_teaches(tabular, wine):
    """All weight on who teaches: the student is bit for bit that of its assistant, taught alone."""
    told = {"weight": 1.0, "epochs": 2, "teacher": "base"}
    through = Distil(assistant="base*0.5", student="base*0.25", **told)(tabular, wine.fit)
    sizes = [through.facts[f"{role}_parameters"] for role in ("student", "assistant", "teacher")]
    assert sizes == sorted(sizes)
    assert len(set(sizes)) == 3
    assert 0 <= through.facts["assistant_agreement"] <= 1
    helper = Distil(student="base*0.5", **told)(tabular, wine.fit).model
    fit = dataclasses.replace(wine.fit, base=KerasPredictor(helper, "helper"))
    by_hand = Distil(student="base*0.25", **told)(tabular, fit)
    for a, b in zip(through.model.get_weights(), by_hand.model.get_weights(), strict=True):
        assert np.array_equal(a, b)
    with pytest.raises(RecipeError, match="size between"):
        Distil(assistant="base*0.25", student="base*0.5", **told)(tabular, wine.fit)


def test_born_again(tabular, wine):
    """A fresh student of the same build begins elsewhere; "base" goes on from the base."""
    shapes = [tuple(w.shape) for w in tabular.weights]
    moved = {}
    for student in ("fresh", "base"):
        net = Distil(teacher="base", student=student, epochs=1)(tabular, wine.fit).model
        assert [tuple(w.shape) for w in net.weights] == shapes
        last, first = (m.layers[-1].get_weights()[0] for m in (net, tabular))
        moved[student] = np.abs(last - first).mean()
    assert 0 < moved["base"] < moved["fresh"] / 3


def test_several_teachers_are_averaged(tabular, wine, tmp_path):
    from toolkit.passes.teachers import teacher_of

    other = build("tabular", wine.fit.train, seed=9)
    other.save(tmp_path / "other.keras")
    both, facts = teacher_of(f"base+{tmp_path / 'other.keras'}", tabular, wine.fit)
    x = wine.test.x
    by_hand = (predictor(tabular)(x) + predictor(other)(x)) / 2
    assert np.allclose(both(x), by_hand, atol=1e-6)
    assert facts["teacher_parameters"] == [tabular.count_params(), other.count_params()]


def test_unlabelled_rows_are_learnt_from_the_teacher_alone(tabular, wine):
    step = Distil(teacher="base", student="base*0.5", weight=1.0, epochs=2)
    more = dataclasses.replace(wine.fit, unlabelled=wine.test.x)
    one, two = step(tabular, wine.fit), step(tabular, more)
    assert (one.facts["training"]["unlabelled_rows"], two.facts["training"]["unlabelled_rows"]) == (
        0,
        len(wine.test),
    )
    assert any(
        (a != b).any()
        for a, b in zip(one.model.get_weights(), two.model.get_weights(), strict=True)
    )
    # no weight on the teacher: their loss, and so their gradient, is nothing
    import tensorflow as tf

    student = derived(tabular, width=0.5)
    soft = predictor(tabular)(wine.test.x)
    targets = np.concatenate([np.zeros_like(soft), soft], axis=1)
    with tf.GradientTape() as tape:
        loss = loss_of(3, "softmax", 2.0, 0.0)(targets, student(wine.test.x))
    assert float(np.abs(loss).max()) == 0
    gradients = tape.gradient(loss, student.trainable_weights)
    assert all(float(np.abs(g).max()) == 0 for g in gradients)


def test_students_that_are_given(tabular, wine, tmp_path):
    code = (
        "import keras\ndef net(shape, classes):\n    layers = keras.layers\n"
        "    return keras.Sequential([layers.Input(shape), layers.Dense(5, 'relu'), "
        "layers.Dense(classes, 'softmax')])\n"
    )
    (tmp_path / "mine.py").write_text(code)
    quarter = derived(tabular, width=0.25)
    quarter.save(tmp_path / "small.keras")
    for spec, size in (
        (f"{tmp_path / 'mine.py'}:net", 13 * 5 + 5 + 5 * 3 + 3),
        (str(tmp_path / "small.keras"), quarter.count_params()),
        ("base*0.25", quarter.count_params()),
        ("base", tabular.count_params()),
    ):
        net, facts = student_of(spec, tabular, wine.fit)
        assert facts["student"] == spec
        assert facts["student_parameters"] == net.count_params() == size
    _, facts = student_of("base in 8000 bytes", tabular, wine.fit)
    assert 8000 / 2 < facts["student_bytes"] <= 8000
    assert 0 < facts["student_width"] < 1
    # a file is taken with what it has learnt
    again, _ = student_of(str(tmp_path / "small.keras"), tabular, wine.fit)
    assert all(
        (a == b).all() for a, b in zip(again.get_weights(), quarter.get_weights(), strict=True)
    )


def test_a_student_that_does_not_fit_is_refused(tabular, mlp, wine, tmp_path):
    mlp.save(tmp_path / "other.keras")
    with pytest.raises(MatchError):
        Distil(teacher="base", student=str(tmp_path / "other.keras"))(tabular, wine.fit)
    with pytest.raises(ModelError, match="raise the limit"):
        Distil(teacher="base", student="base in 10 bytes")(tabular, wine.fit)


@pytest.fixture(scope="module")
def halved(digits, tmp_path_factory):
    """Below five or not, and the file of a net that has learnt it."""
    parts = [
        dataclasses.replace(data, y=(data.y > 4).astype(np.int64), classes=("low", "high"))
        for data in (digits.fit.train, digits.fit.validation, digits.fit.calibration)
    ]
    teacher, _ = train(build("cnn", parts[0]), Fit(*parts), Settings(epochs=15))
    path = tmp_path_factory.mktemp("teacher") / "teacher.keras"
    teacher.save(path)
    return Fit(*parts), path


@pytest.mark.parametrize("head", ["logits", "sigmoid", "softmax in a model of its own"])
def test_students_with_any_head_learn(head, halved, digits):
    import keras

    fit, teacher = halved
    layers = keras.layers
    last = {
        "logits": layers.Dense(2),
        "sigmoid": layers.Dense(1, "sigmoid"),
        "softmax in a model of its own": keras.Sequential([layers.Dense(2), layers.Softmax()]),
    }[head]
    start = [layers.Input((8, 8, 1)), layers.Rescaling(1 / 16), layers.Flatten()]
    base = keras.Sequential([*start, layers.Dense(16, "relu"), last])
    model = Distil(teacher=str(teacher), student="base", epochs=24)(base, fit).model
    assert (predictor(model)(digits.test.x).argmax(axis=1) == (digits.test.y > 4)).mean() > 0.8
