import pytest

from toolkit.glossary import Measurement
from toolkit.report.words import verdict
from toolkit.run import Run


def said(ratio=(1.0, 0.9, 1.1), drop=(0.2, -0.3, 0.7), small=500):
    m = (
        Measurement("base", "bytes", 1000, "B", 1),
        Measurement("small", "bytes", small, "B", 1),
        Measurement("small", "accuracy_drop", drop[0], "points", 99, drop[1], drop[2]),
        Measurement("small", "latency_ratio", ratio[0], "x", 31, ratio[1], ratio[2]),
    )
    return verdict(Run("t", "now", "compress", "base", "small", {}, measurements=m))


@pytest.mark.parametrize(
    ("ratio", "word"),
    [
        ((0.8, 0.7, 0.9), "faster, at"),
        ((0.8, 0.7, 1.01), "as fast"),
        ((0.99, 0.985, 0.995), "as fast"),
        ((1.2, 0.99, 1.3), "as fast"),
        ((1.2, 1.1, 1.3), "slower, at"),
    ],
)
def test_faster_only_when_the_whole_interval_is(ratio, word):
    assert word in said(ratio=ratio)


@pytest.mark.parametrize(
    ("drop", "word"),
    [
        ((0.2, -0.1, 0.5), "no loss of accuracy beyond chance"),
        ((0.2, 0.1, 0.5), "points of accuracy lost"),
        ((-0.2, -0.5, -0.1), "0.2 points of accuracy gained"),
    ],
)
def test_lost_only_when_the_interval_leaves_zero(drop, word):
    assert word in said(drop=drop)


def test_a_larger_file_is_called_larger():
    assert "2.0 times larger" in said(small=2000)
    assert "2.0 times smaller" in said(small=500)


def test_no_choice_is_said():
    run = Run("t", "now", "compress", "base", None, {})
    assert verdict(run).startswith("No candidate")


@pytest.mark.parametrize(
    ("cosine", "said"),
    [((0.8, 0.7, 0.9), "differ from those of base"), ((0.99, 0.98, 1.0), "are those of base")],
)
def test_reasons_differ_only_beyond_the_noise(cosine, said):
    m = (
        Measurement("small", "reason_cosine shapley", cosine[0], "", 12, cosine[1], cosine[2]),
        Measurement("base", "reason_floor shapley", 0.99, "", 12, 0.985, 0.995),
    )
    run = Run("t", "now", "explain", "base", "small", {}, measurements=m)
    assert said in verdict(run)


def test_a_last_bit_is_no_other_reason_where_there_is_no_noise():
    m = (
        Measurement("small", "reason_cosine shapley", 0.99999, "", 12, 0.99998, 0.999995),
        Measurement("base", "reason_floor shapley", 1.0, "", 12, 1.0, 1.0),
    )
    run = Run("t", "now", "explain", "base", "small", {}, measurements=m)
    assert "are those of base" in verdict(run)


def test_of_many_models_the_verdict_names_who_keeps_the_reasons():
    m = [Measurement("base", "reason_floor shapley", 0.99, "", 12, 0.98, 1.0)]
    for name, cosine, place in (("a", 0.995, 1.0), ("b", 0.8, 0.78), ("c", 0.9, 0.89)):
        m.append(Measurement(name, "reason_cosine shapley", cosine, "", 12, 0.7, cosine + 0.004))
        m.append(Measurement(name, "reason_place shapley", place, "", 12))
    text = verdict(Run("t", "now", "explain", "base", None, {}, measurements=tuple(m)))
    assert text.startswith("The reasons of a are those of base, as far as can be told. Those of")
    assert text.endswith("over 12 decisions by SHAP, b 0.780 and c 0.890.")


def compared(figures):
    """The verdict of models with a cosine, its upper end if any, and a share of drift."""
    m = [Measurement("base", "reason_floor shapley", 1.0, "", 12, 1.0, 1.0)]
    for name, (cosine, high, drift) in figures.items():
        low = None if high is None else cosine - 0.1
        m.append(Measurement(name, "reason_cosine shapley", cosine, "", 12, low, high))
        m.append(Measurement(name, "reason_drift shapley", drift, "", 12))
    return verdict(Run("t", "now", "explain", "base", None, {}, measurements=tuple(m)))


def test_of_two_models_each_has_its_own_sentence():
    same, other = compared({"copy": (1.0, 1.0, 0.0), "pruned": (0.2, 0.3, 0.5)}).split(". The")
    assert same.startswith("The reasons of copy are those of base")
    assert "1.0000" in same
    assert other.startswith(" reasons of pruned differ from those of base")
    assert "0.20" in other


def test_too_few_rows_tell_nothing_but_what_has_drifted():
    assert compared({"small": (0.2, None, 0.0)}).startswith(
        "Whether the reasons of small are those of base, so few rows do not tell: over 12"
    )
    assert "reasons of small differ" in compared({"small": (0.2, None, 0.5)})
    many = compared(dict.fromkeys("abc", (0.9, None, 0.0)))
    assert many == "Whether the reasons of a, b and c are those of base, so few rows do not tell."
