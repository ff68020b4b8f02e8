"""A desk, a driver and the local Kraken between them: what the tests of the driver stand on."""

from __future__ import annotations

from contextlib import asynccontextmanager

import anyio

from sleeves import ETH, FLASH, USD, CoreVault, Desk, Instrument
from sleeves.errors import VenueUnavailable
from sleeves.keys import KeyRing, KeySet, Nonces, Rights, Secret
from sleeves.live import trade
from sleeves.market import MINUTE, Quote
from sleeves.orders import Order, OrderStatus, Place, Side
from sleeves.pulse import Pulse
from sleeves.sim import Tape
from sleeves.testing.kraken_server import kraken_server
from sleeves.venues.kraken import Kraken
from sleeves.venues.kraken.client import Tier

FREE = Tier("free", 1e9, 1e9, 1e9, 1e9, 1_000)
ether = Instrument("ETH/USD", base=ETH, quote=USD, tick="0.01", lot="0.00000001", min_qty="0.002", min_notional="0.5", venue="kraken")
BEGIN = 1_790_000_000 // 3_600 * 3_600 * 1_000_000_000
PATH = (
    *(2500,) * 20,
    *(2515, 2530, 2545, 2546, 2547, 2547, 2548, 2548),
    *(2580, 2620, 2660, 2700, 2705, 2706, 2706, 2706),
    *(2700, 2699, 2698, 2698, 2697, 2697, 2696, 2696),
)
"""Five hours of nothing, a rise, and a turn: closes of 15 minutes."""


def tape(path=PATH, market=ether):
    prices = [f"{price}.00" for price in path]
    at = [BEGIN + n * 15 * MINUTE for n in range(len(path))]
    columns = dict.fromkeys(("open", "high", "low", "close"), prices)
    return Tape.from_columns(market, ts=at, interval=15 * MINUTE, name="seed", volume=["100"] * len(path), **columns)


def key_set(key, name="main", **terms):
    return KeySet(
        name,
        venue="kraken",
        api_key=Secret(key.api_key),
        secret=Secret(key.secret),
        rights=Rights.of("read", "trade", addresses=["127.0.0.1"]),
        **terms,
    )


def ring(*keys, clock):
    return KeyRing(keys, clock=clock, nonces=Nonces(clock))


def driver(exchange, keys=None, markets=("ETH/USD",), **terms):
    given = {"tier": FREE, "dead_man": None, "clock": exchange.clock, "ledger_patience": 2.0, "timeout": 2.0, "quiet": 10.0} | terms
    return Kraken(
        key_set(exchange.key) if keys is None else keys,
        markets,
        base_url=exchange.url,
        socket_url=exchange.socket_url,
        private_socket_url=exchange.private_socket_url,
        **given,
    )


@asynccontextmanager
async def stand(exchange_terms=None, **terms):
    """An exchange with 10,000 USD and one ether in the machine's own time, and a driver that is open."""
    given = {"pairs": ("ETH/USD", "BTC/USD"), "balances": {"USD": "10000", "ETH": "1"}, "prices": {"ETH/USD": "2500.00"}, "tier": None}
    exchange = kraken_server(**given | (exchange_terms or {}))
    await anyio.to_thread.run_sync(exchange.start)
    try:
        async with driver(exchange, **terms) as venue:
            yield exchange, venue
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(exchange.stop)


def an_order(venue, number=1, side=Side.BUY, qty="0.1", market="ETH/USD", sleeve="flash", worst="3000", **terms):
    instrument = venue.instrument(market)
    prices = {name: instrument.price(value) for name, value in terms.items() if name in ("limit", "stop")}
    place = Place(instrument, side, instrument.qty(qty), **terms | prices)
    limit = prices.get("limit") or (instrument.price(worst) if worst and side is Side.BUY else None)
    return Order(f"{sleeve}-{number}", sleeve, place, venue.now(), limit)


async def told(venue, within=5.0):
    """All that the venue has to tell now."""
    found, events = [], venue.events()
    with anyio.fail_after(within):
        await venue.caught_up()
        while venue.waiting:
            found.append(await anext(events))
    return found


async def until_lost(venue, act=None, within=10.0):
    """All that is told until the sockets are lost; `act` is awaited, or called, once they are listened to."""
    found, events = [], venue.events()
    venue._outbox.put(Quote(ether, 1, 1, 1))  # something to begin with, so that the loss is met and not the way back
    await anext(events)
    if act is not None:
        acted = act()
        if acted is not None:
            await acted
    with anyio.fail_after(within):
        while True:
            try:
                found.append(await anext(events))
            except VenueUnavailable:
                return found


def of_kind(events, *kinds):
    return [event for event in events if isinstance(event, kinds)]


async def until(holds, within=10.0):
    with anyio.fail_after(within):
        while not holds():
            await anyio.sleep(0.01)


class Story:
    """A desk that trades the tape through the driver by `live.trade`, the exchange played row by row."""

    def __init__(self, exchange, venue, engine, *, allocate="5000"):
        self.exchange, self.venue = exchange, venue
        self.vault = CoreVault(USD, total="10000", tradeable="6000")
        self.desk = Desk(self.vault)
        self.sleeve = self.vault.sleeve("flash", FLASH, allocate=allocate)
        self.desk.assign(engine, to=self.sleeve)
        self.pulse = Pulse()
        venue.real_money = False  # the local exchange's money is none

    async def run(self, acts=None, rows=10_000, patience=20.0, strike=None):
        """Play the tape, each row at once. `acts` are functions by the row, from 0, before which they are called; `strike` is called
        before each row in which an order acts, and before the next.
        """
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._trade)
            await until(lambda: self.pulse.events)
            row, begins, struck = 0, True, False
            while row < rows:
                if begins and (act := (acts or {}).get(row)) is not None:
                    act()
                if begins and strike is not None:
                    acting = any(one["status"] == "open" for one in self.exchange.orders().values())
                    if acting or struck:
                        strike()
                    struck = acting
                step = self.exchange.step()
                if step is None:
                    break
                begins = bool(step.price)
                if begins:
                    row += 1
                    await self.calm(patience)
            await self.calm(patience)
            tasks.cancel_scope.cancel()

    async def _trade(self):
        await trade(self.desk, self.venue, pulse=self.pulse, reconnect=0.05, reconcile_every=None, patience=4.0)

    async def calm(self, patience=20.0):
        """Returns once everything that the exchange told is taken in, and what followed from it is done."""
        with anyio.fail_after(patience):
            quiet = 0
            while quiet < 3:
                try:
                    await self.venue.caught_up()
                except VenueUnavailable:
                    quiet = 0
                    await anyio.sleep(0.02)
                    continue
                before = self.pulse.events
                await anyio.sleep(0.003)
                waits = self.venue.waiting or self.pulse.depth or self.pulse.events != before or self.pulse.venue("kraken").lost
                doubt = any(self.desk.status_of(one.id) is OrderStatus.SUBMITTED for one in self.desk.open_orders())
                quiet = 0 if waits or doubt or self.desk.in_doubt or self._runs() else quiet + 1

    def _runs(self):
        """Whether an order is under way that the exchange has carried out: a trend's orders do not rest."""
        rests = {row.get("cl_ord_id") for row in self.exchange.orders().values() if row["status"] == "open"}
        return not rests and self.desk.open_orders()
