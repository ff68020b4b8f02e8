"""Everybody can use it: no serious fault that axe finds, all of it by keys alone, at twice the size, without motion."""

from __future__ import annotations

import pytest
from browsing import Wire, axe_faults, elsewhere, parts_of_the_page
from houses import House, a_desk, a_market, played
from looking import STORE, agree, sign_in, wait_live

from sleeves import USD, CoreVault, Desk
from sleeves.dashboard.bundle import save
from sleeves.dashboard.feed import Feed
from sleeves.dashboard.messages import to_json


@pytest.fixture(scope="module")
def house():
    with House(a_desk(hostile=True), a_market(pace=0.001)) as house:
        house.until(lambda desk: len(desk.books.journal) > 400)
        house.venues[0].pace = 0.5
        yield house


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 360])
def test_axe_finds_nothing_serious(watched, house, scheme, width):
    page = sign_in(watched(color_scheme=scheme, viewport={"width": width, "height": 900}), house)
    page.locator("engine-vault-card").first.wait_for()
    page.wait_for_timeout(200)
    assert axe_faults(page) == []
    page.get_by_role("button", name="Deposit flash", exact=True).click()
    page.get_by_role("dialog").get_by_label("Amount").fill("10")
    page.get_by_role("dialog").get_by_role("button", name="Show the numbers").click()
    page.get_by_role("dialog").get_by_role("button", name="Yes, ").wait_for()
    assert axe_faults(page) == []
    page.keyboard.press("Escape")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_where_the_line_is_down_or_the_desk_is_empty(watched, house, scheme):
    with Wire(house.port) as wire:
        watch = watched(color_scheme=scheme)
        watch.expect("WebSocket connection to|ERR_|Failed to load resource")
        page = sign_in(watch, house, port=wire.port)
        wire.closed = True
        wire.cut()
        wait_live(page, "lost")
        page.wait_for_timeout(100)
        assert axe_faults(page) == []
    with House(Desk(CoreVault(USD, total="20000", tradeable="15000")), run=False) as empty:
        page = sign_in(watched(color_scheme=scheme), empty)
        agree(page, empty)
        assert axe_faults(page) == []


def test_axe_finds_nothing_serious_in_the_login_page_and_the_saved_file(watched, house, tmp_path):
    watch = watched(hosts=(f"127.0.0.1:{house.port}",))
    watch.expect("401")
    page = watch.context.new_page()
    page.goto(house.url + "login")
    assert axe_faults(page) == []
    path = tmp_path / "desk.html"
    house.ask(save, house.desk, path)
    page = watched(hosts=("file",)).context.new_page()
    page.goto(path.as_uri())
    page.locator("engine-vault-card").first.wait_for()
    assert axe_faults(page) == []


def focused(page):
    """What has the focus, through the shadow roots: its tag, its name, and whether a ring is to be seen."""
    return page.evaluate(
        """() => { let at = document.activeElement; while (at?.shadowRoot?.activeElement) at = at.shadowRoot.activeElement;
            const style = getComputedStyle(at), box = at.getBoundingClientRect();
            return { tag: at.localName, name: at.getAttribute('aria-label') ?? at.textContent.trim().slice(0, 60), wide: box.width,
                ring: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 1 || style.boxShadow !== 'none' }; }"""
    )


def test_a_deposit_by_keys_alone(watched, house):
    flash = house.vault.sleeves["flash"]
    before = house.ask(lambda: flash.allocation + flash.pending)
    page = sign_in(watched(), house)
    page.locator("engine-vault-card[sleeve=flash]").wait_for()
    page.get_by_role("button", name="Deposit flash", exact=True).wait_for()
    visited = []
    for _ in range(200):
        page.keyboard.press("Tab")
        at = focused(page)
        visited.append(at)
        if at["name"] == "Deposit flash":
            break
    assert visited[-1]["name"] == "Deposit flash", [one["name"] for one in visited]
    for one in visited:
        assert one["ring"] or one["tag"] in ("body", "html"), f"no focus to be seen on {one}"
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    dialog.wait_for()
    assert focused(page)["tag"] == "input", "the dialog begins where something is to be entered"
    page.keyboard.type("12.5")
    page.keyboard.press("Enter")
    dialog.get_by_role("button", name="Yes, deposit to flash").wait_for()
    for _ in range(12):  # the focus stays in the dialog
        page.keyboard.press("Tab")
        assert dialog.evaluate("one => { const at = one.getRootNode().activeElement; return at === null || one.contains(at); }")
    dialog.get_by_role("button", name="Yes, deposit to flash").focus()
    page.keyboard.press("Enter")
    dialog.get_by_text("Done", exact=True).wait_for()
    page.keyboard.press("Escape")
    dialog.wait_for(state="detached")
    assert focused(page)["name"] == "Deposit flash"
    assert house.ask(lambda: flash.allocation + flash.pending) == before + USD("12.5")


@pytest.mark.parametrize("width", [360, 640, 768, 1024, 1440])
def test_the_page_never_scrolls_sideways(watched, house, width):
    """640 pixels are also what a window of 1280 is at 200% zoom, 360 what a phone is."""
    page = sign_in(watched(viewport={"width": width, "height": 800}), house)
    page.locator("engine-vault-card").first.wait_for()
    page.wait_for_timeout(150)
    wide = page.evaluate(
        """() => {
            const limit = document.documentElement.clientWidth + 1;
            const clipped = one => {
                for (let at = one.parentNode ?? one.host; at; at = at.parentNode ?? at.host)
                    if (at instanceof Element && getComputedStyle(at).overflowX !== 'visible') return true;
                return false;
            };
            const over = everywhere('*').filter(one => one.getBoundingClientRect().right > limit && !clipped(one));
            return over.slice(0, 8).map(one => `${one.localName}.${one.className}`);
        }"""
    )
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"), wide


def test_who_wants_less_motion_gets_none(watched, house):
    page = sign_in(watched(reduced_motion="reduce"), house)
    page.locator("engine-vault-card").first.wait_for()
    moving = page.evaluate("() => document.getAnimations().filter(one => one.effect.getComputedTiming().activeDuration > 20).length")
    assert moving == 0
    slow = page.evaluate(
        """() => everywhere('*').filter(one => ['transitionDuration', 'animationDuration'].some(what =>
            getComputedStyle(one)[what].split(',').some(text => parseFloat(text) > 0.02))).slice(0, 5).map(one => one.localName)"""
    )
    assert slow == []


def test_a_reader_hears_landmarks_headings_and_tables(watched, house):
    page = sign_in(watched(), house)
    page.locator("engine-vault-card").first.wait_for()
    assert page.get_by_role("main").count() == 1
    assert page.get_by_role("banner").count() == 1
    assert page.get_by_role("heading", level=1).count() == 1
    assert page.get_by_role("heading", level=2).count() >= 3
    nameless = page.evaluate(
        """() => [
            ...everywhere('table').filter(one => !one.caption?.textContent.trim()).map(() => 'a table without a caption'),
            ...everywhere('th:not([scope])').map(one => 'a heading without scope: ' + one.textContent),
            ...everywhere("svg:not([aria-hidden=true])").filter(one => !one.getAttribute('aria-label')
                && !one.getAttribute('aria-labelledby') && !one.querySelector('title')).map(() => 'a nameless picture'),
        ]"""
    )
    assert nameless == []
    assert page.evaluate(f"{STORE}.state") == "live"


def test_each_part_alone_has_no_serious_fault(watched):
    """Every component in a bare page, with a picture and without a store."""
    snapshot = to_json(Feed(played(a_desk(hostile=True), a_market(rows=150, pace=0))).snapshot()).decode()
    tags = [
        '<engine-vault-card sleeve="flash"></engine-vault-card>',
        '<core-vault-card vault="core:main:USD"></core-vault-card>',
        "<inventory-view></inventory-view>",
        '<sleeve-chart sleeve="flash"></sleeve-chart>',
        "<position-table></position-table>",
        "<health-gauge></health-gauge>",
        "<funding-table></funding-table>",
        "<order-log></order-log>",
        "<alert-list></alert-list>",
        "<book-view></book-view>",
    ]
    pages = parts_of_the_page()
    head = '<!doctype html><html lang="en"><title>parts</title><main><h1>Parts</h1><h2>Each</h2>'
    load = '<script type="module" src="/static/index.js"></script>'
    data = '<script id="picture" type="application/json">' + snapshot.replace("<", "\\u003c") + "</script>"
    all_of_them = "".join(tags)
    pages["/"] = f'{head}<sleeves-desk snapshot="#picture">{all_of_them}</sleeves-desk>{data}{load}</main>'
    pages["/bare"] = f"{head}{all_of_them}{load}</main>"
    with elsewhere(pages) as port:
        watch = watched(hosts=(f"127.0.0.1:{port}",))
        page = watch.context.new_page()
        page.goto(f"http://127.0.0.1:{port}/")
        for tag in tags:
            name = tag[1:].split(">")[0].split(" ")[0]
            page.wait_for_function("name => everywhere(name)[0].shadowRoot.childNodes.length > 0", arg=name)
            assert page.locator(name).first.bounding_box()["height"] > 20, f"{tag} shows nothing"
        assert axe_faults(page) == []
        page.goto(f"http://127.0.0.1:{port}/bare")
        page.wait_for_timeout(50)
        assert axe_faults(page) == [], "without a desk"
