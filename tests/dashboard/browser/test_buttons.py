"""What is pressed on the page is done on the books, once, after the numbers were shown; and what is not done is said."""

from __future__ import annotations

import json
import re
from decimal import Decimal

import pytest
from houses import House, a_desk, a_market
from looking import agree, amounts, say_yes, sign_in

from sleeves import USD
from sleeves.records import Instructed
from sleeves.status import Status

SLOW = 0.15
"""Seconds between two prices: fills come in, and a human has time to press."""


@pytest.fixture
def house():
    with House(a_desk(), a_market(pace=SLOW)) as house:
        yield house


@pytest.fixture
def page(watched, house):
    return sign_in(watched(), house)


def instructed(house, what=None):
    """The instructions in the journal."""
    return house.ask(lambda: [one for one in house.desk.books.journal if type(one) is Instructed and what in (None, one.what)])


def given(house, name):
    """What a sleeve was allocated; also while it waits for its next buy."""
    return house.ask(lambda: sleeve(house, name).allocation + sleeve(house, name).pending)


def sleeve(house, name):
    return house.vault.sleeves[name]


def test_deposit_and_withdraw_move_money_on_the_books(house, page):
    vault = house.vault

    def flat(_desk):
        if sleeve(house, "flash").is_flat():
            house.venues[0].still = True  # what a sleeve is given while it holds something waits for its next buy
        return house.venues[0].still

    house.until(flat)
    idle, allocation = house.ask(lambda: vault.idle), given(house, "flash")

    page.get_by_role("button", name="Deposit flash", exact=True).click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Amount").fill("250.5")
    dialog.get_by_role("button", name="Show the numbers").click()
    yes = dialog.get_by_role("button", name="Yes, deposit to flash")
    yes.wait_for()
    assert "250.5" in dialog.inner_text(), "the numbers are shown first"
    assert house.ask(lambda: vault.idle) == idle, "a look moves nothing"
    yes.click()
    dialog.get_by_text("Done", exact=True).wait_for()
    assert (house.ask(lambda: vault.idle), given(house, "flash")) == (idle - USD("250.5"), allocation + USD("250.5"))
    dialog.get_by_role("button", name="Close").click()
    dialog.wait_for(state="detached")

    dialog = say_yes(page, "Withdraw flash", amount="100")
    dialog.get_by_text("Done", exact=True).wait_for()
    assert (house.ask(lambda: vault.idle), given(house, "flash")) == (idle - USD("150.5"), allocation + USD("150.5"))
    dialog.get_by_role("button", name="Close").click()
    card = page.locator("engine-vault-card[sleeve=flash]")
    page.wait_for_function("at => at.shadowRoot.textContent.includes('3,150.50')", arg=card.element_handle())
    assert amounts(card)["Allocated"] == Decimal("3150.5")


def test_coins_come_in_and_go_out_through_the_core_vaults_card(house, page):
    vault = house.vault
    total = house.ask(lambda: vault.total)
    card = page.locator("core-vault-card")
    card.get_by_role("button", name=re.compile("Deposit coins")).click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Amount").fill("1234.56")
    dialog.get_by_role("button", name="Show the numbers").click()
    dialog.get_by_role("button", name="Yes, ").click()
    dialog.get_by_text("Done", exact=True).wait_for()
    assert house.ask(lambda: vault.total) == total + USD("1234.56")
    dialog.get_by_role("button", name="Close").click()

    card.get_by_role("button", name=re.compile("Withdraw coins")).click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Amount").fill("34.56")
    dialog.get_by_role("button", name="Show the numbers").click()
    dialog.get_by_role("button", name="Yes, ").click()
    dialog.get_by_text("Done", exact=True).wait_for()
    assert house.ask(lambda: vault.total) == total + USD("1200")
    house.ask(lambda: house.desk.check().require())


def test_a_declined_dialog_and_nonsense_move_nothing(house, page):
    before = given(house, "flash")
    opener = page.get_by_role("button", name="Deposit flash", exact=True)
    opener.click()
    dialog = page.get_by_role("dialog")
    for nonsense in ("", "abc", "-5", "0", "1e3", "1,5", "99999999", "0.1234567890123456789", "<b>5</b>"):
        dialog.get_by_label("Amount").fill(nonsense)
        dialog.get_by_role("button", name="Show the numbers").click()
        page.wait_for_timeout(60)
        assert dialog.get_by_role("button", name="Yes, ").count() == 0, f"{nonsense!r} was taken"
    dialog.get_by_label("Amount").fill("50")
    dialog.get_by_role("button", name="Show the numbers").click()
    dialog.get_by_role("button", name="Yes, ").wait_for()
    page.keyboard.press("Escape")
    dialog.wait_for(state="detached")
    assert opener.evaluate("one => one.getRootNode().activeElement === one"), "focus returns to where it was"
    opener.click()
    dialog.get_by_label("Amount").fill("50")
    dialog.get_by_role("button", name="Show the numbers").click()
    dialog.get_by_role("button", name="Yes, ").wait_for()
    dialog.get_by_role("button", name="Cancel").click()
    dialog.wait_for(state="detached")
    assert instructed(house) == []
    assert given(house, "flash") == before


def test_a_double_click_sends_once(house, page, watched):
    before = given(house, "flash")
    page.get_by_role("button", name="Deposit flash", exact=True).click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Amount").fill("10")
    dialog.get_by_role("button", name="Show the numbers").dblclick()
    yes = dialog.get_by_role("button", name="Yes, deposit to flash")
    yes.wait_for()
    yes.evaluate("yes => { yes.click(); yes.click(); yes.form.requestSubmit(); }")
    dialog.get_by_text("Done", exact=True).wait_for()
    assert len(instructed(house)) == 1
    assert given(house, "flash") == before + USD("10")


def test_a_ticket_is_good_once_and_for_its_own_terms(house, page):
    """The page's own functions, called by somebody who wants to be quicker than the dialog."""
    found = page.evaluate(
        """async () => {
            const store = document.querySelector('sleeves-desk').store;
            const of = (amount, id) => ({ what: 'allocate', id, sleeve: 'quiet', amount });
            const look = await store.preview(of('10', 'a-1'));
            const all = [
                look,
                await store.do(of('10', 'a-1')),
                await store.do(of('11', 'a-1'), look.ticket),
                await store.do(of('10', 'a-2'), look.ticket),
                await store.do({ ...of('10', 'a-1'), sleeve: 'flash' }, look.ticket),
                await store.do(of('10', 'a-1'), look.ticket),
                await store.do(of('10', 'a-3'), look.ticket),
            ];
            return all.map(one => [one.type, one.code]);
        }"""
    )
    assert [code for kind, code in found if kind == "refused"] == [
        "needs_ticket",
        *["ticket_mismatch"] * 3,
        "ticket_expired",
    ], found
    assert found[5] == ["answer", "done"]
    assert [one.id for one in instructed(house)] == ["a-1"]
    house.ask(lambda: house.desk.check().require())


def test_pause_and_resume(house, page):
    say_yes(page, "Pause flash").get_by_text("Done", exact=True).wait_for()
    assert house.ask(lambda: sleeve(house, "flash").status) is Status.PAUSED
    page.get_by_role("dialog").get_by_role("button", name="Close").click()
    card = page.locator("engine-vault-card[sleeve=flash]")
    card.get_by_text("Paused").first.wait_for()
    say_yes(page, "Resume flash").get_by_text("Done", exact=True).wait_for()
    assert house.ask(lambda: sleeve(house, "flash").status) is Status.ACTIVE


def test_kill_flattens_and_says_what_became_of_it(house, page):
    house.until(lambda desk: not sleeve(house, "quiet").is_flat())
    house.venues[0].pace = 0.4
    page.get_by_role("button", name="Kill quiet", exact=True).click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Halt and flatten").check()
    dialog.get_by_text(re.compile("BTC")).first.wait_for()  # what would be closed
    dialog.get_by_role("button", name="Yes, kill quiet").click()
    dialog.get_by_text(re.compile("^(Done|Under way|Refused)$")).wait_for()
    assert house.ask(lambda: sleeve(house, "quiet").status) is Status.HALTED
    dialog.get_by_text("Done", exact=True).wait_for()
    house.until(lambda desk: sleeve(house, "quiet").is_flat())
    dialog.get_by_role("button", name="Close").click()
    page.wait_for_function("() => ![...document.querySelector('sleeves-desk').store.rows('positions')].some(row => row.sleeve === 'quiet')")
    assert page.locator("engine-vault-card[sleeve=quiet]").get_by_text("Halted").count()


def test_kill_says_what_could_not_be_closed(house, page):
    """The venue takes no order any more: what stays open is named, and is not said to be closed."""
    house.until(lambda desk: not sleeve(house, "quiet").is_flat())
    venue = house.venues[0]

    async def refuses(order):
        from sleeves.errors import VenueRejected

        raise VenueRejected("the venue is in maintenance")

    house.ask(setattr, venue, "submit", refuses)
    page.get_by_role("button", name="Kill quiet", exact=True).click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Halt and flatten").check()
    dialog.get_by_role("button", name="Yes, kill quiet").click()
    dialog.get_by_text(re.compile("BTC/USD")).last.wait_for()
    assert not house.ask(lambda: sleeve(house, "quiet").is_flat())
    assert dialog.get_by_text("Done", exact=True).count() == 0, dialog.inner_text()
    assert page.evaluate("document.querySelector('sleeves-desk').store.rows('positions').some(row => row.sleeve === 'quiet')")


def test_a_page_that_only_shows_has_no_buttons_and_the_server_refuses(watched):
    with House(a_desk(), a_market(), commands=False) as house:
        page = sign_in(watched(), house)
        for word in ("Deposit", "Withdraw", "Pause", "Kill", "Close", "Set tradeable", "Cancel"):
            assert page.get_by_role("button", name=word).locator("visible=true").count() == 0, word
        found = page.evaluate(
            """() => new Promise(resolve => {
                const store = document.querySelector('sleeves-desk').store, transport = store.transport;
                store.addEventListener('stray', event => resolve(event.detail));
                transport.send({ type: 'do', instruction: { what: 'pause', id: 'p-1', target: 'flash' }, ticket: null });
            })"""
        )
        assert (found["type"], found["code"]) == ("refused", "read_only")
        assert instructed(house) == []
        assert house.ask(lambda: sleeve(house, "flash").status) is Status.ACTIVE


def test_who_did_it_is_set_by_the_server(house, page):
    page.evaluate(
        """() => document.querySelector('sleeves-desk').store.do({ what: 'pause', id: 'x-1', target: 'flash', by: 'the boss' }, null)"""
    )
    said = instructed(house)
    assert all(one.by == "page" for one in said), json.dumps([one.by for one in said])
    house.venues[0].still = True
    agree(page, house)
