"""The pages in a real browser, without a network: what a reader's own will do with them."""

import json

import pytest

from toolkit import report

NAMES = ("compression", "explanation", "reasons")


@pytest.fixture(scope="module")
def folder(full_run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    report.write(full_run, folder)
    return folder


@pytest.fixture
def opened(browser, folder):
    """Opens a page and hears what it says and asks for; nothing may be said or asked for."""
    pages, said, asked = [], [], []

    def open_page(name, *, where=folder, **settings):
        page = browser.new_page(**settings)
        pages.append(page)
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
        page.on("request", lambda request: asked.append(request.url))
        page.goto((where / f"{name}.html").as_uri())
        return page

    yield open_page
    assert said == []
    assert [one for one in asked if not one.startswith(("data:", "file:", "blob:"))] == []
    for page in pages:
        page.close()


@pytest.mark.parametrize("width", [390, 820, 1440])
@pytest.mark.parametrize("name", NAMES)
def test_it_reads_at_any_width(name, width, opened):
    page = opened(name, viewport={"width": width, "height": 900})
    for scheme in ("dark", "light"):
        page.emulate_media(color_scheme=scheme)
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= width, "the page scrolls sideways"
        assert page.locator(".verdict").is_visible()
    # every picture was decoded
    broken = page.evaluate("[...document.images].filter(i => !i.naturalWidth).length")
    assert broken == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", NAMES)
def test_axe_finds_nothing_serious(name, scheme, opened):
    """axe-core over the whole page, everything unfolded: WCAG 2 A and AA, and best practice."""
    from axe_playwright_python.sync_playwright import Axe

    page = opened(name, color_scheme=scheme, viewport={"width": 1100, "height": 900})
    page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    found = Axe().run(page).response["violations"]
    wrong = [
        (v["id"], [n["html"][:90] for n in v["nodes"][:3]])
        for v in found
        if v["impact"] in ("serious", "critical")
    ]
    assert wrong == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", NAMES)
def test_words_in_charts_can_be_read(name, scheme, opened):
    """WCAG 2.2, 1.4.3, a contrast of at least 4.5 for text: in drawings too, where axe is blind."""
    page = opened(name, color_scheme=scheme)
    worst = page.evaluate(
        """() => {
          const rgb = s => s.match(/[\\d.]+/g).map(Number);
          const light = c => {
            const [r, g, b] = c.slice(0, 3).map(v => {
              v /= 255; return v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4; });
            return .2126 * r + .7152 * g + .0722 * b; };
          const over = (top, share, ground) => top.slice(0, 3).map((v, i) =>
            v * share + ground[i] * (1 - share));
          const ground = e => {
            for (let n = e.closest('svg').parentElement; n; n = n.parentElement) {
              const c = rgb(getComputedStyle(n).backgroundColor);
              if (c.length < 4 || c[3] > 0) {
                // figures in cells stand on their own colour
                const r = e.parentElement.querySelector(':scope > rect');
                if (!r) return c;
                const s = getComputedStyle(r);
                return over(rgb(s.fill), Number(s.fillOpacity), c); } }
            return [255, 255, 255]; };
          let worst = [99, ''];
          for (const e of document.querySelectorAll('svg text')) {
            const a = light(rgb(getComputedStyle(e).fill)), b = light(ground(e));
            const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
            if (ratio < worst[0]) worst = [ratio, e.outerHTML.slice(0, 80)];
          }
          return worst; }"""
    )
    assert worst[0] >= 4.5, worst


def test_links_between_the_pages_work(opened):
    page = opened("compression")
    page.click("nav .other a >> nth=0")
    assert page.url.endswith("explanation.html")


def test_the_theme_can_be_chosen_and_stays(opened):
    page = opened("compression", color_scheme="light")
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    page.click("button.theme")
    dark = page.evaluate(ground)
    assert dark != light
    page.reload()
    assert page.evaluate(ground) == dark
    # paper stays white
    page.emulate_media(media="print")
    assert page.evaluate(ground) == light


def test_a_table_is_sorted_by_its_heads(opened):
    page = opened("compression")
    sizes = "[...document.querySelectorAll('#candidates tbody tr')].map(r => +r.cells[1].dataset.v)"
    before = page.evaluate(sizes)
    page.click("#candidates thead th:nth-child(2) button")
    assert page.evaluate(sizes) == sorted(before)
    assert page.get_attribute("#candidates thead th:nth-child(2)", "aria-sort") == "ascending"
    page.keyboard.press("Enter")
    assert page.evaluate(sizes) == sorted(before, reverse=True)


def test_decisions_are_filtered(opened, full_run):
    page = opened("explanation")
    cards = page.locator("#decisions .card")
    assert cards.count() == len(full_run.decisions)
    wanted = full_run.decisions[-1]
    page.select_option("select[name=class]", str(wanted.label))
    seen = [d for d in full_run.decisions if d.label == wanted.label]
    assert page.locator("#decisions .card:visible").count() == len(seen)
    assert page.locator("output").inner_text().startswith(f"{len(seen)} of ")
    page.select_option("select[name=class]", "")
    page.select_option("select[name=row]", str(wanted.row))
    assert page.locator("#decisions .card:visible").count() == 1


def test_a_link_leads_to_a_decision_that_is_filtered_out(opened, full_run):
    page = opened("explanation")
    first, last = full_run.decisions[0], full_run.decisions[-1]
    page.select_option("select[name=row]", str(first.row))
    assert not page.locator(f"#row-{last.row}").is_visible()
    page.evaluate(f"location.hash = 'row-{last.row}'")
    page.wait_for_selector(f"#row-{last.row}", state="visible")


def test_a_mark_tells_its_value(opened):
    page = opened("compression", viewport={"width": 1200, "height": 900})
    mark = page.locator("#trade-off .point circle").first
    mark.scroll_into_view_if_needed()
    mark.hover()
    title = page.locator("#trade-off .point title").first.text_content()
    assert page.locator("#tip").inner_text() == title


def test_a_drawing_can_be_seen_large(opened):
    page = opened("explanation", viewport={"width": 1000, "height": 800})
    wide = "document.querySelector('dialog > *').getBoundingClientRect().width"
    for selector in ("#decisions .method .pixels", "#overall figure svg, #overall .pixels"):
        drawing = page.locator(selector).first
        drawing.scroll_into_view_if_needed()
        before = drawing.bounding_box()["width"]
        drawing.click()
        assert page.evaluate(wide) > 1.2 * before
        assert (
            page.evaluate("document.querySelector('dialog').getBoundingClientRect().bottom") <= 800
        )
        assert page.get_attribute("dialog", "aria-label")
        page.keyboard.press("Escape")
        assert not page.locator("dialog").is_visible()


def test_the_data_can_be_saved(opened, full_run):
    page = opened("compression")
    with page.expect_download() as download:
        page.click(".tools button:last-child")
    saved = json.loads(download.value.path().read_text())
    assert saved["title"] == full_run.title


@pytest.mark.parametrize("name", NAMES)
def test_the_keyboard_reaches_everything(name, opened):
    page = opened(name)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    page.wait_for_url("**#verdict")
    page.goto(page.url.removesuffix("#verdict"))
    page.evaluate("document.activeElement.blur()")
    count = page.evaluate(
        """[...document.querySelectorAll(
          'a[href], button, select, summary, [tabindex="0"]')].filter(e =>
          e.checkVisibility({contentVisibilityAuto: false})).length"""
    )
    seen = set()
    for _ in range(count + 5):
        page.keyboard.press("Tab")
        place = page.evaluate(
            """(() => { const e = document.activeElement;
              if (e === document.body) return null;
              const s = getComputedStyle(e);
              return [[...document.querySelectorAll('*')].indexOf(e), s.outlineStyle]; })()"""
        )
        if place is None:
            break
        assert place[1] != "none", "the focus cannot be seen"
        seen.add(place[0])
    # a browser may also stop at scrolling boxes of its own
    assert len(seen) >= count - 3


@pytest.mark.parametrize("name", NAMES)
def test_without_script_it_is_whole(name, browser, opened, folder):
    scripted = opened(name).inner_text("main")
    page = browser.new_page(java_script_enabled=False)
    page.goto((folder / f"{name}.html").as_uri())
    plain = page.inner_text("main")
    assert page.locator(".filters").is_hidden() if page.locator(".filters").count() else True
    page.close()
    # the script adds a line of choices and nothing else
    assert len(plain) > 0.9 * len(scripted)
    for heading in ("Good to know", "How to repeat this"):
        assert heading in plain


@pytest.mark.parametrize("name", NAMES)
def test_it_prints_on_a4(name, opened, tmp_path):
    page = opened(name)
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 688, "height": 1000})  # A4 less its margins, at 96 dpi
    assert page.evaluate("document.documentElement.scrollWidth") <= 688
    page.pdf(path=tmp_path / "page.pdf", format="A4")
    assert (tmp_path / "page.pdf").read_bytes().startswith(b"%PDF")
    assert page.locator(".tools").is_hidden()
    # what must not be cut is never taller than a sheet
    tall = page.evaluate(
        """[...document.querySelectorAll('figure')].map(f => f.offsetHeight)
           .filter(h => h > 1000).length"""
    )
    assert tall == 0


@pytest.mark.parametrize("name", NAMES)
def test_it_holds_twice_as_large(name, opened):
    """WCAG 1.4.4 and 1.4.10: at 200 % of a 1,280 pixel window nothing scrolls sideways."""
    page = opened(name, viewport={"width": 640, "height": 512})
    assert page.evaluate("document.documentElement.scrollWidth") <= 640


@pytest.mark.parametrize("lang", ["de", "zh"])
def test_other_languages_fit_a_phone(lang, opened, full_run, tmp_path):
    report.write(full_run, tmp_path, lang=lang)
    for name in NAMES:
        page = opened(name, where=tmp_path, viewport={"width": 390, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        assert page.get_attribute("html", "lang").startswith(lang)


def test_nothing_of_a_user_runs(opened, full_run, tmp_path):
    from tests.test_report import hostile

    report.write(hostile(full_run), tmp_path)
    for name in NAMES:
        page = opened(name, where=tmp_path)
        assert page.evaluate("document.scripts.length") == 3
        assert page.locator("img[src='x']").count() == 0
        assert page.evaluate("document.querySelectorAll('[onerror]').length") == 0
        page.click(".tools button.theme")


def test_the_policy_stops_what_would_be_slipped_in(browser, folder, tmp_path):
    """Were the escaping to fail, the browser itself would refuse to run or to load."""
    text = (folder / "explanation.html").read_text()
    slipped = "<img src='https://example.invalid/x.png'><script>document.title='run'</script>"
    (tmp_path / "slipped.html").write_text(text.replace("<main>", f"<main>{slipped}"))
    page, asked = browser.new_page(), []
    page.on("requestfailed", lambda request: asked.append((request.url[:5], request.failure)))
    page.goto((tmp_path / "slipped.html").as_uri())
    assert page.title() != "run"
    assert asked == [("https", "csp")]
    page.close()
