"""The seed's trend script over real sockets, and all that can go wrong on the way: the books are the exchange's balances, to the digit."""

from __future__ import annotations

from functools import partial

import anyio
import pytest
from kraken_stand import Story, driver, ether, stand, tape, until

from helpers import Puppet
from sleeves import FLASH, USD, Books, CoreVault, Desk, Place, Treasury
from sleeves.engines import Trend
from sleeves.facts import FlowKind
from sleeves.journals import SQLite
from sleeves.keys import Health
from sleeves.live import trade
from sleeves.orders import Fill, OrderStatus, Side
from sleeves.pulse import Pulse
from sleeves.records import Cause, OrderUpdate
from sleeves.recovery import reconcile, recover
from sleeves.testing.kraken_server import Fault, kraken_server
from sleeves.venues.kraken import clerk

both = pytest.mark.parametrize("backend", ["asyncio", pytest.param("trio", marks=pytest.mark.slow)])
ALWAYS = 99
"""Times a fault strikes: each time."""
HELD = 30
"""A row in which the tape's coins are held."""


@pytest.fixture
def soon(monkeypatch):
    """What was not heard of is asked after soon."""
    monkeypatch.setattr(clerk, "OVERDUE", 0.3)
    monkeypatch.setattr(clerk, "LOOK_EVERY", 0.1)
    monkeypatch.setattr("sleeves.venues.kraken.driver.TEND_EVERY", 0.2)


def story(tell, **terms):
    """Run a story on an exchange that plays the tape."""

    async def main():
        exchange = kraken_server(pairs=[ether], script=tape(), balances={"USD": "10000", "ETH": "0"}, tier=None)
        await anyio.to_thread.run_sync(exchange.start)
        try:
            async with driver(exchange, markets=[ether], clock=lambda: exchange.now, **terms) as venue:
                await tell(exchange, venue)
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(exchange.stop)

    return main


def fills_of(desk):
    return [record for record in desk.books.journal if isinstance(record, Fill)]


async def proves(exchange, venue, desk):
    """The proof holds against what the driver says, and that is what the exchange's own ledger says, digit for digit."""
    balances = await venue.balances()
    desk.check(balances, deep=True).require()
    theirs = exchange.balances()
    assert {code: amount.decimal for code, amount in balances.items()} == {
        code: theirs.get(code, 0) + theirs.get(f"{code}.F", 0) for code in balances
    }


async def clean(desk, venue):
    looked = await reconcile(desk, venue)
    assert all(look.clean for look in looked), looked


async def _through(exchange, venue, acts=None, strike=None):
    """The whole tape: bought once, sold once, swept, and every line of the venue's ledger explained."""
    one = Story(exchange, venue, Trend(ether))
    await one.run(acts, strike=strike)
    buy, sell = fills_of(one.desk)
    assert (buy.side, sell.side) == (Side.BUY, Side.SELL) and buy.qty == sell.qty
    assert one.sleeve.is_flat() and one.sleeve.returned.units > 0
    await proves(exchange, venue, one.desk)
    await clean(one.desk, venue)
    return one


@both
@pytest.mark.parametrize("transport", ["httpx", "krakenex"])
def test_the_trend_script_end_to_end(transport, backend):
    """Quote, buy, trail, sell, sweep."""
    anyio.run(story(_through, transport=transport), backend=backend)


FAULTS = {
    "time-out after accept": lambda exchange: exchange.fault("AddOrder", Fault.lost(0.4), times=ALWAYS),
    "cut after accept": lambda exchange: exchange.fault("AddOrder", Fault.cut(), times=ALWAYS),
    "502 after accept": lambda exchange: exchange.fault("AddOrder", Fault.after(Fault.status(502)), times=ALWAYS),
    "internal error after accept": lambda exchange: exchange.fault(
        "AddOrder", Fault.after(Fault.error("EGeneral:Internal error")), times=ALWAYS
    ),
    "questions meet a 520": lambda exchange: exchange.fault("Ledgers", Fault.status(520), times=6),
    "questions meet HTML": lambda exchange: exchange.fault("Ledgers", Fault.html(), times=6),
    "reports told twice": lambda exchange: exchange.repeat_reports(ALWAYS),
    "a ledger that is late": lambda exchange: exchange.delay_ledger(0.3),
}


@both
@pytest.mark.parametrize("fault", FAULTS)
def test_the_trend_script_with_a_fault_throughout(fault, backend):
    async def tell(exchange, venue):
        FAULTS[fault](exchange)
        await _through(exchange, venue)
        assert not len(exchange.faults) or fault.endswith("accept")

    anyio.run(story(tell), backend=backend)


ROWS = {
    "sockets dropped": lambda exchange: exchange.drop_sockets(),
    "the private socket dropped": lambda exchange: exchange.drop_sockets(public=False),
    "the public socket dropped": lambda exchange: exchange.drop_sockets(private=False),
    "a report skipped": lambda exchange: exchange.skip_sequence(),
    "a report lost": lambda exchange: exchange.lose_reports(),
    "all reports of a row lost": lambda exchange: exchange.lose_reports(8),
    "the answer lost and the sockets dropped": lambda exchange: (exchange.fault("AddOrder", Fault.cut()), exchange.drop_sockets()),
}


@both
@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize("fault", ROWS)
def test_the_trend_script_with_a_fault_at_each_of_its_orders(fault, backend):
    """Struck as it fills, or is canceled, and a row later."""

    async def tell(exchange, venue):
        await _through(exchange, venue, strike=lambda: ROWS[fault](exchange))

    anyio.run(story(tell), backend=backend)


# -- what happens behind the desk's back ---------------------------------------------------------------------------------------


@both
def test_coins_that_kraken_moves_to_earn_are_the_balance_all_the_same_and_a_sale_draws_on_them(backend):
    async def tell(exchange, venue):
        one = await _through(exchange, venue, {HELD: lambda: exchange.earn("ETH", "1.5"), HELD + 2: lambda: exchange.earn("ETH", "-0.25")})
        flows = [flow for flow in await venue.cash_flows(0) if flow.kind is FlowKind.EARN]
        assert len(flows) == 4 and sum(flow.amount.units for flow in flows) == 0
        assert {"ETH.F", "ETH"} == {row["asset"].removeprefix("X") for row in exchange.ledger().values()} - {"ZUSD"}
        sold = fills_of(one.desk)[1]
        assert len([flow for flow in await venue.cash_flows(0) if flow.ref == sold.key]) == 4  # two of coins, of money, and its fee

    anyio.run(story(tell), backend=backend)


@both
def test_what_the_owner_trades_by_hand_is_found_named_and_booked_to_nobody(backend):
    async def tell(exchange, venue):
        one = Story(exchange, venue, Trend(ether))
        await one.run({HELD: lambda: exchange.manual("ETH/USD", "buy", "0.1"), HELD + 2: lambda: exchange.reward("ETH.F", "0.0003")})
        assert one.sleeve.is_flat() and len(fills_of(one.desk)) == 2
        (looked,) = await reconcile(one.desk, venue)
        causes = {(found.amount.asset.code, found.cause) for found in looked.standing}
        assert causes == {("ETH", Cause.MANUAL_TRADE), ("USD", Cause.MANUAL_TRADE), ("ETH", Cause.REWARD)}
        await proves(exchange, venue, one.desk)
        await reconcile(one.desk, venue)
        (by_hand,) = [fill for fill in await venue.history(0) if fill.order_id.startswith("O")]
        assert by_hand.order_id in exchange.orders() and by_hand.qty == ether.qty("0.1")

    anyio.run(story(tell), backend=backend)


@both
def test_money_that_comes_and_goes_is_a_transfer_of_the_vault_with_its_fee(backend):
    async def tell(exchange, venue):
        one = Story(exchange, venue, Trend(ether))
        await one.run({5: lambda: exchange.deposit("USD", "1234.5678"), 8: lambda: exchange.withdraw("USD", "100", fee="1.5")})
        await clean(one.desk, venue)
        await proves(exchange, venue, one.desk)
        assert one.vault.total == USD("10000") + one.sleeve.returned + USD("1234.5678") - USD("101.5")

    anyio.run(story(tell), backend=backend)


# -- what Kraken refuses to look at, and keys that are in trouble ------------------------------------------------------------------


class Bench:
    """A desk in the machine's own time: an engine that wishes what it is told to, beside `live.trade`."""

    def __init__(self, exchange, venue, desk=None):
        self.exchange, self.venue = exchange, venue
        venue.real_money = False
        self.market = venue.instrument("ETH/USD")
        self.desk = Desk(CoreVault(USD, total="10000", tradeable="6000")) if desk is None else desk
        vault = self.desk.treasury["USD"]
        self.sleeve = vault.sleeves["flash"] if "flash" in vault.sleeves else vault.sleeve("flash", FLASH, allocate="5000")
        self.puppet = Puppet(self.market)
        self.desk.assign(self.puppet, to=self.sleeve)
        self.pulse, self.price = Pulse(), 2500

    async def run(self, tasks):
        terms = {"reconnect": 0.05, "reconcile_every": None, "patience": 4.0}
        tasks.start_soon(partial(trade, self.desk, self.venue, pulse=self.pulse, **terms))
        await until(lambda: self.pulse.events)

    def wish(self, side, qty="1", **terms):
        """Have the engine order at the next price, which comes now."""
        self.puppet.wishes = [Place(self.market, side, self.market.qty(qty), **terms)]
        self.price += 1
        self.exchange.price("ETH/USD", f"{self.price}.00")

    async def fills(self, count):
        await until(lambda: len(fills_of(self.desk)) == count)

    def rejected(self):
        return [one for one in self.desk.books.journal if isinstance(one, OrderUpdate) and one.status is OrderStatus.REJECTED]


def bench(tell, balances=None, **terms):
    async def main():
        given = {"balances": {"USD": "10000"} if balances is None else balances}
        async with stand(given, **terms) as (exchange, venue), anyio.create_task_group() as tasks:
            one = Bench(exchange, venue)
            await one.run(tasks)
            await tell(one)
            await until(lambda: not one.desk.open_orders() and not one.desk.in_doubt)
            tasks.cancel_scope.cancel()
            with anyio.CancelScope(shield=True):
                await clean(one.desk, venue)
                await proves(exchange, venue, one.desk)

    return main


NOT_LOOKED_AT = ("EService: Throttled: 1", "EAPI:Rate limit exceeded", "EOrder:Rate limit exceeded", "EAPI:Invalid nonce")


@both
@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize("error", NOT_LOOKED_AT)
def test_an_order_that_kraken_did_not_look_at_is_rejected_and_ordered_anew_later(error, backend):
    async def tell(one):
        one.exchange.fault("AddOrder", error)
        one.wish(Side.BUY)
        await until(one.rejected)
        while not fills_of(one.desk):  # a key that cools down, or a full counter, takes its time
            one.wish(Side.BUY)
            await anyio.sleep(0.3)
        one.exchange.fault("*", error, times=2)
        while not one.sleeve.is_flat():
            one.wish(Side.SELL, one.market.qty_text(one.sleeve.position(one.market).units), reduce_only=True)
            await anyio.sleep(0.3)

    anyio.run(bench(tell), backend=backend)


@both
def test_a_lockout_stops_everything_until_a_human_has_looked_and_then_all_is_found(backend):
    async def tell(one):
        one.wish(Side.BUY)
        await one.fills(1)
        ring = one.venue.client.ring
        one.exchange.lock_out(900)
        one.wish(Side.SELL, reduce_only=True)
        await until(lambda: ring.health("main") is Health.LOCKED)
        await until(one.rejected)
        asked = len(one.exchange.calls)
        one.wish(Side.SELL, reduce_only=True)
        await until(lambda: len(one.rejected()) == 2)
        assert len(one.exchange.calls) == asked  # a locked account is not asked: that would lock it longer
        one.exchange.unlock()
        ring.clear("main", by="ann", why="Kraken's support unlocked it")
        assert await one.venue.client.probe("main") is Health.HEALTHY
        one.wish(Side.SELL, reduce_only=True)
        await one.fills(2)
        assert one.sleeve.is_flat()

    anyio.run(bench(tell), backend=backend)


@both
def test_a_desk_that_was_killed_while_its_order_was_on_the_way_finds_it(backend, tmp_path):
    """Two lives: the first ends between the order and its answer; the second asks, books the fill once, and closes."""

    def desk_of(journal):
        books = Books(journal)
        treasury = Treasury.reopen(books) if books.reopened else Treasury(CoreVault(USD, total="10000", tradeable="6000", books=books))
        return Desk(*treasury.vaults)

    async def main():
        async with stand({"balances": {"USD": "10000"}}) as (exchange, venue):
            journal = SQLite.open(tmp_path / "main.sleeves")
            async with anyio.create_task_group() as tasks:
                one = Bench(exchange, venue, desk_of(journal))
                await one.run(tasks)
                exchange.fault("AddOrder", Fault.lost(0.2))
                one.wish(Side.BUY)
                await until(lambda: exchange.trades())
                tasks.cancel_scope.cancel()
            await venue.aclose()
            journal.close()
            journal = SQLite.open(tmp_path / "main.sleeves")
            async with driver(exchange) as later, anyio.create_task_group() as tasks:
                two = Bench(exchange, later, desk_of(journal))
                assert two.desk.recovering
                found = await recover(two.desk, later)
                assert set(found.resolved.values()) == {OrderStatus.FILLED} and len(fills_of(two.desk)) == 1
                await two.run(tasks)
                two.wish(Side.SELL, reduce_only=True)
                await two.fills(2)
                tasks.cancel_scope.cancel()
                with anyio.CancelScope(shield=True):
                    await clean(two.desk, later)
                    await proves(exchange, later, two.desk)
            journal.close()
            assert len(exchange.orders()) == 2

    anyio.run(main, backend=backend)
