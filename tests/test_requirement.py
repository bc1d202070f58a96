import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.errors import DataError, RecipeError
from toolkit.glossary import Data, Measurement
from toolkit.requirement import FIGURES, Requirement, required


def measured(**figures):
    return [
        Measurement("small", name.replace("__", " class:"), value, "%", 50, value - 5, value + 5)
        for name, value in figures.items()
    ]


FOUND = measured(accuracy=90, accuracy__cat=70, accuracy__dog=95, flips__cat=3)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("accuracy >= 90", ""),
        ("accuracy > 90", "has accuracy of 90, not > 90"),
        ("accuracy.low >= 90", "has the low end of accuracy of 85, not >= 90"),
        ("accuracy class:cat >= 80", "has accuracy class:cat of 70, not >= 80"),
        ("accuracy class:dog >= 80 %", ""),
        ("accuracy class:* >= 80", "has accuracy class:cat of 70, not >= 80"),
        ("flips class:*<=5", ""),
        ("flips.high class:* <= 5", "has the high end of flips class:cat of 8, not <= 5"),
        (
            "agreement >= 1",
            "has no agreement that was measured, of which agreement >= 1 is demanded",
        ),
    ],
)
def test_a_demand_is_met_or_says_why_not(text, says):
    assert required(text).miss("small", FOUND) == says


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("accuracy", "FIGURE >= NUMBER"),
        ("accuracy == 3", "FIGURE >= NUMBER"),
        ("acuracy >= 3", "did you mean accuracy"),
        ("accuracy.mean >= 3", "accuracy.low"),
        ("accuracy cat >= 3", "class:NAME"),
        ("accuracy >= nan", "FIGURE >= NUMBER"),
    ],
)
def test_what_is_no_demand_is_one_line(text, says):
    with pytest.raises(RecipeError, match=says) as caught:
        required(text)
    assert "\n" not in str(caught.value)


@given(
    st.sampled_from(FIGURES),
    st.sampled_from(["", " class:a b", " class:*", " slice:age=to 3.5"]),
    st.sampled_from([">=", "<=", ">", "<"]),
    st.floats(-1000, 1000).map(lambda v: round(v, 2)),
    st.sampled_from(["value", "low", "high"]),
)
def test_what_is_written_reads_back(figure, group, sign, limit, end):
    one = Requirement(figure + group, sign, limit, end)
    assert required(str(one)) == Requirement(figure + group, sign, float(f"{limit:g}"), end)


def test_a_class_with_brackets_is_no_pattern():
    found = [Measurement("small", "accuracy class:[ab]?", 50, "%", 9)]
    assert required("accuracy class:[ab]? >= 40").miss("small", found) == ""


def test_classes_and_columns_are_known_before_any_work():
    import numpy as np

    x, y = np.zeros((4, 2), np.float32), np.array([0, 1, 0, 1])
    data = Data(x, y, ("cat", "dog"), ("sex", "age"), categories={0: ("f", "m")})
    for good in ("accuracy", "flips class:*", "flips class:ca*", "flips slice:sex=f"):
        required(f"{good} < 3").fitting(data)
    required("accuracy slice:age=* > 1").fitting(data)
    with pytest.raises(RecipeError, match="did you mean cat"):
        required("flips class:cats < 3").fitting(data)
    with pytest.raises(RecipeError, match="choose one of f, m"):
        required("flips slice:sex=x < 3").fitting(data)
    with pytest.raises(DataError, match="did you mean sex"):
        required("flips slice:sexx=f < 3").fitting(data)
    assert required("flips slice:sex=f < 3").column() == "sex"
    assert required("flips class:cat < 3").column() is None
