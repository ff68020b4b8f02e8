"""The page shows what the books say, to the last unit, while the simulator runs; whatever things are called."""

from __future__ import annotations

from decimal import Decimal

import pytest
from houses import HOSTILE, House, a_desk, a_market
from looking import STORE, agree, amounts, sign_in

from sleeves import QUIET, USD, CoreVault, Desk

PARTS = (
    "engine-vault-card",
    "core-vault-card",
    "inventory-view",
    "sleeve-chart",
    "position-table",
    "health-gauge",
    "funding-table",
    "order-log",
    "alert-list",
    "book-view",
)


def texts(page):
    """All text of the page, through its shadow roots."""
    return page.evaluate("everywhere('*').map(one => one.shadowRoot?.textContent ?? '').join('\\n')")


def test_cards_follow_the_simulator_and_end_as_the_books(watched):
    with House(a_desk(), a_market(rows=120, pace=0.01)) as house:
        page = sign_in(watched(), house)
        card = page.locator("engine-vault-card[sleeve=quiet]")
        card.wait_for()
        seen = set()
        while not house.over.is_set():
            seen.add(tuple(amounts(card).values()))
            page.wait_for_timeout(40)
        assert len(seen) > 3, "the card moved while the market did"
        agree(page, house)
        page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        vault = house.vault
        for name, sleeve in vault.sleeves.items():
            told = amounts(page.locator(f"engine-vault-card[sleeve={name}]"))
            for term, amount in (
                ("Allocated", sleeve.allocation),
                ("Available", sleeve.free),
                ("Realized", sleeve.realized),
                ("Fees", sleeve.fees),
                ("Funding", sleeve.funding),
                ("Returned", sleeve.returned),
            ):
                assert told[term] == amount.decimal, f"{name} {term}"
        told = amounts(page.locator("core-vault-card"))
        assert told["Total coins"] == vault.total.decimal
        assert told["Tradeable coins"] == vault.tradeable.decimal
        assert told["Allocated to sleeves"] == vault.allocated.decimal
        fees = [name for name, row in house.fresh()["tables"]["sleeves"].items() if Decimal(row["fees"])]
        assert fees, "they traded"


def test_every_part_is_on_the_page(watched):
    with House(a_desk(), a_market(pace=0.002)) as house:
        house.until(lambda desk: len(desk.books.journal) > 300)
        page = sign_in(watched(), house)
        for tag in PARTS:
            page.wait_for_function("tag => everywhere(tag).length > 0", arg=tag)


@pytest.mark.parametrize("width", [1440, 360])
def test_a_name_that_would_run_is_text_everywhere(watched, width):
    desk = a_desk(hostile=True)
    with House(desk, a_market(pace=0.01)) as house:
        house.until(lambda desk: any(type(one).__name__ == "Refusal" or type(one).__name__ == "Fill" for one in desk.books.journal))
        page = sign_in(watched(viewport={"width": width, "height": 900}), house)
        page.wait_for_function(f"{STORE}.rows('positions').length + {STORE}.rows('orders').length > 3")
        page.get_by_role("button", name="Kill quiet", exact=True).click()
        page.get_by_role("dialog").wait_for()
        page.wait_for_timeout(300)
        assert HOSTILE in texts(page)
        assert page.title() != "ran"
        assert page.evaluate("everywhere('body img, script:not([src]), [onerror], [onload]').length") == 0


def test_a_desk_with_nothing_in_it_says_what_would_stand_there(watched):
    vault = CoreVault(USD, total="20000", tradeable="15000")
    desk = Desk(vault)
    with House(desk, run=False) as house:
        page = sign_in(watched(), house)
        agree(page, house)
        text = texts(page)
        assert "NaN" not in text and "undefined" not in text and "null" not in text and "[object" not in text


def test_a_sleeve_that_is_opened_while_one_looks_gets_its_card_and_its_chart(watched):
    with House(a_desk(), a_market(pace=0.02)) as house:
        page = sign_in(watched(), house)
        vault = house.vault
        house.ask(lambda: vault.sleeve("late", QUIET, allocate="100"))
        page.locator("engine-vault-card[sleeve=late]").wait_for()
        house.venues[0].still = True
        agree(page, house)


def test_a_long_run_stays_bounded_on_the_page(watched):
    """More points than a chart keeps and more log than a stream keeps: the page lets go of exactly what the server does."""
    with House(a_desk(), a_market(rows=2_600, pace=0.0)) as house:
        page = sign_in(watched(), house)
        assert house.over.wait(60)
        fresh = agree(page, house, within=30)
    assert len(fresh["streams"]["log"]) <= 500
    assert all(len(series["points"]) <= 2_000 for series in fresh["charts"].values())
