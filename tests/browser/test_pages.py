"""The pages in a real browser, without a network: what a reader's own will do with them."""

import shutil

import pytest

from toolkit import report

CHROMIUM = shutil.which("chromium")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Debian's chromium is not installed")


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)


@pytest.fixture(scope="module")
def folder(full_run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    report.write(full_run, folder)
    return folder


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1400])
@pytest.mark.parametrize("name", ["compression", "explanation"])
def test_it_reads_at_any_width(name, width, scheme, browser, folder):
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    said, asked = [], []
    page.on("console", lambda message: said.append(message.text))
    page.on("request", lambda request: asked.append(request.url))
    url = (folder / f"{name}.html").as_uri()
    page.goto(url)
    assert said == []
    assert [one for one in asked if not one.startswith("data:")] == [url]
    wide = page.evaluate("document.documentElement.scrollWidth")
    assert wide <= width, "the page scrolls sideways"
    assert page.locator(".verdict").is_visible()
    # every picture was decoded
    broken = page.evaluate("[...document.images].filter(i => !i.naturalWidth).length")
    assert broken == 0
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["compression", "explanation"])
def test_text_can_be_read_against_its_ground(name, scheme, browser, folder):
    """WCAG 2.2, 1.4.3: a contrast of at least 4.5 for text on the page's own grounds."""
    page = browser.new_page(color_scheme=scheme)
    page.goto((folder / f"{name}.html").as_uri())
    worst = page.evaluate(
        """() => {
          const rgb = s => s.match(/[\\d.]+/g).map(Number);
          const light = c => {
            const [r, g, b] = c.slice(0, 3).map(v => {
              v /= 255; return v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4; });
            return .2126 * r + .7152 * g + .0722 * b; };
          const ground = e => {
            for (; e; e = e.parentElement) {
              const c = rgb(getComputedStyle(e).backgroundColor);
              if (c.length < 4 || c[3] > 0) return c; }
            return [255, 255, 255]; };
          let worst = [99, ''];
          for (const e of document.querySelectorAll('main *, header *')) {
            const own = [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim());
            if (!own || e.closest('svg') || !e.checkVisibility()) continue;
            const a = light(rgb(getComputedStyle(e).color)), b = light(ground(e));
            const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
            if (ratio < worst[0]) worst = [ratio, e.outerHTML.slice(0, 80)];
          }
          return worst; }"""
    )
    assert worst[0] >= 4.5, worst
    page.close()


def test_links_between_the_pages_work(browser, folder):
    page = browser.new_page()
    page.goto((folder / "compression.html").as_uri())
    page.click("nav .other a")
    assert page.url.endswith("explanation.html")
    page.close()
