"""Who plays and what hides them, as chosen: right, said, and refused where data have no such."""

import numpy as np
import pytest

from toolkit.cli import options
from toolkit.errors import DataError, RecipeError
from toolkit.explainers import EXPLAINERS
from toolkit.explainers.choices import HIDDEN, PLAYERS, Choice, chosen
from toolkit.explainers.onehot import onehot
from toolkit.glossary import Data, Words

RNG = np.random.default_rng(0)


def jobs(n=40):
    """Two one-hot columns in five, one of them named with _, and a number between them."""
    job, sex = RNG.integers(0, 3, n), RNG.integers(0, 2, n)
    age = RNG.normal(size=n)
    x = np.column_stack([np.eye(3)[job], age, np.eye(2)[sex]]).astype(np.float32)
    names = ("job=clerk", "job=cook", "job=none", "age_now", "sex_f", "sex_m")
    return Data(x, np.arange(n) % 2, ("no", "yes"), names)


def pictures(side=8, channels=3):
    x = RNG.random((12, side, side, channels)).astype(np.float32)
    return Data(x, np.arange(12) % 2, ("no", "yes"), kind="image")


def text():
    words = Words(("", "[UNK]", "good", "bad"), 4)
    x = np.float32([[2, 3, 0, 0], [3, 3, 2, 0]])
    return Data(x, np.arange(2), ("no", "yes"), kind="text", words=words)


class Additive:
    """p(yes) = 0.5 + x.w: the value of a player is its weights times its distance from the mean."""

    name, classes = "additive", 2

    def __init__(self, shape):
        self.shape = shape
        self.w = np.random.default_rng(2).normal(size=int(np.prod(shape))) / 1000

    def __call__(self, x):
        p = 0.5 + x.reshape(len(x), -1).astype(np.float64) @ self.w
        return np.stack([1 - p, p], axis=1)


@pytest.mark.parametrize("method", ["shapley", "kernel", "partition"])
def test_a_one_hot_column_is_one_player(method):
    data = jobs()
    players = chosen(data.x[0], data, Choice(players="groups"))
    assert players.names == ("job", "age_now", "sex")
    net = Additive((6,))
    found = EXPLAINERS[method]()(net, players, 1)
    apart = net.w * (data.x[0].astype(np.float64) - data.x.mean(axis=0))
    by_hand = [apart[:3].sum(), apart[3], apart[4:].sum()]
    assert np.allclose(found.values, by_hand, atol=1e-6)
    assert found.names == players.names


def test_lime_hides_groups_together():
    data = jobs()
    players = chosen(data.x[0], data, Choice(players="groups"))
    found = EXPLAINERS["lime"]()(Additive((6,)), players, 1)
    exact = EXPLAINERS["shapley"]()(Additive((6,)), players, 1)
    # of an additive game a linear model is all there is
    assert found.facts["exact"]
    assert np.allclose(found.values, exact.values, rtol=0.02, atol=1e-6)


def test_groups_are_found_only_where_it_is_sure():
    data = jobs()
    assert onehot(data) == {"job": (0, 1, 2), "sex": (4, 5)}
    # scaled columns still have two values and one that is higher
    scaled = Data((data.x - 0.3) * 2, data.y, data.classes, data.features)
    assert onehot(scaled) == onehot(data)
    for row, column, value in ((0, 1, 1), (0, 0, 0.5)):
        x = data.x.copy()
        x[row, :3] = [1, 0, 0]
        x[row, column] = value
        unsure = Data(x, data.y, data.classes, data.features)
        assert onehot(unsure) == {"sex": (4, 5)}
    assert onehot(Data(data.x, data.y, data.classes)) == {}


def test_groups_that_are_given():
    data = jobs()
    named = Choice(groups=(("who", ("age_now", "sex_m")),))
    players = chosen(data.x[0], data, named)
    # sex is no longer whole, so it is not found
    assert players.names == ("job", "who", "sex_f")
    assert players.groups.tolist() == [0, 0, 0, 1, 2, 1]
    for groups, said in (
        ((("who", ("aje_now",)),), "did you mean age_now"),
        ((("a", ("sex_f",)), ("b", ("sex_f",))), "one group a column"),
        ((("age_now", ("sex_f",)),), "and a column of that name"),
        # what it is worth would stand beside what the column of its name held
        ((("age_now", ("age_now", "sex_f")),), "and a column of that name"),
    ):
        with pytest.raises(DataError, match=said):
            chosen(data.x[0], data, Choice(groups=groups))


def test_a_group_that_is_given_twice_loses_no_column():
    data = jobs()
    twice = Choice(groups=(("who", ("age_now",)), ("who", ("sex_m",))))
    with pytest.raises(RecipeError, match="write --group who=age_now,sex_m"):
        chosen(data.x[0], data, twice)


def test_without_a_choice_nothing_changes():
    for data in (jobs(), pictures(), text()):
        from toolkit.explainers import players_for

        usual, mine = players_for(data.x[0], data), chosen(data.x[0], data, Choice())
        assert usual.names == mine.names
        assert np.array_equal(usual.groups, mine.groups)
        assert np.array_equal(usual.background, mine.background)
        assert usual.hidden == mine.hidden


def test_pictures_are_cut_as_chosen():
    data = pictures()
    assert len(chosen(data.x[0], data, Choice(players="grid", patches=4))) == 4
    pixels = chosen(data.x[0], data, Choice(players="pixels"))
    assert len(pixels) == 64
    assert pixels.names[-1] == "pixel 64"
    assert (pixels.groups[2, 3] == 2 * 8 + 3).all()
    half = data.x[0].copy()
    half[:, :4] = 0
    half[:, 4:] = 1
    found = chosen(half, data, Choice(players="superpixels", patches=9)).segments
    # no region crosses the edge between black and white
    assert not set(found[:, :4].reshape(-1)) & set(found[:, 4:].reshape(-1))
    large = pictures(72, 1)
    with pytest.raises(RecipeError, match="5184 pixels"):
        chosen(large.x[0], large, Choice(players="pixels"))


def test_every_way_of_hiding_is_what_it_says():
    data = pictures()
    x = data.x[0]
    found = {way: chosen(x, data, Choice(hidden=way)) for way in ("background", "blur", "mean")}
    assert np.array_equal(found["background"].background, data.x)
    assert found["background"].hidden == "12 rows of the background"
    assert np.allclose(found["mean"].background[0], data.x.mean(axis=0))
    assert found["blur"].background.shape == (1, 8, 8, 3)
    assert found["blur"].background.std() < 0.5 * x.std()
    grey = chosen(x, data, Choice(hidden="colour")).background[0]
    assert np.allclose(grey, data.x.mean(axis=(0, 1, 2)), atol=1e-6)
    red = chosen(x, data, Choice(hidden="colour", colour=(1, 0, 0)))
    assert (red.background == np.float32([1, 0, 0])).all()
    assert red.hidden == "one colour"
    with pytest.raises(RecipeError, match="a colour of 2 values"):
        chosen(x, data, Choice(hidden="colour", colour=(1, 0)))
    words = chosen(text().x[0], text(), Choice(hidden="mask"))
    assert words.background.tolist() == [[1, 1, 0, 0]]


def test_the_mean_row_has_a_category_that_exists():
    x = np.float32([[0, 1], [2, 3], [2, 5]])
    data = Data(x, np.arange(3) % 2, ("no", "yes"), ("c", "n"), categories={0: ("a", "b", "c")})
    players = chosen(x[0], data, Choice(hidden="mean"))
    assert players.background.tolist() == [[2, 3]]
    assert players.hidden == "the mean row"


def test_what_data_do_not_have_is_refused_with_what_they_have():
    for data in (jobs(), pictures(), text()):
        for players, kind in PLAYERS.items():
            if kind != data.kind:
                with pytest.raises(RecipeError, match=f"players {players} of {data.kind}"):
                    chosen(data.x[0], data, Choice(players=players))
        for hidden, kinds in HIDDEN.items():
            if data.kind not in kinds:
                with pytest.raises(RecipeError, match=f"hidden {hidden} of {data.kind}"):
                    chosen(data.x[0], data, Choice(hidden=hidden))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"players": "gird"}, "did you mean grid"),
        ({"hidden": "blurr"}, "did you mean blur"),
        ({"players": "grid", "groups": (("a", ("b",)),)}, "players groups"),
        ({"patches": 0}, "0 patches"),
        ({"patches": 100_000}, "100000 patches; 1 to 4096"),
        ({"colour": (1.0,)}, "hidden colour"),
    ],
)
def test_no_choice(settings, said):
    with pytest.raises(RecipeError, match=said):
        Choice(**settings)


def test_a_choice_on_the_command_line_and_back_from_a_run():
    from dataclasses import asdict
    from json import dumps, loads

    one = options.choice("groups", ["job=job=clerk,job=cook"], "", 16)
    assert one.groups == (("job", ("job=clerk", "job=cook")),)
    red = options.choice("", None, "colour=1,0,0", 9)
    for choice in (one, red, Choice()):
        assert Choice.told(loads(dumps(asdict(choice)))) == choice
    for group, hidden in ((["job"], ""), (None, "colour=red")):
        with pytest.raises(RecipeError, match="correct it"):
            options.choice("", group, hidden, 16)
