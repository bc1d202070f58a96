"""The laws that every explainer obeys; a new one is found here by itself."""

import numpy as np
import pytest

from toolkit.errors import MatchError, RecipeError
from toolkit.explainers import EXPLAINERS, players_for
from toolkit.glossary import Data

# deep looks into a Keras net, which these are not: tests/test_shaps.py
METHODS = sorted(set(EXPLAINERS) - {"deep"})
# no chance decides what partition asks, but its answers do: tests/test_shaps.py
DECIDED = {"partition"}
RNG = np.random.default_rng(0)
TABLE = Data(
    RNG.normal(size=(40, 14)).astype(np.float32),
    np.arange(40) % 3,
    ("a", "b", "c"),
    tuple(f"column {i}" for i in range(14)),
)
PICTURES = Data(
    RNG.uniform(0, 1, (12, 8, 8, 1)).astype(np.float32),
    np.arange(12) % 3,
    ("a", "b", "c"),
    kind="image",
)


class Net:
    """A softmax over sines of a linear map: smooth, not linear, and written in numpy."""

    def __init__(self, shape, strength=1.0):
        self.name, self.classes, self.shape = "net", 3, shape
        size = int(np.prod(shape))
        self.weights = strength * np.random.default_rng(1).normal(size=(size, 3)) / size**0.5
        self.seen = []

    def __call__(self, x):
        self.seen.append(x.dtype)
        z = 2 * np.sin(x.reshape(len(x), -1) @ self.weights)
        p = np.exp(z - z.max(axis=1, keepdims=True, initial=-np.inf))
        return (p / p.sum(axis=1, keepdims=True)).astype(np.float32)

    def gradients(self, x, target):
        p, z = self(x).astype(np.float64), x.reshape(len(x), -1) @ self.weights
        by_logit = p[:, [target]] * (np.eye(3)[target] - p) * 2 * np.cos(z)
        return (by_logit @ self.weights.T).reshape(x.shape).astype(np.float32)


def quick(method):
    return EXPLAINERS[method](samples=400)


def cases():
    return [(m, d) for m in METHODS for d in (TABLE, PICTURES)]


@pytest.fixture(params=cases(), ids=lambda c: f"{c[0]}-{c[1].kind}")
def case(request):
    method, data = request.param
    return quick(method), Net(data.x.shape[1:]), players_for(data.x[0], data)


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(case):
    explainer, net, players = case
    one, same, other = (explainer(net, players, 1, seed=s) for s in (3, 3, 4))
    assert one.values.tobytes() == same.values.tobytes()
    assert one.stderr.tobytes() == same.stderr.tobytes()
    alike = one.values.tobytes() == other.values.tobytes()
    assert alike == (explainer.method in DECIDED)


def test_global_random_state_stays(case):
    explainer, net, players = case
    np.random.seed(11)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    explainer(net, players, 1)
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002


def test_the_model_is_asked_in_float32_and_the_row_stays(case):
    explainer, net, players = case
    before = players.x.copy()
    found = explainer(net, players, 0)
    assert set(net.seen) == {np.dtype(np.float32)}
    assert np.array_equal(players.x, before)
    assert found.evaluations > 0
    assert found.values.shape == found.stderr.shape == (len(players),)


def test_an_unknown_class_is_refused(case):
    explainer, net, players = case
    for target in (-1, 3):
        with pytest.raises(MatchError, match="target"):
            explainer(net, players, target)


def test_a_constant_model_has_no_reasons(case):
    explainer, net, players = case
    net.weights *= 0
    found = explainer(net, players, 1)
    assert np.abs(found.values).max() < 1e-6
    assert found.base == pytest.approx(1 / 3, abs=1e-6)


def test_more_samples_do_not_change_what_is_estimated(case):
    """Two estimates apart by no more than five of their standard errors, most of the time."""
    explainer, net, players = case
    if explainer.method in DECIDED:
        pytest.skip("its error is no chance")
    rough = type(explainer)(samples=2000)(net, players, 1, seed=1)
    fine = type(explainer)(samples=16_000)(net, players, 1, seed=2)
    gap = np.abs(rough.values - fine.values)
    allowed = 5 * np.hypot(rough.stderr, fine.stderr) + 1e-9
    assert (gap <= allowed).mean() > 0.9
    assert fine.stderr.mean() < rough.stderr.mean()


@pytest.mark.parametrize("method", METHODS)
def test_settings_that_estimate_nothing(method):
    with pytest.raises(RecipeError):
        EXPLAINERS[method](samples=10)
    for tolerance in (0, 1, -0.1, float("nan")):
        with pytest.raises(RecipeError, match="tolerance"):
            EXPLAINERS[method](tolerance=tolerance)


@pytest.mark.parametrize("method", sorted(set(METHODS) - DECIDED))
def test_every_model_is_asked_the_same(method):
    """Pairing: two models see the same rows in the same order for the same seed."""

    class Watching(Net):
        def __call__(self, x):
            self.rows = [*getattr(self, "rows", []), x.tobytes()]
            return super().__call__(x)

    players = players_for(TABLE.x[0], TABLE)
    one, two = Watching((14,)), Watching((14,), 3.0)
    for net in (one, two):
        quick(method)(net, players, 1, seed=5)
    assert one.rows == two.rows
