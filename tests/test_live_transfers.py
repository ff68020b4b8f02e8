"""Coins on their way beside a run: rehearsed before they are sent, confirmed, asked after, and never sent twice."""

from __future__ import annotations

import logging
from functools import partial

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from live_stand import MARKET, alerts, looked, mocked, stand, until
from sleeves import QUIET, USD, USDC, Books, CoreVault, Desk, Place, Side, Treasury
from sleeves.engines import Idle
from sleeves.errors import VenueRejected, VenueUnavailable, VenueUnknown
from sleeves.facts import Transferred
from sleeves.journals import SQLite
from sleeves.live import carry, trade
from sleeves.orders import Transfer
from sleeves.protocols import Venue
from sleeves.records import Alert, Reconciled
from sleeves.sim import Tape, VirtualDriver
from sleeves.sim.faults import Dice, Faults, FaultyVenue

both = pytest.mark.parametrize("backend", ["asyncio", "trio"])


def beside(story, **terms):
    async def main():
        desk, pit, (puppet,) = stand()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(trade, desk, pit, **terms))
            pit.quote()
            await until(lambda: desk.marks())
            await looked(desk, pit)
            await story(desk, pit, desk.treasury["USD"])
            tasks.cancel_scope.cancel()

    return main


# -- rehearsed -----------------------------------------------------------------------------------------------------------------


@both
def test_criterion_3_3_a_transfer_is_rehearsed_before_it_is_sent(backend):
    async def story(desk, pit, vault):
        total = vault.total
        await carry(desk, desk.deposit(vault, "500", by="ann"), pit)
        assert pit.rehearsals == pit.transfers == ["main-transfer-1"]
        await until(lambda: vault.total == total + USD("500"))
        assert not alerts(desk)
        desk.check(dict(pit.coins), deep=True).require()

    anyio.run(beside(story), backend=backend)


@both
def test_criterion_3_4_what_the_rehearsal_refuses_is_not_sent_and_says_what_the_venue_said(backend, caplog):
    """And 9.2: it is logged with what it was about (3.10), and not tried again."""

    async def story(desk, pit, vault):
        idle = vault.idle
        pit.refuse_transfers = "withdrawals are closed"
        with caplog.at_level(logging.WARNING, "sleeves.live"):
            await carry(desk, desk.withdraw(vault, "500", by="ann"), pit)
        assert pit.rehearsals == ["main-transfer-1"] and not pit.transfers
        assert vault.idle == idle and not vault.in_transit.units
        (alert,) = [record for record in desk.books.journal if isinstance(record, Alert)]
        assert alert.code == "transfer_refused" and alert.text == "main-transfer-1: withdrawals are closed"
        (said,) = [one for one in caplog.records if one.name == "sleeves.live"]
        assert said.__dict__["transfer_id"] == "main-transfer-1" and said.__dict__["amount"] == "-500 USD"
        assert "pit would refuse main-transfer-1 of -500 USD: withdrawals are closed" in said.getMessage()
        desk.check(dict(pit.coins), deep=True).require()

    anyio.run(beside(story), backend=backend)


@both
@pytest.mark.parametrize("error", [VenueUnavailable("503"), VenueUnknown("timed out")])
def test_where_it_could_not_be_rehearsed_it_is_not_sent(backend, error):
    async def story(desk, pit, vault):
        idle = vault.idle

        async def fails(transfer):
            raise error

        pit.rehearse = fails
        await carry(desk, desk.withdraw(vault, "500", by="ann"), pit)
        assert not pit.transfers and vault.idle == idle and alerts(desk) == [("warning", "transfer_refused")]

    anyio.run(beside(story), backend=backend)


@both
def test_a_venue_that_cannot_rehearse_is_sent_it_at_once(backend):
    async def story(desk, pit, vault):
        pit.rehearse = None
        total = vault.total
        await carry(desk, desk.deposit(vault, "500", by="ann"), pit)
        await until(lambda: vault.total == total + USD("500"))

    anyio.run(beside(story), backend=backend)


TAPE = Tape.sample().slice(0, 3)


@settings(max_examples=60, deadline=None)
@given(units=st.integers(-30_000 * 10**6, 30_000 * 10**6).filter(bool), wallet=st.integers(0, 20_000 * 10**6))
def test_the_paper_venue_rehearses_what_it_then_does(units, wallet):
    """It says no in the same words, to the same transfers; and a rehearsal alone does nothing."""

    async def main():
        venue = VirtualDriver(TAPE, {"USD": USD("20000")}, wallet={"USD": USD.units(wallet)})
        transfer, said = Transfer("t-1", USD.units(units)), ""
        before = await venue.balances(), venue.exchange.account.wallet.copy()
        try:
            await venue.rehearse(transfer)
        except VenueRejected as error:
            said = str(error)
        assert (await venue.balances(), venue.exchange.account.wallet) == before and not venue._waiting
        await venue.transfer(transfer)
        (answer,) = venue._waiting
        assert isinstance(answer, Transferred) is (not said)
        assert said == getattr(answer, "reason", "")
        await venue.rehearse(transfer)  # it is done already: the same id again does nothing

    anyio.run(main)


def test_a_foreign_coin_is_rehearsed_too():
    async def main():
        venue = VirtualDriver(TAPE, {"USD": USD("20000")})
        with pytest.raises(VenueRejected, match="the account has 0 USDC to withdraw"):
            await venue.rehearse(Transfer("t-1", -USDC("5")))

    anyio.run(main)


@both
def test_faults_strike_a_rehearsal_as_any_question(backend):
    async def main():
        venue = FaultyVenue(VirtualDriver(TAPE, {"USD": USD("20000")}), Faults(query_fails=1_000_000), Dice(1))
        assert venue.lockstep is True and venue.real_money is False
        with pytest.raises(VenueUnavailable):
            await venue.rehearse(Transfer("t-1", -USD("5")))
        venue.calm()
        await venue.rehearse(Transfer("t-1", -USD("5")))
        with pytest.raises(VenueRejected):
            await venue.rehearse(Transfer("t-1", -USD("50000")))

    anyio.run(main, backend=backend)


def test_faults_pass_on_what_the_venue_behind_them_says_of_itself():
    class Real:
        name = "real"

    real: Venue = Real()
    faulty = FaultyVenue(real, Faults(), Dice(1))
    assert faulty.lockstep is False and faulty.real_money is True
    Real.lockstep, Real.real_money = True, False
    assert faulty.lockstep is True and faulty.real_money is False


# -- confirmed -----------------------------------------------------------------------------------------------------------------


@both
def test_criterion_3_6_the_books_are_held_against_the_venue_soon_after_a_transfer(backend):
    """7.2 asks for ten seconds; the next regular look is minutes away."""

    async def story(desk, pit, vault):
        def kinds():
            return [type(record) for record in desk.books.journal]

        await carry(desk, desk.deposit(vault, "500", by="ann"), pit)
        await until(lambda: Transferred in kinds())
        with anyio.fail_after(10):
            await until(lambda: kinds().index(Transferred) < max((n for n, kind in enumerate(kinds()) if kind is Reconciled), default=-1))
        assert not desk.books.residuals

    anyio.run(beside(story), backend=backend)


@both
def test_criterion_3_9_what_is_withdrawn_is_outside_and_everybody_agrees(backend):
    async def story(desk, pit, vault):
        outside, total = pit.wallet, vault.total
        await carry(desk, desk.withdraw(vault, "500", by="ann"), pit)
        await until(lambda: not vault.in_transit.units)
        assert pit.wallet == outside + USD("500") and vault.total == total - USD("500")
        desk.check(dict(pit.coins), deep=True).require()

    anyio.run(beside(story), backend=backend)


def test_criterion_3_5_a_transfer_that_is_not_told_of_is_asked_after_at_thirty_seconds_and_told_at_sixty():
    """And 9.3, 9.4: asked on until it is found; nothing is sent twice, and what left stays in transit meanwhile."""

    async def story(desk, pit, vault):
        pit.lose_transfers = {"main-transfer-1"}
        begun = anyio.current_time()
        (transfer,) = desk.withdraw(vault, "500", by="ann")
        await carry(desk, [transfer], pit)
        await anyio.sleep(29)
        assert len(pit.looks("open_orders")) == 1, "the look that follows a transfer at once"
        await anyio.sleep(30)
        asked = [round(at - begun) for at in pit.looks("open_orders")][1:]
        assert asked == [30, 35, 40, 45, 50, 55] and not alerts(desk)
        await anyio.sleep(2)
        assert alerts(desk) == [("critical", "transfer_unknown")] and vault.in_transit == USD("500")
        await anyio.sleep(200)
        asked = [round(at - begun) for at in pit.looks("open_orders")][7:]
        assert asked == [60, 120, 180, 240] and alerts(desk) == [("critical", "transfer_unknown")], "told once, asked on"
        pit.mute = True
        pit.arrive(transfer)
        await anyio.sleep(60)
        assert not vault.in_transit.units and pit.transfers == ["main-transfer-1"]
        looks = len(pit.looks("open_orders"))
        await anyio.sleep(200)
        assert len(pit.looks("open_orders")) == looks, "it is found, and nothing is asked any more"
        desk.check(dict(pit.coins), deep=True).require()

    anyio.run(beside(story, reconcile_every=10_000), **mocked())


def test_a_transfer_that_comes_within_the_time_is_not_asked_after():
    async def story(desk, pit, vault):
        pit.lose_transfers = {"main-transfer-1"}
        (transfer,) = desk.deposit(vault, "500", by="ann")
        await carry(desk, [transfer], pit)
        await anyio.sleep(28)
        pit.arrive(transfer)
        await anyio.sleep(100)
        assert len(pit.looks("open_orders")) == 2 and not alerts(desk), "one look behind each of the two records"

    anyio.run(beside(story, reconcile_every=10_000), **mocked())


def test_a_venue_that_does_not_answer_about_a_transfer_is_asked_on_and_the_human_is_told():
    async def story(desk, pit, vault):
        pit.lose_transfers = {"main-transfer-1"}
        (transfer,) = desk.deposit(vault, "500", by="ann")
        await carry(desk, [transfer], pit)
        await anyio.sleep(5)
        pit.down = VenueUnavailable("503")
        await anyio.sleep(60)
        assert alerts(desk, "transfer_unknown") == [("critical", "transfer_unknown")]
        pit.down, pit.mute = None, True
        pit.arrive(transfer)
        await anyio.sleep(120)
        assert vault.total == USD("20500")

    anyio.run(beside(story, reconcile_every=10_000), **mocked())


@both
def test_a_human_who_gives_a_transfer_up_ends_the_asking(backend):
    async def story(desk, pit, vault):
        pit.lose_transfers = {"main-transfer-1"}
        await carry(desk, desk.withdraw(vault, "500", by="ann"), pit)
        assert vault.in_transit == USD("500")
        desk.give_up("main-transfer-1", by="ann", why="support says it never came")
        assert not vault.in_transit.units

    anyio.run(beside(story), backend=backend)


def test_a_transfer_of_the_last_process_is_asked_after_by_the_next(tmp_path):
    async def main():
        path = tmp_path / "a.sleeves"
        with SQLite.open(path) as journal:
            desk, pit, _ = stand(journal)
            pit.lose_transfers = {"main-transfer-1"}
            pit.quote()
            pit.end()
            await trade(desk, pit)
            (transfer,) = desk.withdraw(desk.treasury["USD"], "500", by="ann")
            await carry(desk, [transfer], pit)
        with SQLite.open(path) as journal:
            again = Desk(*Treasury.reopen(Books(journal)).vaults)
            again.assign(Idle(MARKET), to=again.treasury["USD"].sleeves["a"])
            again.recovered()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(partial(trade, again, pit, reconcile_every=None))
                await anyio.sleep(62)
                assert alerts(again) == [("critical", "transfer_unknown")] and pit.transfers == ["main-transfer-1"]
                pit.mute = True
                pit.arrive(transfer)
                await anyio.sleep(61)
                assert not again.treasury["USD"].in_transit.units
                tasks.cancel_scope.cancel()

    anyio.run(main, **mocked())


@both
def test_a_run_without_transfers_asks_nothing(backend):
    async def story(desk, pit, vault):
        vault.sleeve("b", QUIET, allocate="10")
        await carry(desk, desk.order(vault.sleeves["a"], Place(MARKET, Side.BUY, MARKET.qty("0.01")), by="ann"), pit)
        await until(lambda: not desk.open_orders())
        await anyio.sleep(0.05)
        assert not pit.asked

    anyio.run(beside(story), backend=backend)


def test_a_desk_over_one_vault_says_in_which_it_stands():
    """The stand is what the rest of this page takes it for: 20,000 there, 4,000 of them at work."""
    desk, pit, (puppet,) = stand()
    assert isinstance(desk.treasury["USD"], CoreVault) and puppet.sleeve.allocation == USD("4000") and pit.coins["USD"] == USD("20000")
