"""A desk that trades on it, live: books equal to the chain to the last unit, whole stories, with faults on the way."""

from __future__ import annotations

from functools import partial

import anyio
import pytest
from attrs import evolve
from jupiter_stand import PER_SOL, flat, pool, stand

from sleeves import QUIET, Books, CoreVault, Desk, Place, Side, Treasury
from sleeves.engines import Arb
from sleeves.journals import SQLite
from sleeves.live import trade
from sleeves.money import SOL, USDC
from sleeves.orders import Fill
from sleeves.records import BundleStatus, BundleUpdate
from sleeves.recovery import reconcile, recover
from sleeves.status import Status
from sleeves.testing.solana_server import Fault
from sleeves.venues.jupiter import Market

both = pytest.mark.parametrize("backend", ["asyncio", "trio"])


class InAndOut:
    """Buys at the first price, sells all whole lots at the fourth."""

    every = 0

    def __init__(self, market, qty, name="in-and-out"):
        self.watches, self.qty, self.name = (market,), market.qty(qty), name

    def begin(self):
        return {"turn": 0}

    def decide(self, memory, view):
        memory["turn"] += 1
        (market,) = self.watches
        held = market.round_qty(view.sellable(market))
        if memory["turn"] == 1 and not held:
            return [Place(market, Side.BUY, self.qty)]
        if memory["turn"] >= 4 and held:
            return [Place(market, Side.SELL, held, reduce_only=True)]
        return None


def made(s, engine, *, total="10000", allocate="1000", journal=None, tolerances=None):
    vault = CoreVault(USDC, total=total, tradeable=total, books=Books(journal=journal))
    desk = Desk(vault, tolerances=tolerances or {})
    sleeve = vault.sleeve("suite", QUIET, allocate=allocate)
    desk.assign(engine, to=sleeve)
    return desk, sleeve


async def live(s, desk, venue, done, **terms):
    """Run until something holds."""
    venue.real_money = False
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(partial(trade, desk, venue, reconcile_every=0.3, **terms))
        with anyio.fail_after(20):
            while not done():
                await anyio.sleep(0.02)
        tasks.cancel_scope.cancel()


def fills(desk):
    return [record for record in desk.books.journal if isinstance(record, Fill)]


@both
def test_in_and_out_and_the_books_are_the_chain(backend):
    with stand(sol="1", usdc="10000") as s:

        async def main():
            desk, sleeve = made(s, InAndOut(s.market().instrument, "2"))
            async with s.driver(s.market(), aside="1", quote_every=0.03) as venue:
                await live(s, desk, venue, lambda: len(fills(desk)) == 2)
                desk.check(await venue.balances(), deep=True).require()
                bought, sold = fills(desk)
                assert (bought.qty, sold.qty) == (2 * PER_SOL, 2 * PER_SOL - PER_SOL // 1000), "the rest of a lot pays the fees"
                assert sleeve.position(bought.instrument) == SOL.units(s.holds()[0] - PER_SOL)
                assert sleeve.status is Status.ACTIVE
                assert desk.books.residuals == {}

        anyio.run(main, backend=backend)


def test_in_and_out_with_faults_on_the_way():
    with stand(sol="1", usdc="10000") as s:

        async def main():
            desk, sleeve = made(s, InAndOut(s.market().instrument, "2"))
            s.node.fault("sendTransaction", Fault.lost())
            s.node.fault("getTransaction", Fault.status(503), times=2)
            s.node.fault("getSignatureStatuses", Fault.status(429))
            s.node.fault("sendTransaction", Fault.dropped())
            async with s.driver(s.market(), aside="1", quote_every=0.03) as venue:
                await live(s, desk, venue, lambda: len(fills(desk)) == 2)
                desk.check(await venue.balances(), deep=True).require()

        anyio.run(main)


def test_the_owner_trades_by_hand_and_the_desk_says_so():
    with stand(sol="1", usdc="10000") as s:

        async def main():
            desk, sleeve = made(s, InAndOut(s.market().instrument, "2"))
            async with s.driver(s.market(), aside="1", quote_every=0.03) as venue:
                await live(s, desk, venue, lambda: len(fills(desk)) == 2)
                async with s.driver(s.market(), aside="1") as other:
                    await other.refresh()
                    await other.submit(evolve(s.buy(s.market(), "0.5", worst="200"), id="by-hand-1"))
                await live(s, desk, venue, lambda: bool(desk.books.residuals))
                desk.check(await venue.balances(), deep=True).require()
                assert {one.amount.asset.code for one in desk.books.residuals.values()} == {"SOL", "USDC"}

        anyio.run(main)


def test_a_desk_that_was_killed_finds_its_fill_by_the_memo(tmp_path):
    path = tmp_path / "books.sqlite"
    with stand(sol="1", usdc="10000") as s:

        async def main():
            engine = InAndOut(s.market().instrument, "2")
            with SQLite.open(path) as journal:
                desk, _ = made(s, engine, journal=journal)
                s.node.fault("sendTransaction", Fault.late(1), times=100)
                async with s.driver(s.market(), aside="1", quote_every=0.03) as venue:
                    await live(s, desk, venue, lambda: bool(s.node.asked("sendTransaction")))
            s.chain.advance(1)
            s.node._faults.clear()
            with SQLite.open(path) as journal:
                again = Desk(*Treasury.reopen(Books(journal)).vaults)
                again.assign(engine, to=again.treasury["USDC"].sleeves["suite"])
                await finish(s, again)

        async def finish(s, again):
            async with s.driver(s.market(), aside="1", quote_every=0.03) as venue:
                venue.real_money = False
                await recover(again, venue)
                assert len(fills(again)) == 1
                await live(s, again, venue, lambda: len(fills(again)) == 2)
                again.check(await venue.balances(), deep=True).require()

        anyio.run(main)


def test_a_token_that_is_not_sol_with_the_costs_in_the_wallet():
    """A sleeve in USDC owns no SOL: the wallet pays, and the core vault shows it."""
    with stand(sol="1", usdc="10000") as s:
        market = Market.of("JitoSOL/USDC", s.jitosol, s.usdc, size="0.1", lot="0.001")

        async def main():
            desk, sleeve = made(s, InAndOut(market.instrument, "2"), tolerances={SOL: "0.1"})
            async with s.driver(market, aside="1", quote_every=0.03, costs="wallet") as venue:
                await live(s, desk, venue, lambda: len(fills(desk)) >= 2 and any(one.side is Side.SELL for one in fills(desk)))
                await reconcile(desk, venue)
                desk.check(await venue.balances(), deep=True).require()
                assert sleeve.status is Status.ACTIVE and all(fill.fee.units <= 0 for fill in fills(desk))
                spent = sum(one.amount.units for one in desk.books.residuals.values() if one.amount.asset == SOL)
                assert spent == s.holds()[0] - PER_SOL < 0

        anyio.run(main)


@both
def test_arbitrage_between_two_dexes(backend):
    """Raydium is dearer than Orca by 1.3%: bundles go round until the pools agree, each leg on its own DEX."""
    pools = {"Raydium": pool(152, base=5_000), "Orca Whirlpool": pool(150, base=5_000)}
    with stand(sol="1", usdc="20000", pools=pools) as s:
        markets = [s.market(f"SOL/USDC:{name}", dexes=label) for name, label in (("Raydium", "Raydium"), ("Orca", "Orca Whirlpool"))]

        async def main():
            engine = Arb(
                USDC,
                books=[one.instrument for one in markets],
                fee="0%",
                slip="0.1%",
                most="700",
                depth="700",
                least="0.5",
                gas="0.002",
                tip="0.001",
                age_ns=10**10,
                cooldown=0,
            )
            desk, sleeve = made(s, engine, total="20000", allocate="2000", tolerances={SOL: "0.5"})
            # what a leg brings is what the next one sells, so the wallet bears the costs
            async with s.driver(*markets, aside="1", quote_every=0.02, jito=True, most_slots_apart=10, costs="wallet") as venue:
                await live(s, desk, venue, lambda: len(ended(desk, BundleStatus.DONE)) >= 2 and not desk.open_orders())
                await reconcile(desk, venue)
                desk.check(await venue.balances(), deep=True).require()
            assert sleeve.realized > USDC("0"), "it made something"
            by_dex = {fill.instrument.symbol: fill.side for fill in fills(desk) if fill.order_id}
            assert len(by_dex) == 2
            spread = s.jupiter.pool("Raydium").price() / s.jupiter.pool("Orca Whirlpool").price()
            assert spread < 1.0131, "the pools have come nearer"
            assert sum(s.chain.balance(one) for one in s.engine.tip_accounts) > 8 * PER_SOL

        anyio.run(main, backend=backend)


def ended(desk, status):
    return [record for record in desk.books.journal if isinstance(record, BundleUpdate) and record.status is status]


def test_a_crash_is_left_at_once():
    """The market falls by half between two prices: the exit is at market, and is filled at what there is."""
    with stand(sol="1", usdc="10000", pools={"Flat": flat(150)}) as s:

        class Stop(InAndOut):
            def decide(self, memory, view):
                held = self.watches[0].round_qty(view.sellable(self.watches[0]))
                if not memory["turn"]:
                    memory["turn"] = 1
                    return [Place(self.watches[0], Side.BUY, self.qty)]
                if held and view.book.bid < self.watches[0].price("140"):
                    return [Place(self.watches[0], Side.SELL, held, reduce_only=True)]
                return None

        async def main():
            desk, sleeve = made(s, Stop(s.market().instrument, "2"))
            async with s.driver(s.market(), aside="1", quote_every=0.03) as venue:
                await live(s, desk, venue, lambda: len(fills(desk)) == 1)
                s.jupiter.price("Flat", "75")
                await live(s, desk, venue, lambda: len(fills(desk)) == 2)
                desk.check(await venue.balances(), deep=True).require()
                assert fills(desk)[1].price < 76 * 10**9

        anyio.run(main)
