"""What compression changed: the attribution of a difference is the difference of attributions."""

import numpy as np
import pytest

from toolkit.explainers import EXPLAINERS
from toolkit.explanation import explain
from toolkit.fidelity.difference import Difference, Remembered
from toolkit.predict import predictor


@pytest.fixture(scope="module")
def pair(frontier):
    return [predictor(a.path, a.name) for a in (frontier.base, frontier.candidates[1])]


@pytest.fixture(scope="module")
def quick():
    return {
        "shapley": EXPLAINERS["shapley"](samples=800),
        "lime": EXPLAINERS["lime"](samples=800),
    }


@pytest.mark.parametrize("method", ["shapley", "lime"])
def test_it_is_the_difference_of_both(pair, quick, method, digits):
    base, small = pair
    found = explain(
        [base, small, Difference(base, small)], quick[method], digits.test, [0, 4],
        background=digits.fit.train,
    )  # fmt: skip
    for row in (0, 4):
        ours, theirs, changed = [a for a in found if a.row == row]
        assert changed.subject == "base - int8"
        assert changed.values == pytest.approx(ours.values - theirs.values, abs=1e-9)
        assert changed.prediction == pytest.approx(ours.prediction - theirs.prediction)
        assert np.abs(changed.values).max() > 1e-5


@pytest.mark.parametrize("method", ["shapley", "lime"])
def test_shared_questions_leave_far_smaller_errors(pair, quick, method, digits):
    base, small = pair
    found = explain(
        [base, small, Difference(base, small)], quick[method], digits.test, range(4),
        background=digits.fit.train,
    )  # fmt: skip
    own = {s: np.mean([a.stderr for a in found if a.subject == s]) for s in (base.name, small.name)}
    changed = np.mean([a.stderr for a in found if a.subject == "base - int8"])
    apart = np.hypot(*own.values())
    assert changed < apart / 3


def test_exact_values_of_a_difference_need_no_error(wine, tabular):
    from toolkit.explainers import Players

    net = predictor(tabular, "net")

    class Half:
        name, classes, shape = "half", net.classes, net.shape

        def __call__(self, x):
            return np.float32(0.5) * net(x) + np.float32(0.5 / self.classes)

    columns = 5
    groups = np.arange(13) % columns
    rows = wine.fit.train.x[:20]
    few = Players(tuple("abcde"), wine.test.x[0], groups, rows)
    exact = EXPLAINERS["shapley"]()
    changed = exact(Difference(net, Half()), few, 1)
    assert not changed.stderr.any()
    assert changed.values == pytest.approx(exact(net, few, 1).values / 2, abs=1e-6)


def test_what_was_asked_is_not_computed_again(pair, quick, digits):
    base, small = pair
    asked = []

    class Counting:
        name, classes, shape = base.name, base.classes, base.shape

        def __call__(self, x):
            asked.append(len(x))
            return base(x)

        def masked(self, told):
            asked.append(len(told.rows()))
            return base.masked(told)

    counting = Remembered(Counting())
    plain = explain([base, small, Difference(base, small)], quick["shapley"], digits.test, [3, 5],
                    background=digits.fit.train)  # fmt: skip
    remembered = Remembered(small)
    found = explain(
        [counting, remembered, Difference(counting, remembered)], quick["shapley"],
        digits.test, [3, 5], background=digits.fit.train,
    )  # fmt: skip
    once = sum(a.evaluations for a in found if a.subject == base.name)
    # the target of each row is asked for once more
    assert sum(asked) <= once + 2
    for a, b in zip(plain, found, strict=True):
        assert a.values.tobytes() == b.values.tobytes()


def test_memory_of_answers_is_bounded(monkeypatch):
    from toolkit.fidelity import difference

    monkeypatch.setattr(difference, "_BYTES", 100)

    class Told:
        name, classes, shape = "told", 2, (1,)

        def __call__(self, x):
            return np.concatenate([x, 1 - x], axis=1)

    told = Remembered(Told())
    for value in range(50):
        x = np.full((5, 1), value / 50, np.float32)
        assert told(x).tobytes() == Told()(x).tobytes()
    assert len(told._known) <= 2
