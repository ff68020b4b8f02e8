"""One bot, two venues: on paper, and at Kraken over real sockets, with the books equal to the exchange's balances to the last digit.

    python examples/kraken.py        needs: python -m pip install ".[kraken,servers]"

There is no account and no network in this: `kraken_server` is an exchange on this machine that speaks Kraken's REST and
WebSocket v2, with its signatures, nonces and errors. It plays real hourly BTC/USD candles of 2017. On the way it
loses the answer to an order that it has taken, cuts all sockets, and moves coins to its auto-earn wallet by itself.
Against the real one the last lines of `main` differ: keys from `sleeves.keys`, the tier of the account,
and none of the three addresses.
"""

from __future__ import annotations

from contextlib import suppress

import anyio

from sleeves import FLASH, QUIET, USD, CoreVault, Desk
from sleeves.engines import Trend
from sleeves.errors import VenueUnavailable
from sleeves.keys import KeySet, Rights, Secret
from sleeves.live import Stop, trade
from sleeves.market import Instrument
from sleeves.protocols import Venue
from sleeves.pulse import Pulse
from sleeves.sim import Tape, VirtualDriver
from sleeves.testing.kraken_server import Fault, KrakenServer, kraken_server
from sleeves.venues.kraken import Kraken

tape = Tape.sample().slice(0, 420)


def a_desk(market: Instrument) -> Desk:
    """20,000 USD, one wallet, two sleeves with the rules of the seed's trend script."""
    vault = CoreVault(USD, total="20000", tradeable="15000")
    quiet, flash = vault.sleeve("quiet", QUIET, allocate="10000"), vault.sleeve("flash", FLASH, allocate="5000")
    desk = Desk(vault)
    desk.assign(Trend.quiet(market), to=quiet)
    desk.assign(Trend.flash(market), to=flash)
    return desk


async def say(desk: Desk, venue: Venue) -> None:
    """What came of it, and whether the books are what the venue holds."""
    balances = await venue.balances()
    for vault in desk.treasury.vaults:
        for name, sleeve in vault.sleeves.items():
            print(f"  {name:6} free {sleeve.free}, fees {sleeve.fees}, returned {sleeve.returned}")
    print("  venue ", ", ".join(str(amount) for amount in balances.values() if amount.units))
    print(f"  proof  {'holds to the last digit' if desk.check(balances).require().holds else ''}")


async def on_paper() -> None:
    desk = a_desk(tape.instrument)
    async with VirtualDriver(tape, {"USD": USD("20000")}) as venue:
        await trade(desk, venue)
        print(f"on paper: {len(desk.books.facts)} fills")
        await say(desk, venue)


async def at_kraken(exchange: KrakenServer) -> None:
    key = KeySet(
        "main",
        venue="kraken",
        api_key=Secret(exchange.key.api_key),
        secret=Secret(exchange.key.secret),
        rights=Rights.of("read", "trade", addresses=["127.0.0.1"]),
    )
    venue = Kraken(
        key,
        ["BTC/USD"],
        base_url=exchange.url,
        socket_url=exchange.socket_url,
        private_socket_url=exchange.private_socket_url,
        tier=None,  # this exchange has no limits; at the real one it is the account's: "starter", "intermediate", "pro"
        clock=lambda: exchange.now,
    )
    venue.real_money = False  # it is on this machine; at the real one a human arms it first
    async with venue:
        desk, stop, pulse = a_desk(venue.instrument("BTC/USD")), Stop(), Pulse()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: trade(desk, venue, stop=stop, pulse=pulse, reconnect=0.05))
            await play(exchange, venue, pulse)
            stop("leave", by="example", why="the tape is over")
        print(f"at Kraken: {len(desk.books.facts)} fills, {len(exchange.calls)} calls over REST")
        await say(desk, venue)


async def play(exchange: KrakenServer, venue: Kraken, pulse: Pulse) -> None:
    """The exchange's market goes on, hour by hour, each when the desk is through with the one before; and three things go wrong."""
    exchange.fault("AddOrder", Fault.lost(0.1))  # the first order is taken, and its answer never comes
    for hour in range(len(tape)):
        if hour == 150:
            exchange.drop_sockets()
        if hour == 200:
            exchange.earn("USD", "1000")  # USD -> USD.F, its own idea
        while (step := exchange.step()) is not None and not step.price:
            pass  # what became of orders, before the hour's price
        await through(venue, pulse)


async def through(venue: Kraken, pulse: Pulse) -> None:
    """Wait until all that the exchange told is taken in, and what followed from it is done."""
    calm = 0
    while calm < 2:
        with suppress(VenueUnavailable):
            await venue.caught_up()
        before = pulse.events
        await anyio.sleep(0.002)
        busy = venue.waiting or pulse.depth or pulse.events != before or pulse.venue(venue.name).lost
        calm = 0 if busy else calm + 1


def main() -> None:
    anyio.run(on_paper)
    with kraken_server(pairs=["BTC/USD"], balances={"USD": "20000"}, script=tape, tier=None) as exchange:
        anyio.run(at_kraken, exchange)


if __name__ == "__main__":
    main()
