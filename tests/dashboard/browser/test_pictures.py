"""Chart, positions, health, funding and books in a browser, each alone in a foreign page, told what a real desk tells.

The desk is played beforehand; the page gets its snapshot as JSON. What the desk did not come to (an unknown price, a second asset,
health at a threshold) is brought by a delta that changes a row of it.
"""

from __future__ import annotations

import json
from decimal import Decimal
from functools import cache
from pathlib import Path

import pytest
from browsing import axe_faults, elsewhere

import sleeves
from dashboard.stand import make_desk
from sleeves.dashboard.feed import Feed
from sleeves.dashboard.messages import to_json

STATIC = Path(sleeves.__file__).parent / "dashboard" / "static"
STORE = "document.querySelector('sleeves-desk').store"
PARTS = ("sleeve-chart", "position-table", "health-gauge", "funding-table", "book-view")
FRAME = "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"


@cache
def told() -> dict:
    stand = make_desk(engines=3, contracts=True)
    stand.play(300)
    return json.loads(to_json(Feed(stand.desk, title="pictures").snapshot()))


@pytest.fixture(scope="module")
def port():
    pages = {f"/static/{path.relative_to(STATIC).as_posix()}": path.read_bytes() for path in STATIC.rglob("*") if path.is_file()}
    data = json.dumps(told()).replace("<", "\\u003c")
    for part in PARTS:
        pages[f"/{part}"] = (
            f'<!doctype html><html lang="en"><head><title>{part}</title></head><body><main><h1>Host</h1>'
            f'<script type="application/json" id="told">{data}</script>'
            f'<sleeves-desk snapshot="#told"><{part}></{part}></sleeves-desk>'
            f'<script type="module" src="/static/index.js"></script></main></body></html>'
        )
    with elsewhere(pages) as found:
        yield found


@pytest.fixture
def show(watched, port):
    """A part alone on a page, drawn; `show("health-gauge", account="core:main:USD")`."""

    def open_(part: str, *, viewport=(1280, 900), scheme="light", **attributes: str):
        watch = watched(hosts=(f"127.0.0.1:{port}",), viewport=dict(zip(("width", "height"), viewport, strict=True)), color_scheme=scheme)
        page = watch.context.new_page()
        page.goto(f"http://127.0.0.1:{port}/{part}")
        page.wait_for_function(f"document.querySelector('{part}').shadowRoot?.querySelector('section, .panel') !== null")
        for name, value in attributes.items():
            page.evaluate("([part, name, value]) => document.querySelector(part).setAttribute(name, value)", [part, name, value])
        page.evaluate(FRAME)
        return page

    return open_


def change(page, **what) -> None:
    """A delta of our own, applied as any other, and drawn."""
    page.evaluate(
        f"""what => {{ const store = {STORE};
            store.apply({{ type: "delta", session: store.session, seq: store.seq + 1, at_ms: store.at_ms, ...what }}); }}""",
        what,
    )
    page.evaluate(FRAME)


def rows_of(page, part):
    """The body of a part's first table, as lists of cells' titles, or texts without one."""
    return page.evaluate(
        """part => [...document.querySelector(part).shadowRoot.querySelectorAll("tbody tr")].map(tr =>
            [...tr.cells].map(cell => { const value = cell.querySelector(".value") ?? cell;
                const one = value.querySelector(".main") ?? value; return one.title || one.textContent; }))""",
        part,
    )


def exact(title: str) -> Decimal:
    return Decimal(title.split(" ")[0].replace(",", "").replace("\u2212", "-"))


# -- positions -----------------------------------------------------------------------------------------------------------------


def test_positions_are_those_of_the_books_to_the_last_digit(show):
    page, rows = show("position-table"), told()["tables"]["positions"]
    assert {row["kind"] for row in rows.values()} == {"coins", "contract"}
    shown = rows_of(page, "position-table")
    assert sorted((row[0], row[1]) for row in shown) == sorted((row["sleeve"], row["market"]) for row in rows.values())
    for sleeve, market, side, size, entry, mark, value, unrealized, _liquidation, margin, funding, _close in shown:
        row = rows[f"{sleeve}|{market}"]
        assert side.endswith(row["side"])
        found = (exact(size), exact(entry), exact(mark), exact(value), exact(unrealized))
        assert found == tuple(Decimal(row[name]) for name in ("size", "entry", "mark", "value", "unrealized"))
        if row["kind"] == "contract":
            assert (exact(margin), exact(funding)) == (Decimal(row["margin"]), Decimal(row["funding"]))
    sums = page.evaluate(
        "[...document.querySelector('position-table').shadowRoot.querySelectorAll('tfoot td .value')].map(one => one.title)"
    )
    contracts = [row for row in rows.values() if row["kind"] == "contract"]
    wanted = [sum(Decimal(row[name]) for row in rows.values()) for name in ("value", "unrealized")]
    wanted += [sum(Decimal(row[name]) for row in contracts) for name in ("margin", "funding")]
    assert [exact(one) for one in sums] == wanted


def test_a_position_without_a_price_is_unknown_and_so_is_its_sum(show):
    page = show("position-table")
    key, row = next(item for item in told()["tables"]["positions"].items() if item[1]["kind"] == "contract")
    change(page, set={"positions": {key: row | {"mark": None, "mark_ms": None, "value": None, "unrealized": None, "liquidation": None}}})
    shown = next(one for one in rows_of(page, "position-table") if f"{one[0]}|{one[1]}" == key)
    assert shown[5:8] == ["unknown"] * 3
    text = page.locator("position-table").evaluate("part => part.shadowRoot.textContent")
    assert "never seen" in text
    assert page.locator("position-table tfoot td .value").all_inner_texts()[:2] == ["\u2014", "\u2014"]


def test_different_assets_are_never_added(show):
    page = show("position-table")
    key, row = next(iter(told()["tables"]["positions"].items()))
    change(page, set={"positions": {key: row | {"quote": "EUR"}}})
    foot = page.locator("position-table tfoot tr")
    assert sorted(foot.nth(n).locator("th").inner_text().rsplit(" ", 1)[1] for n in range(foot.count())) == ["EUR", "USD"]
    euros = foot.filter(has_text="EUR").locator(".value").first
    assert euros.get_attribute("title").endswith(" EUR")
    assert exact(euros.get_attribute("title")) == Decimal(row["value"])


def test_it_sorts_by_keyboard_and_says_so(show):
    page = show("position-table")
    head = page.locator("position-table").get_by_role("columnheader", name="Unrealized")
    for key, order in (("Enter", "descending"), ("Space", "ascending")):
        head.get_by_role("button").press(key)
        page.evaluate(FRAME)
        assert head.get_attribute("aria-sort") == order
        shown = [exact(row[7]) for row in rows_of(page, "position-table")]
        assert shown == sorted(shown, reverse=order == "descending")
    assert page.locator("position-table th[aria-sort]").count() == 1


def test_closing_asks_first_and_names_what_is_closed(show):
    page = show("position-table")
    assert page.get_by_role("button", name="Close ").count() == 0
    page.evaluate(
        f"""() => {{ const store = {STORE}; window.sent = []; store.commands = true;
            store.transport = {{ send: message => {{ window.sent.push(message); return true; }} }}; store.become("live"); }}"""
    )
    page.evaluate(FRAME)
    row = next(iter(told()["tables"]["positions"].values()))
    button = page.get_by_role("button", name=f"Close {row['market']} of {row['sleeve']}", exact=True)
    button.click()
    page.get_by_role("dialog").wait_for()
    page.wait_for_function("window.sent.some(one => one.type === 'preview')")
    asked = page.evaluate("window.sent.filter(one => one.instruction)")
    assert [(one["type"], one["instruction"]["what"]) for one in asked] == [("preview", "close")]
    assert (asked[0]["instruction"]["sleeve"], asked[0]["instruction"]["market"]) == (row["sleeve"], row["market"])
    page.keyboard.press("Escape")
    page.wait_for_function("everywhere('dialog[open]').length === 0")
    assert page.evaluate("window.sent.filter(one => one.type === 'do').length") == 0
    page.evaluate(f"{STORE}.become('lost')")
    page.evaluate(FRAME)
    assert button.is_disabled()


def test_how_far_liquidation_is(show):
    page = show("position-table")
    page.evaluate("import('/static/position-table.js').then(found => { window.distance = found.distance; })")
    page.wait_for_function("() => Boolean(window.distance)")
    for mark, liquidation, said in (
        ("100", "80", "20.0% below"),
        ("100", "125.5", "25.5% above"),
        ("100", "95.125", "4.88% below"),
        (None, "80", None),
        ("100", None, None),
    ):
        assert page.evaluate("([mark, liquidation]) => window.distance(mark, liquidation)", [mark, liquidation]) == said


# -- health --------------------------------------------------------------------------------------------------------------------

ACCOUNT = "core:main:USD"


HEALTHS = {"100": "good", "80": "good", "79.99": "fair", "50": "fair", "49.99": "poor", "20": "poor", "19.99": "critical", "0": "critical"}


def test_one_scale_of_health_with_its_word_at_both_sides_of_each_threshold(show):
    page = show("health-gauge", account=ACCOUNT)
    meter = page.get_by_role("meter")
    for health, word in HEALTHS.items():
        change(page, set={"accounts": {ACCOUNT: told()["tables"]["accounts"][ACCOUNT] | {"health": health}}})
        assert Decimal(meter.get_attribute("aria-valuenow")) == Decimal(health)
        assert (meter.get_attribute("aria-valuemin"), meter.get_attribute("aria-valuemax")) == ("0", "100")
        assert meter.get_attribute("aria-valuetext").endswith(word)
        assert page.locator("health-gauge .badge .word").inner_text() == word
        assert page.locator("health-gauge strong").inner_text() == health.removesuffix("9"), (
            "cut off, so that it never seems to be on the next step"
        )
        turned = page.locator("health-gauge .needle").evaluate("node => node.style.getPropertyValue('--turn')")
        assert float(turned.removesuffix("deg")) == pytest.approx(float(health) * 1.8, abs=0.01)


def test_unknown_health_is_unknown_and_never_full(show):
    page = show("health-gauge")
    row = told()["tables"]["accounts"][ACCOUNT]
    names = ("health", "leverage", "total_collateral", "free_collateral", "maintenance", "initial")
    change(page, set={"accounts": {ACCOUNT: row | dict.fromkeys(names)}})
    assert page.get_by_role("meter").count() == 0
    assert page.get_by_role("img", name="unknown").count() == 1
    assert page.locator("health-gauge .badge .word").inner_text() == "unknown"
    assert page.locator("health-gauge .needle").evaluate("node => node.style.visibility") == "hidden"
    assert page.locator("health-gauge dd").all_inner_texts() == ["\u2014"] * 5


def test_an_account_that_is_not_there_is_said_not_to_be(show):
    page = show("health-gauge", account="core:main:USD:7")
    assert page.get_by_role("meter").count() == 0
    assert "holds no contracts" in page.locator("health-gauge .empty").inner_text()


# -- funding -------------------------------------------------------------------------------------------------------------------


def test_funding_has_its_interval_its_year_and_the_three_largest(show):
    page = show("funding-table")
    row = next(iter(told()["tables"]["funding"].values()))
    # in percent: the rate, its interval in seconds, the year
    rates = [
        ("A", "0.0100000", 28_800, "10.95"),
        ("B", "-0.0300000", 28_800, "-32.85"),
        ("C", "0.0012500", 3_600, "10.95"),
        ("D", "0", 28_800, "0"),
        ("E", "0.0500000", 3_600, "438"),
    ]
    pays = {1: "longs pay shorts", 0: "nobody pays", -1: "shorts pay longs"}
    added = {
        name: row
        | {"market": name, "rate": rate, "every_s": every, "apr": apr, "direction": pays[(Decimal(rate) > 0) - (Decimal(rate) < 0)]}
        for name, rate, every, apr in rates
    }
    change(page, set={"funding": added}, drop={"funding": list(told()["tables"]["funding"])})
    lines = page.locator("funding-table tbody tr")
    said = [lines.nth(n).locator("th, td").all_inner_texts() for n in range(lines.count())]
    assert [line[0].removeprefix("#").lstrip("123 ").split()[0] for line in said] == ["E", "B", "A", "C", "D"]
    assert [line[0].split()[0] for line in said[:3]] == ["#1", "#2", "#3"]
    assert "#" not in said[3][0] + said[4][0]
    assert said[2][1:4] == ["+0.0100% / 8 h", "+0.00125%", "+10.95%"]
    assert said[3][1:4] == ["+0.00125% / 1 h", "+0.00125%", "+10.95%"]
    assert said[1][1].startswith("\u22120.0300%")
    assert [line[0].split("\n")[-1] for line in said] == ["longs pay shorts", "shorts pay longs", *["longs pay shorts"] * 2, "nobody pays"]
    assert [line[4] for line in said] == ["\u2014"] * 5, "no venue told its open interest"


def test_what_was_received_is_what_the_sleeves_received(show):
    page = show("funding-table")
    wanted = {name: Decimal(row["funding"]) for name, row in told()["tables"]["sleeves"].items() if Decimal(row["funding"])}
    assert wanted
    lines = page.locator("funding-table .paid li")
    found = {
        lines.nth(n).locator(".who").inner_text(): exact(lines.nth(n).locator(".num").get_attribute("title")) for n in range(lines.count())
    }
    assert found == wanted


# -- books ---------------------------------------------------------------------------------------------------------------------

BOOK = {
    "sleeve": "rest",
    "market": "BTC/USD",
    "bid": "100.10",
    "ask": "100.20",
    "own": [
        {"side": "sell", "price": "100.40", "qty": "2", "left": "1.5", "order": "rest-4"},
        {"side": "buy", "price": "100.10", "qty": "1", "left": "1", "order": "rest-3"},
        {"side": "buy", "price": "100.10", "qty": "0.5", "left": "0.25", "order": "rest-2"},
        {"side": "buy", "price": "99.00", "qty": "3", "left": "3", "order": "rest-1"},
    ],
    "depth": {"bids": [["100.10", "4"], ["100.05", "2"]], "asks": [["100.20", "1"], ["100.30", "6"]]},
}


def ladder(page):
    return page.evaluate(
        """() => [...document.querySelector("book-view").shadowRoot.querySelectorAll("tbody tr")].map(tr =>
            tr.className.includes("spread") ? tr.textContent
                : [...tr.cells].map(cell => (cell.querySelector(".figure") ?? cell).textContent))"""
    )


def test_the_ladder_is_own_quotes_against_the_market(show):
    page = show("book-view", sleeve="rest")
    change(page, set={"books": {"rest|BTC/USD": BOOK}})
    assert ladder(page) == [
        ["1.5", "100.40", ""],
        ["", "100.30", "6"],
        ["", "100.20", "1"],
        "spread 0.10 (10.0 bp)",
        ["1.25", "100.10", "4"],
        ["", "100.05", "2"],
        ["3", "99.00", ""],
    ]
    parts = page.evaluate(
        """() => [...document.querySelector("book-view").shadowRoot.querySelectorAll("tbody .bar")].map(bar =>
            Number(bar.style.getPropertyValue("--part")))"""
    )
    assert max(parts) == 1
    assert parts[0] == pytest.approx(1.5 / 6, abs=1e-4), "own and market are drawn to one scale"
    said = page.locator("book-view p.vh").text_content()
    assert "1 own ask of 1.5" in said and "3 own bids of 4.25" in said and "best bid 100.10" in said.lower()


def test_levels_stay_the_same_nodes_when_others_come_and_go(show):
    page = show("book-view", sleeve="rest")
    change(page, set={"books": {"rest|BTC/USD": BOOK}})
    page.evaluate(
        """() => { window.before = new Map([...document.querySelector("book-view").shadowRoot.querySelectorAll("tbody tr")].map(tr =>
            [tr.querySelector(".price")?.textContent ?? "spread", tr])); }"""
    )
    moved = BOOK | {"ask": "100.25", "depth": {"bids": BOOK["depth"]["bids"], "asks": [["100.25", "2"], ["100.30", "6"]]}}
    change(page, set={"books": {"rest|BTC/USD": moved}})
    same = page.evaluate(
        """() => [...document.querySelector("book-view").shadowRoot.querySelectorAll("tbody tr")].map(tr =>
            [tr.querySelector(".price")?.textContent ?? "spread", tr]).map(([name, tr]) => [name, window.before.get(name) === tr])"""
    )
    assert dict(same) == {"100.40": True, "100.30": True, "100.25": False, "spread": True, "100.10": True, "100.05": True, "99.00": True}


def test_where_the_last_quote_is_older_than_the_depth_the_depth_counts(show):
    page = show("book-view", sleeve="rest")
    change(page, set={"books": {"rest|BTC/USD": BOOK | {"bid": "99.5", "ask": "99.9", "own": []}}})
    assert ladder(page) == [["", "100.30", "6"], ["", "100.20", "1"], "spread 0.10 (10.0 bp)", ["", "100.10", "4"], ["", "100.05", "2"]]
    assert page.locator("book-view tr.best").all_inner_texts()[0].strip().startswith("100.20")


def test_a_book_without_depth_or_price_says_so(show):
    page = show("book-view", sleeve="rest")
    change(page, set={"books": {"rest|BTC/USD": BOOK | {"depth": None, "bid": None, "own": BOOK["own"][:1]}}})
    assert ladder(page) == [["1.5", "100.40", ""], ["", "100.20", ""], "no price on both sides"]
    assert "tells no depth" in page.locator("book-view").evaluate("part => part.shadowRoot.textContent")


# -- the chart -----------------------------------------------------------------------------------------------------------------


PIXELS = """(width => { const canvas = document.querySelector("sleeve-chart").shadowRoot.querySelector("canvas");
    const copy = new OffscreenCanvas(canvas.width, canvas.height), pen = copy.getContext("2d", { willReadFrequently: true });
    pen.drawImage(canvas, 0, 0);
    return pen.getImageData(0, 0, width ?? canvas.width, canvas.height).data; })"""


def ink(page) -> int:
    """How many pixels of the canvas have a strong colour: those of lines, not those of grid and words."""
    return page.evaluate(
        f"""() => {{ const data = {PIXELS}(); let found = 0;
            for (let at = 0; at < data.length; at += 4) {{
              const [r, g, b, a] = data.slice(at, at + 4);
              if (a > 200 && Math.max(r, g, b) - Math.min(r, g, b) > 60) found += 1;
            }}
            return found; }}"""
    )


def legend(page):
    """The figures below the crosshair: by line, exact."""
    return page.evaluate(
        """() => Object.fromEntries([...document.querySelector("sleeve-chart").shadowRoot.querySelectorAll(".legend li")].map(li =>
            [li.querySelector(".name").textContent, Object.fromEntries([...li.querySelectorAll(".values span")].map(one =>
                [one.dataset.field, one.title.split(" ")[1]]))]))"""
    )


def number(text: str) -> Decimal:
    return Decimal(text.replace(",", "").replace("\u2212", "-"))


def test_it_shows_the_latest_figures_and_those_below_the_crosshair(show):
    page = show("sleeve-chart", sleeve="flash")
    assert ink(page) > 500
    row = told()["tables"]["sleeves"]["flash"]
    assert {name: number(text) for name, text in legend(page)["flash"].items()} == {
        name: Decimal(row[name]) for name in ("balance", "equity")
    }
    points = told()["charts"]["sleeve:flash"]["points"]
    plot = page.get_by_role("slider")
    plot.focus()
    page.keyboard.press("Home")
    assert int(plot.get_attribute("aria-valuenow")) == points[0][0]
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowRight")
    page.evaluate(FRAME)
    times = sorted({point[0] for point in points})
    at = times[14]
    wanted = [point for point in points if point[0] == at][-1]
    assert int(plot.get_attribute("aria-valuenow")) == at
    assert {name: float(number(text)) for name, text in legend(page)["flash"].items()} == {"balance": wanted[1], "equity": wanted[2]}
    assert "UTC" in plot.get_attribute("aria-valuetext")


def test_tabs_turn_by_keys_and_each_has_its_lines(show):
    page = show("sleeve-chart")
    tabs = page.get_by_role("tab")
    assert tabs.all_inner_texts() == ["Balance", "Profit", "Fees", "Returned", "Tradeable"]
    tabs.first.focus()
    lines = {}
    for name in ("Balance", "Profit", "Fees", "Returned", "Tradeable"):
        chosen = page.get_by_role("tab", selected=True)
        assert chosen.inner_text() == name and chosen.get_attribute("tabindex") == "0"
        lines[name] = legend(page)
        page.keyboard.press("ArrowRight")
        page.evaluate(FRAME)
    rows = told()["tables"]["sleeves"]
    assert set(lines["Balance"]) == set(rows)
    assert {name: number(one["fees"]) for name, one in lines["Fees"].items()} == {name: Decimal(row["fees"]) for name, row in rows.items()}
    assert set(lines["Returned"]) == {name for name, row in rows.items() if row["policy"] != "quiet" or Decimal(row["returned"])}
    vault = told()["tables"]["vaults"][ACCOUNT]
    assert {name: number(text) for name, text in lines["Tradeable"]["main USD"].items()} == {
        name: Decimal(vault[name]) for name in ("tradeable", "total")
    }
    assert page.get_by_role("tab", selected=True).inner_text() == "Balance", "and round again"


def test_a_line_is_switched_off_by_key_and_stays_off(show):
    page = show("sleeve-chart")
    full = ink(page)
    for name in told()["tables"]["sleeves"]:
        page.get_by_role("button", name=name).first.press("Enter")
        page.evaluate(FRAME)
    assert [one.get_attribute("aria-pressed") for one in page.locator("sleeve-chart .legend button").all()] == ["false"] * len(
        told()["tables"]["sleeves"]
    )
    assert ink(page) < full / 20
    page.get_by_role("tab", name="Profit").click()
    assert page.locator("sleeve-chart .legend button[aria-pressed=true]").count() == 0


def test_zoom_by_drag_wheel_and_keys_and_back(show):
    page = show("sleeve-chart")
    plot = page.get_by_role("slider")

    def span():
        return int(plot.get_attribute("aria-valuemax")) - int(plot.get_attribute("aria-valuemin"))

    whole = span()
    reset = page.get_by_role("button", name="Reset zoom")
    assert reset.count() == 0
    box = page.locator("sleeve-chart .u-over").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.25, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.75, box["y"] + 60, steps=4)
    page.mouse.up()
    page.evaluate(FRAME)
    half = span()
    assert half == pytest.approx(whole / 2, rel=0.02)
    page.mouse.wheel(0, -300)
    page.evaluate(FRAME)
    page.wait_for_function(
        "half => { const plot = everywhere('[role=slider]')[0]; return plot.ariaValueMax - plot.ariaValueMin < half; }", arg=half
    )
    reset.click()
    page.evaluate(FRAME)
    assert span() == whole
    assert page.evaluate("document.querySelector('sleeve-chart').shadowRoot.activeElement.getAttribute('role')") == "slider", (
        "the focus is not lost"
    )
    page.keyboard.press("+")
    page.evaluate(FRAME)
    assert span() < whole
    page.keyboard.press("Escape")
    page.evaluate(FRAME)
    assert span() == whole


def test_without_focus_the_wheel_scrolls_the_page(show):
    page = show("sleeve-chart", viewport=(900, 300))
    before = page.get_by_role("slider").get_attribute("aria-valuemin")
    box = page.locator("sleeve-chart .plot").bounding_box()
    page.mouse.move(box["x"] + 200, min(290, box["y"] + 20))
    page.mouse.wheel(0, 200)
    page.wait_for_function("window.scrollY > 0")
    assert page.get_by_role("slider").get_attribute("aria-valuemin") == before


def test_new_points_are_appended_and_the_end_is_followed(show):
    page = show("sleeve-chart", sleeve="flash")
    canvas = "document.querySelector('sleeve-chart').shadowRoot.querySelector('canvas')"
    page.evaluate(f"() => {{ window.canvas = {canvas}; }}")
    last = told()["charts"]["sleeve:flash"]["points"][-1]
    for n in range(1, 6):
        change(page, points={"sleeve:flash": [[last[0] + n * 3_600_000, last[1] + n, None, *last[3:]]]})
    plot = page.get_by_role("slider")
    page.wait_for_function("to => Number(everywhere('[role=slider]')[0].ariaValueMax) === to", arg=last[0] + 5 * 3_600_000)
    assert page.evaluate(f"window.canvas === {canvas}"), "it was not built anew"
    plot.focus()
    page.keyboard.press("End")
    page.evaluate(FRAME)
    found = legend(page)["flash"]
    assert float(number(found["balance"])) == last[1] + 5
    assert found["equity"] == "unknown"
    page.locator("sleeve-chart summary").click()
    figures = page.locator("sleeve-chart .figures tbody tr").filter(has_text="balance").locator("td")
    balances = [point[1] for point in told()["charts"]["sleeve:flash"]["points"]] + [last[1] + n for n in range(1, 6)]
    wanted = [balances[0], balances[-1], min(balances), max(balances)]
    assert [float(number(figures.nth(n).get_attribute("title").split(" ")[0])) for n in range(4)] == wanted


def test_lines_follow_the_theme(show):
    page = show("sleeve-chart", sleeve="flash")
    words = f"""() => {{ const data = {PIXELS}(60); let [light, dark] = [0, 0];
        for (let at = 0; at < data.length; at += 4)
          if (data[at + 3] > 250) data[at] + data[at + 1] + data[at + 2] > 380 ? (light += 1) : (dark += 1);
        return light > dark ? "light" : "dark"; }}"""
    assert page.evaluate(words) == "dark"
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(f"({words})() === 'light'")
    page.evaluate("document.querySelector('sleeve-chart').setAttribute('theme', 'light')")
    page.wait_for_function(f"({words})() === 'dark'")


def test_how_points_become_a_path(show):
    page = show("sleeve-chart")
    page.evaluate("import('/static/lines.js').then(found => { window.lines = found; })")
    page.wait_for_function("window.lines")
    pen = """([x, y, step, from, to, until]) => { const path = [];
        const pen = { moveTo: (a, b) => path.push(["M", a, b]), lineTo: (a, b) => path.push(["L", a, b]) };
        window.lines.draw(pen, x, y, { from, to, until, step, toX: t => t * 10, toY: v => v }); return path; }"""

    def path(x, y, *, step, from_=0, to=100, until=None):
        return [(word, a, b) for word, a, b in page.evaluate(pen, [x, y, step, from_, to, x[-1] if until is None else until])]

    assert path([0, 1, 2], [5, 7, 6], step=False) == [("M", 0, 5), ("L", 10, 7), ("L", 20, 6)]
    assert path([0, 1, 2], [5, 7, 6], step=True) == [("M", 0, 5), ("L", 10, 5), ("L", 10, 7), ("L", 20, 7), ("L", 20, 6)]
    assert path([0, 1], [5, 5], step=True, until=3)[-1] == ("L", 30, 5), "what stands is drawn until now"
    assert path([0, 1, 2, 3], [5, 6, None, 7], step=False) == [("M", 0, 5), ("L", 10, 6), ("M", 30, 7), ("L", 31.5, 7)], (
        "a gap, and a dot behind it"
    )
    assert path([0, 1, 2, 3], [5, 6, None, 7], step=True, until=3)[:4] == [("M", 0, 5), ("L", 10, 5), ("L", 10, 6), ("L", 20, 6)]
    assert path([0, 1, 2, 3, 4], [1, 2, 3, 4, 5], step=False, from_=2, to=2)[0] == ("M", 20, 3)
    dense = path([0, 0.01, 0.02, 0.03, 1], [5, 9, 1, 6, 5], step=False)
    assert {(a, b) for _, a, b in dense} >= {(0, 5), (0, 9), (0, 1), (0, 6), (10, 5)}, "no extreme of one pixel is lost"
    assert path([0, 1], [None, None], step=False) == []


def test_columns_take_what_is_new_and_notice_what_is_another(show):
    page = show("sleeve-chart")
    page.evaluate("import('/static/lines.js').then(found => { window.lines = found; })")
    page.wait_for_function("window.lines")
    said = page.evaluate(
        """() => { const { Columns } = window.lines, columns = new Columns(), said = [], fields = ["at_ms", "a"];
            const points = [[1, 10], [2, null], [3, 30]];
            const take = series => said.push(columns.take(series), [...columns.x].join(), columns.of("a").map(String).join());
            take({ fields, points }); take({ fields, points });
            points.push([4, 40]); take({ fields, points });
            take({ fields, points: points.slice(2) });
            take({ fields: ["at_ms", "b"], points });
            take({ fields, points: [] }); take(undefined);
            return said; }"""
    )
    assert said == [
        *("new", "1,2,3", "10,null,30"),
        *("same", "1,2,3", "10,null,30"),
        *("longer", "1,2,3,4", "10,null,30,40"),
        *("new", "3,4", "30,40"),
        *("new", "1,2,3,4", "null,null,null,null"),
        *("new", "", ""),
        *("new", "", ""),
    ]


# -- all of them ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", PARTS)
def test_what_does_not_change_is_not_touched(show, part):
    page = show(part)
    page.evaluate(
        """part => { window.touched = [];
            const noted = found => found.type !== "attributes" || found.oldValue !== found.target.getAttribute(found.attributeName);
            const named = ({ type, attributeName, target }) => `${type} ${attributeName ?? ""} ${target.className ?? ""}`;
            const root = document.querySelector(part).shadowRoot;
            new MutationObserver(all => window.touched.push(...all.filter(noted).map(named))).observe(root,
                { subtree: true, childList: true, characterData: true, attributes: true, attributeOldValue: true }); }""",
        part,
    )
    tables = {name: told()["tables"][name] for name in ("positions", "accounts", "funding", "books", "sleeves", "markets", "vaults")}
    for _ in range(10):
        change(page, set=tables)
    assert page.evaluate("window.touched") == []


@pytest.mark.parametrize("part", PARTS)
def test_nothing_is_out_of_reach_full_or_empty(show, part):
    page = show(part)
    for width, scheme in ((1280, "light"), (1280, "dark"), (360, "light")):
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=scheme)
        page.evaluate(FRAME)
        assert axe_faults(page, least=("moderate", "serious", "critical")) == [], f"{width} {scheme}"
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    names = ("positions", "accounts", "funding", "books", "sleeves", "vaults", "holdings")
    change(page, drop={name: list(told()["tables"][name]) for name in names})
    assert len(page.locator(f"{part} .empty:visible").first.inner_text()) > 20
    assert axe_faults(page, least=("moderate", "serious", "critical")) == []
