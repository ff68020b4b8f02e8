"""A drill: every switch of a small desk is thrown on paper, first as things are, then in a crash, then behind a bad wire.

Two strategies trade packaged candles of one winter. In the middle of a trade the desk is rehearsed. The desk itself is not
touched by it: its journal is the same before and after, to the byte. Then it goes on to the end.

The crash is made up: a fall by a tenth in five seconds. All times are simulated, and so is the venue.
"""

from __future__ import annotations

import anyio

from sleeves import FLASH, QUIET, USD, CoreVault, Desk, Place, Side
from sleeves.engines import Trend
from sleeves.live import carry
from sleeves.market import SECOND
from sleeves.records import Refusal
from sleeves.sim import Latency, Rules, Tape, VirtualDriver
from sleeves.sim.drill import Switch, drill
from sleeves.sim.faults import Faults

TAPE = Tape.sample()
MARKET = TAPE.instrument
SEED = 6


def crash() -> Tape:
    """From 100 to 90 in five seconds, and no way back: a drill begins it at the latest price."""
    path = [100, 98, 96, 94, 92, 90, 90]
    bars = {"open": path[:-1], "high": path[:-1], "low": path[1:], "close": path[1:]}
    return Tape.from_columns(MARKET, ts=list(range(len(path) - 1)), **bars)


async def main() -> None:
    vault = CoreVault(USD, total="20000", tradeable="15000")
    quiet = vault.sleeve("quiet", QUIET, allocate="10000")
    flash = vault.sleeve("flash", FLASH, allocate="5000")
    desk = Desk(vault)
    desk.assign(Trend.quiet(MARKET), to=quiet)
    desk.assign(Trend.flash(MARKET), to=flash)
    venue, rehearsed = VirtualDriver(TAPE, {"USD": USD("20000")}), False

    async for event in venue.events():
        await carry(desk, desk.step(event), venue)
        if rehearsed or quiet.is_flat() or flash.is_flat():
            continue
        low = MARKET.round_price(MARKET.price_text(desk.marks()[MARKET.symbol].price * 4 // 5))
        by_hand = desk.order(flash, Place(MARKET, Side.BUY, MARKET.qty("0.002"), limit=low), by="ann")
        assert not isinstance(by_hand, Refusal), by_hand
        await carry(desk, by_hand, venue)
        rehearsed, before = True, desk.books.journal.digest()
        print(f"Quiet holds {quiet.position(MARKET)}, Flash {flash.position(MARKET)} and a buy that rests. As things are:\n")
        print(await drill(desk, within=15 * SECOND))

        switches = [Switch("kill", quiet), Switch("kill", desk)]
        print("\nIn a crash, at a venue that takes a second:\n")
        print(await drill(desk, crash(), switches=switches, rules=Rules(latency=Latency(order_ns=SECOND))))

        print("\nWhere one order in three does not reach the venue. What is not closed is named:\n")
        print(await drill(desk, switches=switches, faults=Faults(unavailable=300_000), seed=SEED))

        assert desk.books.journal.digest() == before
        print(f"\nThe desk was not touched: {len(desk.books.journal):,} records, {before[:16]}... before and after.")

    print(f"It went on: {len(desk.books.journal):,} records at the end.")
    print(desk.check(await venue.balances(), deep=True).require())


if __name__ == "__main__":
    anyio.run(main)
