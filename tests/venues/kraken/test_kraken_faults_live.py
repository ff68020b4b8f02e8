"""The seed's trend script over real sockets, and all that can go wrong on the way: the books are the exchange's balances, to the digit."""

from __future__ import annotations

import logging

import anyio
import pytest
from kraken_stand import FREE, Story, an_order, driver, ether, key_set, of_kind, ring, stand, tape, told, until

from helpers import Puppet
from sleeves import FLASH, USD, CoreVault, Desk, Place
from sleeves.engines import Trend
from sleeves.errors import VenueUnavailable, VenueUnknown
from sleeves.facts import FlowKind
from sleeves.keys import Health, Sign
from sleeves.live import trade
from sleeves.orders import Accepted, Canceled, Fill, OrderStatus, Rejected, Side
from sleeves.pulse import Pulse
from sleeves.recovery import reconcile
from sleeves.records import Cause
from sleeves.testing.kraken_server import Fault, kraken_server
from sleeves.venues.kraken import clerk

both = pytest.mark.parametrize("backend", ["asyncio", "trio"])
ALWAYS = 99
"""Times a fault strikes: each time."""
BOUGHT, SOLD = 23, 34
"""The rows in which the tape's orders fill."""


@pytest.fixture
def soon(monkeypatch):
    """What was not heard of is asked after soon."""
    monkeypatch.setattr(clerk, "OVERDUE", 0.3)
    monkeypatch.setattr(clerk, "LOOK_EVERY", 0.1)


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


async def _through(exchange, venue, acts=None):
    """The whole tape: bought once, sold once, swept, and every line of the venue's ledger explained."""
    one = Story(exchange, venue, Trend(ether))
    await one.run(acts)
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
    """Struck as it fills, and a row later: the buy, and the sale."""

    async def tell(exchange, venue):
        act = lambda: ROWS[fault](exchange)  # noqa: E731
        await _through(exchange, venue, dict.fromkeys((BOUGHT, BOUGHT + 1, SOLD, SOLD + 1), act))

    anyio.run(story(tell), backend=backend)


# -- what happens behind the desk's back ---------------------------------------------------------------------------------------


@both
def test_coins_that_kraken_moves_to_earn_are_the_balance_all_the_same_and_a_sale_draws_on_them(backend):
    async def tell(exchange, venue):
        one = await _through(
            exchange, venue, {BOUGHT + 2: lambda: exchange.earn("ETH", "1.5"), BOUGHT + 4: lambda: exchange.earn("ETH", "-0.25")}
        )
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
        await one.run(
            {BOUGHT + 2: lambda: exchange.manual("ETH/USD", "buy", "0.1"), BOUGHT + 5: lambda: exchange.reward("ETH.F", "0.0003")}
        )
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


# -- a desk that was killed -----------------------------------------------------------------------------------------------------
