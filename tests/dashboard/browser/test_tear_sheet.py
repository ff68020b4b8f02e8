"""The tear sheet in a browser: every figure is drawn, nothing is asked of anybody, everybody can use it, and it prints."""

from __future__ import annotations

import pytest
from browsing import axe_faults

pytest.importorskip("plotly")

from sleeves.demo import run

DRAWN = "document.querySelectorAll('[data-figure] .main-svg').length >= 2 * document.querySelectorAll('[data-figure]').length"


@pytest.fixture(scope="module")
def sheet(tmp_path_factory):
    path = tmp_path_factory.mktemp("sheet") / "report.html"
    run(progress=False).save(path, title="<b>a run</b>")
    return path.as_uri()


def until(page, expression):
    """Wait until it is true. Asked from outside: the page's own policy lets nobody evaluate text in it."""
    for _ in range(600):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(100)
    raise AssertionError(f"not in a minute: {expression}")


def opened(watch, sheet):
    page = watch.context.new_page()
    page.goto(sheet)
    until(page, DRAWN)
    return page


@pytest.mark.slow
@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 360)])
def test_it_is_drawn_asks_nobody_and_axe_finds_nothing(watched, sheet, scheme, width):
    watch = watched(hosts=("file",), color_scheme=scheme, viewport={"width": width, "height": 800})
    page = opened(watch, sheet)
    assert page.locator("[data-figure] .main-svg").count() >= 18
    assert page.locator("[data-figure=trades] .boxlayer .trace").count() == 1
    assert page.locator("[data-figure=trades] .scatterlayer .trace").count() == 2
    assert page.evaluate("document.documentElement.scrollWidth") <= width, "only tables scroll sideways"
    assert "<b>a run</b>" in page.locator(".over").inner_text()
    assert axe_faults(page) == []
    ours = [request for request in watch.requests if not request.startswith(("data:", "blob:"))]
    assert ours == [sheet]


@pytest.mark.slow
def test_by_keys_one_comes_to_a_section_and_to_a_record(watched, sheet):
    page = opened(watched(hosts=("file",)), sheet)
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.getAttribute('href')") == "#why"
    page.keyboard.press("Enter")
    assert page.evaluate("location.hash") == "#why"
    link = page.locator("#why a[href^='#r']").first
    link.focus()
    page.keyboard.press("Enter")
    number = link.inner_text()
    assert page.evaluate("document.querySelector(':target').id") == f"r{number}"
    assert page.locator("tr:target th").inner_text() == number


@pytest.mark.slow
def test_it_prints_in_light_colours_with_figures_as_wide_as_the_paper(watched, sheet):
    page = opened(watched(hosts=("file",), color_scheme="dark"), sheet)
    paper = page.pdf(prefer_css_page_size=True)
    assert paper.startswith(b"%PDF") and len(paper) > 50_000
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    width = "Math.round(document.querySelector('[data-figure=balance] .main-svg').getBoundingClientRect().width)"
    assert page.evaluate(width) == 652
    assert page.evaluate("getComputedStyle(document.documentElement).getPropertyValue('--card').trim()") == "#ffffff"
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    until(page, f"{width} > 700")
    assert page.evaluate("getComputedStyle(document.documentElement).getPropertyValue('--card').trim()") == "#191d23"
