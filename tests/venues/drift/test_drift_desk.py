"""A desk that trades on it, live: sub-accounts as backings, and books equal to the chain to the last unit, with faults on the way."""

from __future__ import annotations

from functools import partial

import anyio
import pytest
from drift_stand import BOTH, PER_SOL, check_books, stand

from sleeves import FLASH, QUIET, Books, CoreVault, Desk, Place, Side, Treasury
from sleeves.errors import VenueUnavailable
from sleeves.facts import FundingPaid, Settled, Shifted
from sleeves.journals import SQLite
from sleeves.live import trade
from sleeves.orders import Fill, OrderStatus
from sleeves.records import Alert
from sleeves.recovery import reconcile, recover
from sleeves.testing.solana_server import Fault


class InAndOut:
    """Buys contracts at the first price at which it has money, closes them all some prices later."""

    every = 0

    def __init__(self, market, qty, name="in-and-out", wait=8):
        self.watches, self.qty, self.name, self.wait = (market,), market.qty(qty), name, wait

    def begin(self):
        return {"turn": 0, "held": False}

    def decide(self, memory, view):
        (market,) = self.watches
        held = view.position(market)
        if view.orders():
            return None
        memory["held"] = memory["held"] or held > 0
        if not memory["held"] and view.free() > 0:
            return [Place(market, Side.BUY, self.qty)]
        if held:
            memory["turn"] += 1
            if memory["turn"] >= self.wait:
                memory["turn"] = 0
                return [Place(market, Side.SELL, held, reduce_only=True)]
        return None


class Late(InAndOut):
    """The same, when it is told to begin."""

    begun = False

    def decide(self, memory, view):
        return super().decide(memory, view) if self.begun else None


def made(s, market, *, account=1, policy=FLASH, qty="2", allocate="300", journal=None, engine=InAndOut):
    """A vault over what lies in the account, and a sleeve in a sub-account of it."""
    vault = CoreVault(s.coin, total="1000", tradeable="1000", wallet=s.deployment.name, books=Books(journal=journal))
    desk = Desk(vault)
    sleeve = vault.sleeve("suite", policy, allocate=allocate, account=account)
    desk.assign(engine(market, qty), to=sleeve)
    return desk, sleeve


async def paid_in(s):
    """A thousand coins in the main sub-account, which opens it."""
    async with s.driver() as venue:
        await venue.transfer(s.transfer("1000"))
        return venue.instrument("SOL-PERP", 1)


def facts(desk, *kinds):
    return [record for record in desk.books.journal if isinstance(record, kinds)]


async def live(s, desk, venue, done, *, seconds=25, keepers=True, **terms):
    """Run, with keepers and a chain that goes on, until something holds."""
    venue.real_money = False

    async def go_on():
        while True:
            await anyio.sleep(0.05)
            s.server.advance()
            if keepers:
                s.server.match()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(go_on)
        tasks.start_soon(partial(trade, desk, venue, **{"reconcile_every": 0.4, "reconnect": 0.2, **terms}))
        with anyio.fail_after(seconds):
            while not done():
                await anyio.sleep(0.02)
        tasks.cancel_scope.cancel()


async def proven(s, desk, venue):
    """The books held against the venue, and the venue against the chain: all of it, to the unit."""
    await reconcile(desk, venue)
    balances, holdings, positions = await venue.balances(), await venue.holdings(), await venue.positions()
    desk.check(balances, positions=positions, accounts=holdings, deep=True).require()
    await check_books(s, venue)


LIVE = {"quote_every": 0.04, "watch_every": 0.04}


def closed(desk, sleeve, market):
    return lambda: len(facts(desk, Fill)) >= 2 and not sleeve.slice(market).qty.units and not sleeve.between.units


@BOTH
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_in_and_out_in_a_sub_account_of_its_own(deployment, backend):
    with stand(deployment) as s:

        async def main():
            market = await paid_in(s)
            desk, sleeve = made(s, market)
            async with s.driver(**LIVE) as venue:
                await live(s, desk, venue, closed(desk, sleeve, market))
                assert facts(desk, Shifted)[0].amount == s.usd("300")
                bought, sold = facts(desk, Fill)
                assert (bought.qty, sold.qty) == (2 * PER_SOL, 2 * PER_SOL)
                assert bought.account == sold.account
                await proven(s, desk, venue)
                assert desk.books.residuals == {}

        anyio.run(main, backend=backend)


def test_profit_is_settled_and_goes_home_and_the_loss_stays_where_it_was_made():
    with stand() as s:

        async def main():
            market = await paid_in(s)
            desk, sleeve = made(s, market)
            async with s.driver(**LIVE) as venue:
                await live(s, desk, venue, lambda: bool(facts(desk, Fill)))
                s.server.price("SOL-PERP", "160")
                await live(
                    s, desk, venue, lambda: bool(facts(desk, Settled)) and closed(desk, sleeve, market)() and sleeve.returned.units > 0
                )
                settled = [one for one in facts(desk, Settled) if one.amount]
                assert sum(one.amount for one in settled) > 18 * 10**6
                await proven(s, desk, venue)
                assert s.coins(0) > 700 * 10**6, "a flash sleeve sends its profit home, over the chain"

        anyio.run(main)


def test_funding_is_paid_into_the_books():
    with stand() as s:

        async def main():
            market = await paid_in(s)
            desk, sleeve = made(s, market, engine=partial(InAndOut, wait=10**6), policy=QUIET)
            async with s.driver(**LIVE) as venue:
                await live(s, desk, venue, lambda: bool(facts(desk, Fill)))
                s.server.pass_time(3_600)
                s.server.fund("SOL-PERP", 15_000_000)
                s.server.settle(s.user(1), "SOL-PERP")
                await live(s, desk, venue, lambda: bool(facts(desk, FundingPaid)))
                (paid,) = facts(desk, FundingPaid)
                assert (paid.qty, paid.amount) == (2 * PER_SOL, -30_000)
                await proven(s, desk, venue)

        anyio.run(main)


TROUBLES = {
    "a lost answer": [("sendTransaction", Fault.lost(), 3)],
    "statuses that do not come": [("getSignatureStatuses", Fault.status(429), 5)],
    "transactions that cannot be read": [("getTransaction", Fault.status(503), 6)],
    "a log that is cut": [("getTransaction", Fault.replaced(lambda one: cut(one)), 2)],
    "a node that is behind": [("getSignaturesForAddress", Fault.error(-32016, "Minimum context slot has not been reached"), 4)],
    "garbage": [("getMultipleAccounts", Fault.garbage(), 4), ("sendTransaction", Fault.garbage(), 1)],
    "connections that break": [("simulateTransaction", Fault.cut(), 2), ("getMultipleAccounts", Fault.cut(), 3)],
}


def cut(result):
    if result is not None:
        result["meta"]["logMessages"] = [*result["meta"]["logMessages"][:2], "Log truncated"]
    return result


@pytest.mark.parametrize("trouble", TROUBLES)
def test_whatever_goes_wrong_the_books_are_the_chain(trouble):
    with stand() as s:

        async def main():
            market = await paid_in(s)
            desk, sleeve = made(s, market)
            async with s.driver(**LIVE) as venue:
                for method, fault, times in TROUBLES[trouble]:
                    s.node.fault(method, fault, times)
                await live(s, desk, venue, closed(desk, sleeve, market))
                s.mend()
                await proven(s, desk, venue)

        anyio.run(main)


def test_a_shift_that_fails_on_the_chain_gives_nothing_and_may_be_asked_for_again():
    with stand() as s:

        async def main():
            market = await paid_in(s)
            desk, sleeve = made(s, market)
            async with s.driver(**LIVE) as venue:
                s.node.fault("sendTransaction", Fault.fails())
                await live(s, desk, venue, lambda: any(one.code == "transfer_refused" for one in facts(desk, Alert)))
                assert sleeve.free.units == sleeve.between.units == 0
                await proven(s, desk, venue)
                desk.treasury[s.coin.code].allocate(sleeve, "300")
                await live(s, desk, venue, closed(desk, sleeve, market))
                await proven(s, desk, venue)

        anyio.run(main)


def test_an_order_that_fails_on_the_chain_is_no_order():
    with stand() as s:

        async def main():
            market = await paid_in(s)
            engine = Late(market, "2")
            desk, sleeve = made(s, market, engine=lambda *_: engine)
            async with s.driver(**LIVE) as venue:
                await live(s, desk, venue, lambda: sleeve.free.units > 0)
                s.node.fault("sendTransaction", Fault.fails())
                engine.begun = True
                await live(s, desk, venue, closed(desk, sleeve, market))
                assert desk.status_of("suite-1") is OrderStatus.REJECTED
                assert "suite-1" not in {fill.order_id for fill in facts(desk, Fill)}
                await proven(s, desk, venue)

        anyio.run(main)


def test_a_desk_that_was_killed_finds_its_fill_by_the_memo(tmp_path):
    path = tmp_path / "books.sqlite"
    with stand() as s:

        async def main():
            market = await paid_in(s)
            with SQLite.open(path) as journal:
                engine = Late(market, "2", wait=10**6)
                desk, sleeve = made(s, market, journal=journal, policy=QUIET, engine=lambda *_: engine)
                async with s.driver(**LIVE, resend_s=60) as venue:
                    await live(s, desk, venue, lambda: sleeve.free.units > 0, keepers=False)
                    engine.begun = True
                    s.node.fault("sendTransaction", Fault.late(2), 100)
                    sent = s.sent()
                    await live(s, desk, venue, lambda: s.sent() > sent, keepers=False)
            s.mend()
            s.server.advance(5)
            s.server.match()
            assert s.position(1)[0] == 2 * PER_SOL
            with SQLite.open(path) as journal:
                again = Desk(*Treasury.reopen(Books(journal)).vaults)
                again.assign(InAndOut(market, "2", wait=10**6), to=again.treasury[s.coin.code].sleeves["suite"])
                async with s.driver(**LIVE) as venue:
                    venue.real_money = False
                    await recover(again, venue)
                    assert [one.qty for one in facts(again, Fill)] == [2 * PER_SOL]
                    await proven(s, again, venue)

        anyio.run(main)


def test_what_the_owner_does_by_hand_is_seen_and_stays_outside():
    with stand() as s:

        async def main():
            market = await paid_in(s)
            desk, sleeve = made(s, market)
            async with s.driver(**LIVE) as venue:
                await live(s, desk, venue, closed(desk, sleeve, market))
                number = s.server.order(s.key, 0, "SOL-PERP", PER_SOL, 0, long=True)
                s.server.fill(s.user(0), number)
                await reconcile(desk, venue)
                assert desk.books.quarantine or desk.books.residuals or desk.statuses
                await check_books(s, venue)

        anyio.run(main)


def test_a_driver_that_was_closed_says_so():
    with stand() as s:

        async def main():
            await paid_in(s)
            async with s.driver() as venue:
                pass
            for ask in (venue.balances, venue.positions, venue.open_orders, venue.holdings, venue.refresh, venue.hear):
                with pytest.raises(VenueUnavailable, match="not open"):
                    await ask()

        anyio.run(main)
