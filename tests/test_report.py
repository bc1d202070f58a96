import base64
import dataclasses
import hashlib
import json
import re
from html.parser import HTMLParser

import pytest

from toolkit import report, run
from toolkit.glossary import Data

HOSTILE = '<script>alert("1")</script>"><img src=x onerror=alert(1)>{{ 7 * 7 }}\u202e'
DATA = re.compile(r'<script type="application/json" id="run">(.*?)</script>', re.S)
VOID = {"meta", "img", "br", "link", "input", "hr"}


def our_script(text):
    return re.search(r"<script>(.*?)</script>", text, re.S)[1]


def without_scripts(text):
    return re.sub(r"<script.*?</script>", "", text, flags=re.S)


class Balanced(HTMLParser):
    """Every tag closed in order; collects ids, links, alts and headings."""

    def __init__(self):
        super().__init__()
        self.open, self.ids, self.links, self.headings, self.images = [], [], [], [], []

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag not in VOID:
            self.open.append(tag)
        if "id" in attrs:
            self.ids.append(attrs["id"])
        if tag == "a":
            self.links.append(attrs["href"])
        if tag in ("h1", "h2", "h3", "h4"):
            self.headings.append(int(tag[1]))
        if tag == "img":
            self.images.append(attrs)

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture(scope="module", params=["compression", "explanation", "reasons"])
def page(request, full_run):
    return request.param, report.render(full_run, request.param)


def test_markup_is_balanced_and_links_lead_somewhere(page):
    found = Balanced()
    found.feed(page[1])
    assert found.open == []
    assert len(set(found.ids)) == len(found.ids)
    for link in found.links:
        assert link[1:] in found.ids
    assert all(image["alt"] for image in found.images)
    assert found.headings[0] == 1
    assert all(b - a <= 1 for a, b in zip(found.headings, found.headings[1:], strict=False))


def test_nothing_is_loaded_and_nothing_runs(page):
    text = page[1]
    assert "default-src 'none'" in text
    assert text.count("<script") == 3, "two with data and ours"
    digest = base64.b64encode(hashlib.sha256(our_script(text).encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in text
    text = without_scripts(text)
    assert not re.search(r"""(src|href|url)\s*[=(]\s*["']?(https?:|//)""", text)
    assert not re.search(r"\son\w+\s*=", text)


def test_no_placeholder_is_left(page):
    text = re.sub(r"<style>.*?</style>", "", without_scripts(page[1]), flags=re.S)
    words = re.sub(r"<[^>]*>", " ", text)
    for wrong in ("None", "nan", "NaN", "Undefined", "TODO", "{{", "}}"):
        assert wrong not in words, wrong


def test_a_page_from_a_saved_run_is_the_same(page, full_run, tmp_path):
    run.save(full_run, tmp_path / "r.json")
    assert report.render(run.load(tmp_path / "r.json"), page[0]) == page[1]


def hostile(full_run):
    """The run with every text a user can choose turned against the page."""

    def change(value):
        if isinstance(value, str):
            return value.replace("int8", HOSTILE + "int8")
        if isinstance(value, Data):
            return value
        if dataclasses.is_dataclass(value):
            fields = {f.name: change(getattr(value, f.name)) for f in dataclasses.fields(value)}
            return type(value)(**fields)
        if isinstance(value, tuple):
            return tuple(change(v) for v in value)
        if isinstance(value, dict):
            return {change(k): change(v) for k, v in value.items()}
        return value

    changed = change(full_run)
    data = {**changed.data, "name": HOSTILE, "classes": [f"{HOSTILE}{i}" for i in range(10)]}
    return dataclasses.replace(changed, title=HOSTILE, created=HOSTILE, data=data)


@pytest.mark.parametrize("name", ["compression", "explanation", "reasons"])
def test_hostile_text_stays_text(name, full_run):
    text = report.render(hostile(full_run), name)
    found = Balanced()
    found.feed(text)
    assert found.open == []
    assert text.count("<script") == 3
    assert "onerror=alert" not in re.sub(r"&lt;.*?&gt;", "", without_scripts(text))
    assert all(image.get("src", "").startswith("data:image/png") for image in found.images)
    assert "49" not in re.findall(r"<h1>(.*?)</h1>", text)[0]


def test_pages_are_written_with_links_to_each_other(full_run, tmp_path):
    pages = report.write(full_run, tmp_path)
    assert [p.name for p in pages] == ["compression.html", "explanation.html", "reasons.html"]
    assert 'href="explanation.html"' in pages[0].read_text()
    assert 'href="compression.html"' in pages[1].read_text()


def test_a_page_without_the_other_has_no_dead_link(full_run, tmp_path):
    alone = dataclasses.replace(full_run, decisions=(), attributions=(), layers=())
    (only,) = report.write(alone, tmp_path)
    assert "explanation.html" not in only.read_text()


def test_a_table_has_bars_with_its_names(wine, tabular):
    from toolkit.explainers import EXPLAINERS
    from toolkit.predict import predictor
    from toolkit.studying import study

    quick = [EXPLAINERS[m](samples=200) for m in ("shapley", "lime")]
    found = study([predictor(tabular, "net")], wine, methods=quick, rows=[1])
    text = report.render(found, "explanation")
    assert "flavanoids" in text
    assert 'class="for"' in text
    assert "class_0" in text


def test_the_page_carries_its_run(full_run):
    text = report.render(full_run, "explanation")
    carried = run.from_json(json.dumps(json.loads(DATA.search(text)[1])))
    assert carried.measurements == full_run.measurements
    assert carried.seeds == full_run.seeds
    assert carried.hashes == full_run.hashes
    assert [str(a.path) for a in carried.artifacts] == [a.path.name for a in full_run.artifacts]
    for ours, its in zip(full_run.attributions, carried.attributions, strict=True):
        assert ours.values.tolist() == its.values.tolist()


def test_what_is_carried_cannot_end_its_element(full_run):
    text = report.render(hostile(full_run), "compression")
    found = DATA.search(text)[1]
    assert "<" not in found
    assert HOSTILE in json.loads(found)["title"]


def test_code_and_style_are_small(full_run):
    from toolkit.report import templates

    assert len(templates.style()) + len(templates.script()) < 150_000


@pytest.mark.parametrize("lang", ["de", "zh"])
@pytest.mark.parametrize("name", ["compression", "explanation", "reasons"])
def test_a_page_in_another_language_speaks_it(name, lang, full_run):
    text = report.render(full_run, name, lang=lang)
    assert f'<html lang="{ {"de": "de", "zh": "zh-Hans"}[lang] }">' in text
    words = re.sub(r"<[^>]*>", " ", without_scripts(text))
    # headings of the English page
    # and its title, of which the name of the data stays
    for heading in ("How to repeat this", "Good to know", "The figures as a table", "compressed"):
        assert heading not in words
    assert {"de": "digits: Basis und Verkleinerte", "zh": "digits: 基础模型"}[lang] in words


def test_a_title_of_somebody_stays(full_run):
    mine = dataclasses.replace(full_run, title="Nachbau: was compressed")
    assert "Nachbau: was compressed" in report.render(mine, "compression", lang="de")


def test_a_notebook_shows_a_page_in_a_frame_of_its_own(full_run):
    shown = full_run._repr_html_()
    assert shown.startswith("<iframe sandbox=")
    found = Balanced()
    found.feed(shown)
    assert found.open == []
    assert shown.count("<") == 2, "the page is text inside the frame"


def test_pictures_can_be_left_out(full_run):
    bare = [dataclasses.replace(d, x=d.x.reshape(-1)[:0]) for d in full_run.decisions]
    text = report.render(dataclasses.replace(full_run, decisions=tuple(bare)), "explanation")
    assert ", the input" not in without_scripts(text)
    assert ", the input" in without_scripts(report.render(full_run, "explanation"))
