"""results/report.html in headless Chromium: it asks for nothing, says no error, and fits a phone."""

import socketserver
import threading
from collections.abc import Iterator
from pathlib import Path

import browser
import pytest

pytestmark = pytest.mark.skipif(browser.CHROMIUM is None, reason="no Chromium to open the page in: apt-get install it")
PHONE = 390, 844  # CSS pixels
DESKTOP = 1200, 900

# What reaches past the screen's right edge outside a box that scrolls sideways
SPILLS = """
[...document.querySelectorAll('body *')].filter(each => {
  const box = each.getBoundingClientRect();
  if (!box.width || !box.height || (box.right <= innerWidth + 0.5 && box.left >= -0.5)) return false;
  for (let up = each.parentElement; up; up = up.parentElement)
    if (['auto', 'scroll'].includes(getComputedStyle(up).overflowX)) return false;
  return true;
}).map(each => each.outerHTML.slice(0, 120))
"""
SMALL_TEXT = """
[...document.querySelectorAll('p, li, td, th, figcaption, button, code, a, h4')]
  .filter(each => each.textContent.trim() && each.checkVisibility() && !each.closest('sup'))
  .map(each => [parseFloat(getComputedStyle(each).fontSize), each.textContent.trim().slice(0, 40)])
  .filter(([size]) => size < 11.5)
"""
BROKEN_IMAGES = "[...document.images].filter(each => !each.complete || !each.naturalWidth).map(each => each.alt)"
BROWSERS_OWN = ("google.com", "googleapis.com", "gvt1.com", "gstatic.com", "google-analytics.com")
LEAKS = """<html><head><link rel="stylesheet" href="http://elsewhere.test/a.css"></head><body>
<img src="http://elsewhere.test/b.png"><img src="http://127.0.0.1:8123/c.png"><iframe src="http://elsewhere.test/d.html"></iframe>
<script>fetch('http://elsewhere.test/e'); navigator.sendBeacon('http://elsewhere.test/f', 'x');
console.error('g'); document.fonts.add(new FontFace('h', 'url(http://elsewhere.test/h.woff)'));
document.fonts.forEach(font => font.load().catch(() => 0)); setTimeout(() => { throw new Error('i') }, 50)</script>"""


@pytest.fixture(scope="module")
def reached() -> Iterator[tuple[int, list[str]]]:
    """A proxy on loopback that answers nothing and keeps what it was asked for."""
    requests: list[str] = []

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            requests.append(self.rfile.readline().decode("latin-1").strip())

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1], requests
        server.shutdown()


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory, reached: tuple[int, list[str]]) -> Iterator[browser.Page]:
    """A browser whose every request would go to the proxy, loopback's own too."""
    folder = tmp_path_factory.mktemp("profile")
    proxy = (f"--proxy-server=http://127.0.0.1:{reached[0]}", "--proxy-bypass-list=<-loopback>")
    with browser.chromium(folder, *proxy) as opened:
        yield opened


def test_what_a_leaky_page_asks_for_is_seen(page: browser.Page, reached: tuple[int, list[str]], tmp_path: Path) -> None:
    leaky = tmp_path / "leaky.html"
    leaky.write_text(LEAKS)
    page.open(leaky, *DESKTOP)
    for name in ("a.css", "b.png", "c.png", "d.html", "e", "f", "h.woff"):
        assert any(each.endswith(f"/{name}") for each in page.asked), name
        if name != "h.woff":  # a font may be asked for later than a page is quiet
            assert any(f"/{name} " in each for each in reached[1]), name
    assert "g" in page.complaints
    assert any("Error: i" in each for each in page.complaints)
    reached[1].clear()


@pytest.mark.slow
@pytest.mark.parametrize(("size", "phone"), [(PHONE, True), (DESKTOP, False)], ids=["phone", "desktop"])
def test_report(
    page: browser.Page, reached: tuple[int, list[str]], report: Path, size: tuple[int, int], phone: bool
) -> None:
    reached[1].clear()
    page.open(report, *size, phone=phone)
    assert page.evaluate("document.scrollingElement.scrollHeight") < 12_000
    assert page.evaluate("document.querySelectorAll('details[open]').length") == 0
    # A place of the contents that is folded opens when it is gone to
    folded = "result-notes-to-table-1"
    page.evaluate(f"location.hash = '#{folded}'")
    page.wait(0.3)
    assert page.evaluate("[...document.querySelectorAll('details[open]')].map(each => each.id)") == [folded]
    page.evaluate("document.querySelectorAll('details:not([open]) summary').forEach(each => each.click())")
    page.wait(0.3)
    assert page.evaluate("document.querySelectorAll('details:not([open])').length") == 0
    assert page.evaluate(BROKEN_IMAGES) == []
    assert page.evaluate("document.images.length") > 10
    assert page.evaluate("innerWidth") == size[0]
    assert page.evaluate("document.scrollingElement.scrollWidth") <= size[0]
    assert page.evaluate(SPILLS) == []
    assert page.evaluate(SMALL_TEXT) == []
    assert page.evaluate("document.querySelector('#contents').checkVisibility()")
    assert page.evaluate("document.querySelector('.simulated').getBoundingClientRect().top + scrollY") < 200
    assert page.asked == []
    assert page.complaints == []
    own = [each for each in reached[1] if not any(name in each for name in BROWSERS_OWN)]
    assert own == []


@pytest.mark.slow
def test_nothing_is_loaded_even_where_the_page_would_ask(page: browser.Page, report: Path, tmp_path: Path) -> None:
    """The page's own policy stops what a later version of its scripts might load."""
    changed = tmp_path / "changed.html"
    before, after = report.read_text(encoding="utf-8").rsplit("</footer>", 1)
    changed.write_text(f'{before}<img src="http://elsewhere.test/x.png"></footer>{after}', encoding="utf-8")
    page.open(changed, *DESKTOP)
    assert any("Content Security Policy" in each for each in page.complaints)
