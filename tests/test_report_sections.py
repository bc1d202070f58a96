"""Sections of the explanation and reasons pages that appear when a Run has what they show."""

import dataclasses
import re

import numpy as np
import pytest

from toolkit import report
from toolkit.glossary import (
    Attribution,
    Decision,
    Drift,
    Flip,
    Measurement,
)
from toolkit.report import cards, naming
from toolkit.run import Run, from_json

DATA = {
    "name": "d",
    "kind": "tabular",
    "classes": ["no", "yes"],
    "features": ["age", "pay"],
    "categories": {},
    "rows": {"test": 100},
    "scale": 1.0,
}
MACHINE = {"processor": "p", "cores": 2, "system": "s", "features": []}


def decision(row, flip=False):
    base = np.float32([0.2, 0.8])
    small = base[::-1].copy() if flip else base
    x = np.float32([30 + row, 2.5])
    return Decision(row, x, row % 2, ("age", "pay"), None, {"base": base, "int8": small})


def attribution(subject, row, values):
    values = np.array(values)
    return Attribution(
        "shapley", subject, row, values, 0 * values, 0.5, 0.5 + values.sum(), 1, 9, 0, True
    )


def measured(subject, name, value, low=None, high=None, *, unit="", n=100):
    return Measurement(subject, name, value, unit, n, low, high)


@pytest.fixture
def plain():
    """Six rows explained for two models, of which row 3 was decided for other reasons."""
    rows = range(6)
    rng = np.random.default_rng(0)
    ours = {r: rng.normal(0.1, 0.02, 2) for r in rows}
    theirs = {r: v * [1, -1] if r == 3 else v + 0.001 for r, v in ours.items()}
    return Run(
        "a title",
        "2026-01-01T00:00:00+00:00",
        "explain",
        "base",
        "int8",
        DATA,
        decisions=tuple(decision(r, flip=r == 5) for r in rows),
        attributions=(
            *(attribution("base", r, v) for r, v in ours.items()),
            *(attribution("int8", r, v) for r, v in theirs.items()),
        ),
        measurements=(
            measured("int8", "reason_cosine shapley", 0.9, 0.8, 0.95),
            measured("base", "reason_floor shapley", 0.99, 0.98, 1.0),
            measured("base", "reason_null shapley", 0.1, 0.0, 0.2),
        ),
        machine=MACHINE,
    )


def section(text, anchor):
    found = re.search(rf'<section id="{anchor}".*?</section>', text, re.S)
    return found[0] if found else None


def words(html):
    return " ".join(re.sub(r"<[^>]*>", " ", html).split())


def test_the_place_on_the_scale_when_it_was_measured(plain):
    assert "random" not in section(report.render(plain, "reasons"), "place")
    more = (*plain.measurements, measured("int8", "reason_place shapley", 0.9, 0.85, 0.95))
    ceiling = measured("base", "reason_ceiling shapley", 0.545)
    run = dataclasses.replace(plain, measurements=(*more, ceiling))
    text = section(report.render(run, "reasons"), "place")
    assert "random" in text
    assert "noise floor" in text
    # half way between the null of 0.1 and the floor of 0.99
    assert "retrained base, SHAP: 0.500" in text


def test_the_least_alike_come_first_and_what_drifted_is_said(plain):
    run = dataclasses.replace(plain, drifts=(Drift("int8", "shapley", 3, 0.0, 0.001, True),))
    text = section(report.render(run, "reasons"), "worst")
    first = re.search(r"<article.*?</article>", text, re.S)[0]
    assert "Row 3" in words(first)
    assert "same answer, other reasons" in words(first)
    assert "base - int8" in words(first)
    assert words(text).count("same answer, other reasons") == 1


def test_an_attributed_difference_is_shown_as_it_was_estimated(plain):
    made = attribution("base - int8", 3, [0.0, 0.1234])
    run = dataclasses.replace(plain, attributions=(*plain.attributions, made))
    assert "+0.123" in section(report.render(run, "reasons"), "worst")
    # it is no model: no card draws it
    assert "base - int8" not in section(
        report.render(run, "explanation", beside=["reasons"]), "decisions"
    )


def test_rows_that_were_only_compared_count_in_the_distribution(plain):
    more = (attribution("base", 9, [0.1, 0.2]), attribution("int8", 9, [0.1, 0.2]))
    run = dataclasses.replace(plain, attributions=(*plain.attributions, *more))
    text = section(report.render(run, "reasons"), "distribution")
    assert text.count("<circle") == 7
    assert "row 9" in text


def test_parts_and_stages_when_they_were_measured(plain):
    text = report.render(plain, "reasons")
    assert section(text, "parts") is None
    assert section(text, "stages") is None
    more = (
        measured("int8", "reason_cosine shapley class:yes", 0.7, 0.6, 0.8, n=40),
        measured("int8", "reason_drift shapley slice:age=30", 0.25, n=30),
        measured("prune-int8/1 prune", "accuracy", 91.0, 90.0, 92.0, unit="%"),
        measured("prune-int8/1 prune", "reason_place shapley", 0.95, 0.9, 0.99),
        measured("prune-int8/2 int8", "accuracy", 80.0, 79.0, 81.0, unit="%"),
        measured("prune-int8/2 int8", "reason_place shapley", 0.4, 0.3, 0.5),
    )
    run = dataclasses.replace(plain, measurements=(*plain.measurements, *more))
    text = report.render(run, "reasons")
    assert "class yes" in words(section(text, "parts"))
    assert "age=30" in words(section(text, "parts"))
    stages = words(section(text, "stages"))
    assert stages.index("1 prune") < stages.index("2 int8")
    # a stage is no candidate of its own in the verdict or the scale of models
    assert "prune-int8/1" not in section(text, "verdict")


def test_figures_of_quality_say_what_they_are_of(plain):
    more = (
        measured("base", "deletion_shapley hidden:mean", 0.2),
        measured("base", "insertion_shapley hidden:mean", 0.7),
        measured("base", "method_agreement rank shapley~lime", 0.5, 0.4, 0.6),
        measured("base", "infidelity nothing", 0.9),
    )
    run = dataclasses.replace(plain, measurements=(*plain.measurements, *more))
    text = words(section(report.render(run, "explanation", beside=["reasons"]), "quality"))
    assert "base SHAP hidden by the mean 0.200 0.700" in text
    assert "SHAP~LIME Agreement of the methods (1 is the same): in which order" in text
    assert "no reasons Infidelity" in text


def test_many_decisions_get_a_table_and_some_cards(plain):
    n = 500
    run = dataclasses.replace(
        plain,
        decisions=tuple(decision(r, flip=r == 480) for r in range(n)),
        attributions=tuple(
            attribution(s, r, [0.1, 0.2]) for r in range(n) for s in ("base", "int8")
        ),
    )
    text = section(report.render(run, "explanation", beside=["reasons"]), "decisions")
    rows = re.findall(r'<article class="card" id="row-(\d+)"', text)
    assert len(rows) == 40
    assert "480" in rows, "where models differ there is a card"
    assert text.count("<tr data-row=") == n


def test_what_counts_overall_has_intervals(plain):
    text = section(report.render(plain, "explanation", beside=["reasons"]), "overall")
    values = np.abs([a.values for a in plain.attributions if a.subject == "base"])
    # 2.5706 is Student's quantile of five degrees of freedom
    mean, half = values.mean(axis=0), 2.5706 * values.std(axis=0, ddof=1) / 6**0.5
    for m, h in zip(mean, half, strict=True):
        assert f"{m:.3f}" in words(text)
        assert f"{m - h:.3f} to {m + h:.3f}" in words(text)


def test_what_would_change_its_mind_stands_on_each_card(plain):
    """The fewest, no fewer known, not known to be the fewest, nothing that was tried, nothing."""
    run = dataclasses.replace(
        plain,
        flips=(
            Flip("base", 0, (0,), 0, 1),
            Flip("int8", 0, (0, 1), 0, 1),
            Flip("base", 1, (0, 1), 0, 0),
            Flip("int8", 1, (), 1, 1),
            Flip("base", 2, (), 1, 2),
        ),
    )
    text = report.render(run, "explanation")
    told = re.findall(r"<li>((?:base|int8): .*?)</li>", text)
    assert told == [
        "base: without “age = 30” alone it says no.",
        "int8: without “age = 30” and “pay = 2.50” it says no; no fewer do.",
        "base: without “age = 31” and “pay = 2.50” it says no; whether fewer do was not tried.",
        "int8: no 1 of them hidden change it, nor do the foremost one after another.",
        "base: hiding any of it, or all, changes nothing.",
    ]
    assert "would change its mind" not in report.render(plain, "explanation")
    german = report.render(run, "explanation", lang="de")
    assert "„age = 30“" in german
    assert "“age = 30" not in german


@pytest.mark.parametrize(("page", "anchor"), [("explanation", "row-3"), ("reasons", "worst")])
def test_bars_of_one_row_have_one_scale(page, anchor, plain):
    """Half as large and of another sign: the difference is longer than either."""
    half = [
        dataclasses.replace(a, values=a.values / 2, prediction=a.base + a.values.sum() / 2)
        if (a.subject, a.row) == ("int8", 3)
        else a
        for a in plain.attributions
    ]
    run = dataclasses.replace(plain, attributions=tuple(half))
    text = report.render(run, page, beside=["explanation", "reasons"])
    start = text.index(f'id="{anchor}"')
    card = text[start : text.index("</article>", start)]
    form = r'<title>[^<]*: [+−]([\d.]+) ± [^<]*</title><rect[^>]*width="([\d.]+)'
    bars = re.findall(form, card)
    assert len(bars) == (4 if anchor == "row-3" else 6)
    scales = [float(width) / float(value) for value, width in bars]
    # values have three digits behind the point
    assert max(scales) / min(scales) < 1.03


def of_method(a, method, values=None):
    values = a.values if values is None else np.asarray(values)
    return dataclasses.replace(a, method=method, values=values, stderr=0 * values)


def test_only_what_adds_up_is_drawn_as_a_way():
    """A hundredth may be missing of it; LIME's intercept is no answer with all hidden."""
    values = [1e-4, 5e-4]
    made = attribution("base", 0, values)
    assert cards.adds_up(made)
    assert not cards.adds_up(of_method(made, "lime"))
    # 82 % of a short way is missing, though it is hardly a thousandth
    short = dataclasses.replace(made, prediction=0.5 + 6e-4, values=np.array([1e-4, 7e-6]))
    assert not cards.adds_up(short)
    assert cards.adds_up(dataclasses.replace(attribution("base", 0, [0.4, 0.1]), prediction=0.9958))


@pytest.mark.parametrize(
    ("ours", "theirs", "said"),
    [
        ([0.3, 0.0], [0.3, 0.1], "1 of the 2 foremost shared"),
        ([0.3, 0.0], [0.2, 0.0], "1 of the 1 foremost shared"),
        ([0.3, 0.0], [0.0, 0.2], "0 of the 1 foremost shared"),
    ],
)
def test_as_many_are_shared_as_there_are(ours, theirs, said, plain):
    both = [attribution("base", 0, ours), of_method(attribution("base", 0, theirs), "lime")]
    run = dataclasses.replace(plain, attributions=tuple(both))
    text = section(report.render(run, "explanation", beside=["reasons"]), "decisions")
    assert said in words(text)


def test_players_without_a_name_are_called_in_the_language_of_the_page(plain):
    parts = np.arange(4).reshape(2, 2)
    names = tuple(f"patch {i + 1}" for i in range(4))
    said = {"base": np.float32([0.2, 0.8])}
    pictured = Decision(0, np.zeros((2, 2, 1), np.float32), 0, names, parts, said)
    run = dataclasses.replace(
        plain,
        data={**DATA, "kind": "image", "features": []},
        decisions=(pictured,),
        attributions=(attribution("base", 0, [0.1, 0.2, -0.1, 0.0]),),
        measurements=(
            measured("base", "deletion_shapley hidden:blur", 0.2),
            measured("base", "insertion_shapley hidden:blur", 0.6),
        ),
    )
    german = report.render(run, "explanation", lang="de", beside=["reasons"])
    seen = german[: german.index('<script type="application/json"')]
    assert "Teil 2" in seen
    assert "patch 2" not in seen
    assert "SHAP verdeckt durch Unschärfe" in words(seen)
    assert "hidden:" not in words(seen)
    assert ", Bilder," in words(seen)


def test_a_name_from_right_to_left_leaves_its_figure_in_place(plain):
    """It stands between FSI and PDI, with its value outside; one that turns the rest, too."""
    hebrew, turning = "\u05e9\u05dc\u05d5\u05dd", "dog\u202e"
    said = {"base": np.float32([0.2, 0.8])}
    written = ((hebrew, 0), (" ", -1), (turning, 1), (" ", -1), ("and", -1))
    text = "".join(one for one, _ in written)
    one = Decision(0, np.float32([2, 3]), 0, (hebrew, turning), None, said, text, written)
    run = dataclasses.replace(
        plain,
        data={**DATA, "kind": "text", "features": [], "classes": ["no", hebrew]},
        decisions=(one,),
        attributions=(attribution("base", 0, [0.15, -0.1]),),
        measurements=(),
    )
    page = report.render(run, "explanation", beside=["reasons"])
    seen = page[: page.index('<script type="application/json"')]
    for name in (hebrew, turning):
        apart = f"\u2068{name}\u2069"
        assert apart in seen
        # nowhere without
        assert name not in seen.replace(apart, "").replace(f"\u2068{text}\u2069", "")
    assert f"\u2068{hebrew}\u2069 +0.150" in seen
    # figures of classes are found by their names
    assert naming.shown(run).data["classes"] == ["no", hebrew]


def test_a_text_of_a_run_without_pieces_is_shown_whole(plain):
    said = {"base": np.float32([0.2, 0.8])}
    one = Decision(0, np.float32([2, 3]), 0, ("good", "film"), None, said, "Good <b> film")
    run = dataclasses.replace(
        plain,
        data={**DATA, "kind": "text", "features": []},
        decisions=(one,),
        attributions=(attribution("base", 0, [0.15, -0.1]),),
    )
    page = report.render(run, "explanation", beside=["reasons"])
    assert '<p class="words">Good &lt;b&gt; film</p>' in page


def test_what_few_texts_have_speaks_for_no_class(plain):
    """Six texts of one class: "film" is in each, "long" in one of them alone."""
    said = {"base": np.float32([0.2, 0.8])}

    def text(row, *players):
        return Decision(row, np.float32([1, 2]), 1, players, None, said, " ".join(players))

    texts = [text(r, "film", "long") if r == 0 else text(r, "film", f"w{r}") for r in range(6)]
    # of the other class "long" is often: it has a line in the table of all
    texts += [text(r, "film", "long") for r in range(6, 9)]
    made = [attribution("base", d.row, [0.1, 0.4]) for d in texts]
    made = [dataclasses.replace(a, target=int(a.row >= 6)) for a in made]
    run = dataclasses.replace(
        plain,
        data={**DATA, "kind": "text", "features": []},
        decisions=tuple(texts),
        attributions=tuple(made),
        measurements=(),
    )
    text = words(section(report.render(run, "explanation", beside=["reasons"]), "overall"))
    assert "no 6 film +0.100 yes 3" in text
    assert "long +0.400" in text.split("yes 3")[1]


@pytest.mark.parametrize("lang", ["de", "zh"])
def test_a_page_in_any_language_shows_what_it_carries(lang, plain):
    """What is carried of pictures holds no pictures, and their parts have the same names."""
    parts = np.arange(4).reshape(2, 2)
    names = tuple(f"patch {i + 1}" for i in range(4))
    x = np.zeros((2, 2, 1), np.float32)
    told = [dataclasses.replace(d, x=x, players=names, segments=parts) for d in plain.decisions]
    made = [
        attribution(s, r, [0.1 * (s == "base"), 0.2, 0, r / 10])
        for s in ("base", "int8")
        for r in range(6)
    ]
    run = dataclasses.replace(
        plain,
        data={**DATA, "kind": "image", "features": []},
        decisions=tuple(told),
        attributions=tuple(made),
    )
    page = report.render(run, "explanation", lang=lang)
    text = page[page.index('<script type="application/json" id="run">') :]
    carried = from_json(text[text.index("{") : text.index("</script>")])
    assert report.sections(carried, lang=lang)["alone"]["changed"] in page
