import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.errors import RecipeError
from toolkit.passes import PASSES
from toolkit.recipe import Recipe, from_toml, known, load


@pytest.mark.parametrize("name", known())
def test_every_named_recipe_can_be_built_and_comes_back(name):
    recipe = load(name)
    assert recipe.name == name
    assert recipe.about
    assert from_toml(recipe.to_toml()) == recipe


@given(
    st.text(min_size=0, max_size=30),
    st.integers(1, 10**6),
    st.booleans(),
    st.floats(0.001, 100, allow_nan=False),
)
def test_toml_there_and_back(about, rows, channels, temperature):
    passes = (
        PASSES["distil"](temperature=temperature),
        PASSES["static_int8"](rows=rows, per_channel=channels),
    )
    recipe = Recipe("r", passes, about)
    assert from_toml(recipe.to_toml()) == recipe


def test_the_order_is_checked_when_it_is_built():
    with pytest.raises(RecipeError, match="keras passes first"):
        Recipe("r", (PASSES["float16"](), PASSES["distil"]()))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (("quantise_aware", "distil"), "undoes"),
        (("quantise_aware", "prune"), "prune, then quantise_aware"),
        (("cluster", "prune"), "prune, then cluster"),
        (("prune", "channels"), "channels, then prune"),
        (("prune", "distil"), "distil, then prune"),
        (("pack", "integer_operators"), "integer_operators, then pack"),
        (("shorten", "pack"), "pack, then shorten"),
        (("quantise_aware", "static_int8"), "one pass that rounds"),
    ],
)
def test_a_pass_that_undoes_another_is_refused(wrong, said):
    with pytest.raises(RecipeError, match=said):
        Recipe("r", tuple(PASSES[name]() for name in wrong))


@pytest.mark.parametrize(
    "names",
    [
        *(("quantise_aware", n) for n in ("float16", "dynamic_int8", "quantise_aware")),
        *(("quantise_aware", n) for n in ("equalise", "round_weights", "weights_int4")),
        *(("static_int8", n) for n in ("static_int8", "weights_int4")),
        *(("weights_int4", n) for n in ("static_int8", "dynamic_int8")),
        ("dynamic_int8", "dynamic_int8"),
        ("dynamic_int8", "static_int8"),
    ],
)
def test_rounding_what_was_rounded_is_refused(names):
    first, second = (PASSES[name]() for name in names)
    with pytest.raises(RecipeError, match=f"{names[1]} after {names[0]}.*leave one out"):
        Recipe("r", (first, second))


def test_rounding_again_is_refused_however_far_apart():
    names = ("static_int8", "float16", "static_int8")
    with pytest.raises(RecipeError, match="static_int8 after static_int8"):
        Recipe("r", tuple(PASSES[name]() for name in names))


def test_more_clusters_after_fewer_are_refused():
    few, many = PASSES["cluster"](clusters=8), PASSES["cluster"](clusters=64)
    with pytest.raises(RecipeError, match=r"cluster of 64 after cluster of 8.*at most 8"):
        Recipe("r", (few, many))
    assert Recipe("r", (many, few)).passes == (many, few)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "without a name"),
        ("name = 'a'", "no pass"),
        ("name = 'a/b'\n[[pass]]\nkind = 'float16'", "letters"),
        ("name = 'a'\n[[pass]]\nkind = 'flot16'", "did you mean float16"),
        ("name = 'a'\n[[pass]]\nkind = 'static_int8'\nrow = 3", "did you mean rows"),
        ("name = 'a'\n[[pass]]\nkind = 'static_int8'\nrows = 'x'", "type int"),
        ("name = 'a'\n[[pass]]\nkind = 'static_int8'\nrows = true", "type int"),
        ("name = [", "not TOML"),
        ("name = 'a'\npasses = 1", "no setting"),
    ],
)
def test_wrong_recipes(text, said):
    with pytest.raises(RecipeError, match=said) as caught:
        from_toml(text)
    assert "\n" not in str(caught.value)


def test_an_unknown_name_tells_the_near_ones():
    with pytest.raises(RecipeError, match="did you mean int8"):
        load("int-8")
    with pytest.raises(RecipeError, match="no recipe file"):
        load("no/such.toml")


def test_settings_have_plain_types():
    """TOML, the command line and Python use the same words, so defaults are scalars or no texts."""
    for kind in PASSES.values():
        for field in dataclasses.fields(kind):
            assert type(field.default) in (int, float, bool, str) or field.default == ()


def test_several_texts_are_a_list():
    text = 'name = "a"\n\n[[pass]]\nkind = "static_int8"\nkeep_float = ["x:0", "y\\"z"]\n'
    made = from_toml(text)
    assert made.passes[0].keep_float == ("x:0", 'y"z')
    assert made.to_toml() == text
    with pytest.raises(RecipeError, match="a list of texts"):
        from_toml(text.replace('"x:0"', "3"))


def test_one_training_may_follow_another(tabular, wine):
    """What a pass trained with a loss of its own, the next can copy and train on."""
    from toolkit.passes import apply

    model = tabular
    for name in ("channels", "distil"):
        settings = {"channels": {"steps": 1}, "distil": {"teacher": "base", "student": "base"}}
        model = apply(PASSES[name](epochs=1, **settings[name]), model, wine.fit).model
    assert model.outputs[0].shape[-1] == 3
