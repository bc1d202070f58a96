import numpy as np
import pytest

from toolkit.errors import RecipeError
from toolkit.explainers import columns
from toolkit.explainers.lime import DOUBLINGS, STABLE, Lime
from toolkit.explainers.neighbours import nearness
from toolkit.explainers.players import features, grid, words
from toolkit.explainers.surrogate import fit, sums
from toolkit.glossary import Data, Words

RNG = np.random.default_rng(0)


class Linear:
    def __init__(self, weights, shape):
        self.name, self.classes, self.shape, self.weights = "linear", 2, shape, weights

    def __call__(self, x):
        yes = 0.5 + x.reshape(len(x), -1).astype(np.float64) @ self.weights
        return np.stack([1 - yes, yes], axis=1).astype(np.float32)


class Curved(Linear):
    """Interactions of every order, and not alike on both sides."""

    def __call__(self, x):
        yes = 1 / (1 + np.exp(-3 * np.sin(3 * x.reshape(len(x), -1) @ self.weights)))
        return np.stack([1 - yes, yes], axis=1).astype(np.float32)


def table(n=60, p=6, **more):
    x = RNG.normal(2, 3, (n, p)).astype(np.float32)
    return Data(x, np.arange(n) % 2, ("no", "yes"), tuple("abcdefghijklmnop"[:p]), **more)


def pictures(side=8):
    x = RNG.uniform(0, 1, (10, side, side, 1)).astype(np.float32)
    return Data(x, np.arange(10) % 2, ("no", "yes"), kind="image")


def text(size):
    """A text of `size` distinct words."""
    known = Words(("", "?", *(f"w{i}" for i in range(size))), size)
    x = np.arange(2, size + 2, dtype=np.float32)[None]
    return Data(x, np.array([0]), ("no", "yes"), kind="text", words=known)


def test_a_linear_table_model_comes_back():
    """Of numbers kept: weights times the distance from the mean, their Shapley values as well."""
    data = table()
    weights = np.array([0.01, -0.02, 0.0, 0.005, 0.0, 0.03])
    found = Lime(samples=4000, bins=0)(Linear(weights, (6,)), features(data.x[0], data), 1)
    expected = weights * (data.x[0] - data.x.mean(axis=0))
    assert np.allclose(found.values, expected, atol=1e-5)
    assert found.facts["r2"] > 0.9999
    assert found.base == pytest.approx(0.5 + data.x.mean(axis=0) @ weights, abs=1e-5)


def test_bins_of_a_linear_model_have_a_closed_form():
    """The weight of a bin times the share outside it is w (mean in the bin - mean of all bins)."""
    from scipy.stats import truncnorm

    data = table(400)
    weights = np.array([0.01, -0.02, 0.0, 0.005, 0.0, 0.03])
    found = Lime()(Linear(weights, (6,)), features(data.x[0], data), 1)
    expected = []
    for j, w in enumerate(weights):
        values = data.x[:, j].astype(float)
        ends = np.percentile(values, [0, 25, 50, 75, 100])
        part = np.searchsorted(ends[1:-1], values)
        means = []
        for i in range(4):
            mean, spread = values[part == i].mean(), values[part == i].std()
            low, high = (ends[i] - mean) / spread, (ends[i + 1] - mean) / spread
            means.append(truncnorm.mean(low, high, mean, spread))
        expected.append(w * (means[part[0]] - np.mean(means)))
    assert (np.abs(found.values - expected) <= 5 * found.stderr + 1e-4).all()
    assert found.stderr.max() < 1e-3


def test_values_and_base_add_up_to_the_linear_model_at_the_row():
    """Base is the average row: nothing is lost where the linear model is right everywhere."""
    data = table(200, categories={1: ("x", "y", "z")})
    data.x[:, 1] = np.arange(200) % 3

    class Town(Linear):
        def __call__(self, x):
            yes = super().__call__(x) + 0.2 * np.array([-1, 1]) * (x[:, 1:2] == data.x[0, 1])
            return yes.astype(np.float32)

    weights = np.array([0.01, 0, 0.02, 0, 0.01, -0.01])
    players = features(data.x[0], data)
    found = Lime(samples=2000, bins=0)(Town(weights, (6,)), players, 1)
    assert found.values.sum() + found.base == pytest.approx(found.prediction, abs=1e-4)
    assert found.values[1] == pytest.approx(0.2 * (1 - 67 / 200), abs=1e-4)
    assert found.facts["labels"][1] == "b=x"


def test_a_linear_picture_model_comes_back():
    data = pictures()
    weights = RNG.normal(size=64) / 500
    players = grid(data.x[0], data)
    found = Lime()(Linear(weights, (8, 8, 1)), players, 1)
    moved = (data.x[0] - data.x.mean(axis=0)).reshape(-1) * weights
    expected = np.bincount(players.segments.reshape(-1), moved)
    assert np.allclose(found.values, expected, atol=1e-5)


def watched(model):
    """The model as lime asks it, and the rows that it was asked for."""
    rows = []

    def ask(x):
        rows.append(np.array(x))
        return model(np.asarray(x, np.float32))

    return ask, rows


@pytest.mark.parametrize("bins", [0, 4])
def test_the_same_samples_give_the_weights_of_lime_on_a_table(bins):
    from lime.lime_tabular import LimeTabularExplainer

    data = table(150, categories={2: ("x", "y", "z")})
    data.x[:, 2] = RNG.integers(0, 3, 150)
    model, row = Curved(np.linspace(-0.2, 0.3, 6), (6,)), data.x[3].astype(np.float64)
    theirs = LimeTabularExplainer(
        data.x.astype(np.float64),
        categorical_features=[2],
        discretize_continuous=bool(bins),
        feature_selection="none",
        random_state=0,
    )
    ask, rows = watched(model)
    answer = theirs.explain_instance(row, ask, labels=(1,), num_features=6, num_samples=800)
    every = columns.columns(data, bins)
    own = columns.coded(every, row[None])
    z = columns.seen(every, columns.coded(every, rows[0]), own)
    far = ((z - columns.seen(every, own, own)) ** 2).sum(axis=1)
    near = np.exp(-far / (2 * 0.75**2 * 6))
    y = model(rows[0].astype(np.float32))[:, 1].astype(np.float64)
    ours = fit(sums(z, y, near), penalty=1)
    expected = np.zeros(6)
    for player, weight in answer.local_exp[1]:
        expected[player] = weight
    assert np.abs(expected).max() > 0.01
    assert np.allclose(ours.weights, expected, atol=1e-7)
    assert float(ours.r2) == pytest.approx(answer.score, abs=1e-7)
    if not bins:  # of numbers lime's intercept is where they are at their mean, as ours
        assert float(ours.intercept) == pytest.approx(answer.intercept[1], abs=1e-7)


def test_bins_are_drawn_from_as_lime_draws_them():
    """Where no bin holds a single value lime is right: equal distributions, column by column."""
    from lime.lime_tabular import LimeTabularExplainer
    from scipy.stats import ks_2samp

    from toolkit.explainers.neighbours import spread

    data = table(150, 5, categories={2: ("x", "y", "z")})
    data.x[:, 2] = RNG.integers(0, 3, 150) ** 2 // 2
    theirs = LimeTabularExplainer(
        data.x.astype(np.float64), categorical_features=[2], random_state=0
    )
    ask, rows = watched(Linear(np.zeros(5), (5,)))
    theirs.explain_instance(data.x[0].astype(np.float64), ask, num_samples=4000)
    ours = columns.rows(columns.columns(data, 4), spread(4096, 5, np.random.default_rng(0)))
    for j in range(5):
        assert ks_2samp(rows[0][:, j], ours[:, j]).pvalue > 1e-3


def test_the_same_samples_give_the_weights_of_lime_on_a_picture():
    from lime import lime_image

    data = pictures()
    players = grid(data.x[0], data)
    model = Curved(RNG.normal(size=64) / 20, (8, 8, 1))
    ask, rows = watched(model)
    found = lime_image.LimeImageExplainer(feature_selection="none").explain_instance(
        data.x[0],
        ask,
        labels=(1,),
        top_labels=None,
        hide_color=players.background[0],
        num_samples=500,
        batch_size=500,
        segmentation_fn=lambda _: players.segments,
        random_seed=0,
    )
    there = rows[0] == data.x[0]
    z = np.stack(
        [there[:, players.segments == i].all(axis=(1, 2)) for i in range(len(players))], axis=1
    ).astype(np.float64)
    y = players.value(model, z > 0, 1)
    ours = fit(sums(z, y, nearness(z)), penalty=1)
    expected = np.zeros(len(players))
    for player, weight in found.local_exp[1]:
        expected[player] = weight
    assert np.abs(expected).max() > 0.01
    assert np.allclose(ours.weights, expected, atol=1e-7)
    assert float(ours.r2) == pytest.approx(found.score, abs=1e-6)


def test_the_same_samples_give_the_weights_of_lime_on_a_text():
    from lime.lime_text import LimeTextExplainer

    data = text(7)
    players = words(data.x[0], data)
    model = Curved(np.linspace(-0.2, 0.3, 7), (7,))
    seen = []

    def ask(texts):
        z = np.array([[str(i) in t.split() for i in range(7)] for t in texts])
        seen.append(z.astype(np.float64))
        yes = players.value(model, z, 1)
        return np.stack([1 - yes, yes], axis=1)

    found = LimeTextExplainer(
        split_expression=str.split, feature_selection="none", random_state=0
    ).explain_instance(" ".join("0123456"), ask, num_features=7, num_samples=500)
    ours = fit(sums(seen[0], players.value(model, seen[0] > 0, 1), nearness(seen[0])), penalty=1)
    expected = dict(found.local_exp[1])
    assert np.allclose(ours.weights, [expected[i] for i in range(7)], atol=1e-7)


@pytest.mark.parametrize("data", [pictures(6), text(10)], ids=["picture", "text"])
def test_all_combinations_are_what_many_samples_tend_to(data):
    """Exact weights beside sampled ones of the same players, within their standard errors."""
    make = words if data.kind == "text" else grid
    players = make(data.x[0], data, **({} if data.kind == "text" else {"patches": 9}))
    model = Curved(RNG.normal(size=data.x[0].size) / 3, data.x.shape[1:])
    exact = Lime()(model, players, 1)
    assert exact.facts["exact"]
    assert (exact.stderr == 0).all()
    # a ninth and a tenth player make 512 and 1,024 combinations, which 500 samples cannot hold
    drawn = [Lime(samples=500)(model, players, 1, seed=s) for s in range(20)]
    assert not drawn[0].facts["exact"]
    mean = np.mean([d.values for d in drawn], axis=0)
    error = np.std([d.values for d in drawn], axis=0, ddof=1) / 20**0.5
    # the row itself weighs more in 500 samples than in 4,096
    assert (np.abs(mean - exact.values) <= 4 * error + 0.01 * np.abs(exact.values).max()).all()


def test_standard_errors_tell_the_spread_of_runs():
    """The mean of squared errors is the variance over seeds; 30 seeds and 14 players of it."""
    data = table(200, 14)
    players, model = features(data.x[0], data), Curved(np.linspace(-0.1, 0.15, 14), (14,))
    runs = [Lime(samples=1000)(model, players, 1, seed=s) for s in range(30)]
    told = np.mean([r.stderr**2 for r in runs])
    true = np.var([r.values for r in runs], axis=0, ddof=1).mean()
    # chi-squared of about 30 x 14 degrees of freedom: within a quarter
    assert 0.75 < told / true < 1.35


def test_a_column_with_one_common_value_is_not_fed_as_zero():
    """lime 0.2.0.1 feeds 0 for a bin that holds a single value."""
    x = RNG.normal(size=(50, 3)).astype(np.float32)
    x[:, 1] = np.where(np.arange(50) < 40, 7.0, 8.0)
    data = Data(x, np.arange(50) % 2, ("no", "yes"), ("a", "b", "c"))
    fed = []

    class Watching(Linear):
        def __call__(self, rows):
            fed.append(rows[:, 1].copy())
            return super().__call__(rows)

    Lime(samples=4000)(Watching(np.array([0.01, 0.01, 0.01]), (3,)), features(x[0], data), 1)
    values = np.concatenate(fed)
    assert set(values) == {np.float32(7), np.float32(8)}
    assert (values == 7).mean() == pytest.approx(0.8, abs=0.01)


def test_a_stable_explanation_asks_until_it_is():
    """Few samples rank five clear players, and many cannot rank sixteen that are alike."""
    data = pictures(8)
    players = grid(data.x[0], data)
    moved = (data.x[0] - data.x.mean(axis=0)).reshape(-1)

    def model(sizes):
        share = np.bincount(players.segments.reshape(-1))[players.segments.reshape(-1)]
        weights = np.asarray(sizes)[players.segments.reshape(-1)] / share / moved
        rough = Curved(RNG.normal(size=64), (8, 8, 1))

        class Noisy(Linear):
            def __call__(self, x):
                return super().__call__(x) + 0.1 * (rough(x) - 0.5)

        return Noisy(weights, (8, 8, 1))

    clear = model([0.1] * 5 + [0.0] * 11)
    level = model(np.full(16, 0.02))
    once, until = Lime(samples=200), Lime(samples=200, stable=True)
    assert once(clear, players, 1).facts["stable"]
    assert until(clear, players, 1).evaluations <= 2 * 200 + 10
    found = until(level, players, 1)
    assert not found.facts["stable"]
    assert found.facts["stability"] < STABLE
    assert found.facts["samples"] == 2**DOUBLINGS * 200 + 1


def test_a_row_without_anything_to_see():
    """All black, an empty text, a constant column: nothing moves, and nothing is made up."""
    black = pictures()
    black.x[:] = 0
    empty = text(4)
    empty.x[:] = 0
    flat = table(40, 3)
    flat.x[:, 1] = 5
    for players, shape in (
        (grid(black.x[0], black), (8, 8, 1)),
        (words(empty.x[0], empty), (4,)),
    ):
        found = Lime(samples=400)(Curved(np.ones(int(np.prod(shape))), shape), players, 1)
        assert np.abs(found.values).max() < 1e-12
        assert found.facts["r2"] == 1
        assert found.facts["stable"]
    found = Lime(samples=400)(Curved(np.ones(3), (3,)), features(flat.x[0], flat), 1)
    assert abs(found.values[1]) < 1e-12
    assert np.abs(found.values).max() > 0


@pytest.mark.parametrize("patches", [9, 36], ids=["all combinations", "samples"])
def test_a_patch_that_is_what_hides_it_is_worth_nothing(patches):
    """To the bit, beside others that move; the fit without it is still right of a linear model."""
    data = pictures(6)
    data.x[:, :, :2] = 0.25
    players = grid(data.x[0], data, patches=patches)
    same = np.unique(players.segments[:, :2])
    found = Lime(samples=2000)(Curved(np.full(36, 0.1), (6, 6, 1)), players, 1)
    assert (found.values[same] == 0).all()
    assert (found.stderr[same] == 0).all()
    assert (np.array(found.facts["weights"])[same] == 0).all()
    assert (found.values != 0).sum() == len(players) - len(same)
    weights = RNG.normal(size=36) / 300
    moved = (data.x[0] - data.x.mean(axis=0)).reshape(-1) * weights
    found = Lime(samples=2000)(Linear(weights, (6, 6, 1)), players, 1)
    assert np.allclose(found.values, np.bincount(players.segments.reshape(-1), moved), atol=1e-5)


def test_a_group_that_never_changes_is_worth_nothing():
    from toolkit.explainers.choices import Choice, chosen

    flat = table(40, 4)
    flat.x[:, 1] = 5
    players = chosen(flat.x[0], flat, Choice(groups=(("both", ("c", "d")),)))
    found = Lime(samples=400)(Curved(np.full(4, 0.1), (4,)), players, 1)
    assert found.values[list(found.names).index("b")] == 0
    assert (found.values != 0).sum() == 2


@pytest.mark.parametrize("bins", [1, -1])
def test_bins_that_are_none(bins):
    with pytest.raises(RecipeError, match="quartiles"):
        Lime(bins=bins)


def test_it_says_nothing(capfd):
    data = pictures()
    Lime(samples=200)(Linear(np.zeros(64), (8, 8, 1)), grid(data.x[0], data), 1)
    said = capfd.readouterr()
    assert said.out == said.err == ""


def test_the_number_of_threads_decides_no_bit():
    from threadpoolctl import threadpool_limits

    data = table(p=16, n=200)
    x = np.tile(data.x, (1, 6)) + RNG.normal(size=(200, 96)).astype(np.float32)
    wide = Data(x, data.y, data.classes, tuple(map(str, range(96))))
    found = []
    for threads in (1, 2):
        with threadpool_limits(threads, "blas"):
            predict = Linear(np.linspace(-0.1, 0.1, 96), (96,))
            a = Lime(samples=2048)(predict, features(wide.x[0], wide), 1)
            found.append(a.values.tobytes())
    assert found[0] == found[1]
    assert a.facts["hidden"] == "random draws from each column of the table"
