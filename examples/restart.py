"""A bot that is killed in the middle of its work, and started again: what it had begun is found, and nothing is done twice.

Two strategies trade half a year of packaged candles on one account. The journal is a file. Every 700 events the process
"dies": all that is left is that file and the venue. It is opened again, the venue is asked, and the run goes on. In
between, a human buys on the same account by hand. At the end the books are what the venue holds, to the unit.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import anyio

from sleeves import FLASH, QUIET, USD, Books, CoreVault, Desk, Place, Side, Treasury
from sleeves.engines import Trend
from sleeves.journals import SQLite
from sleeves.live import carry
from sleeves.orders import Order
from sleeves.recovery import reconcile, recover
from sleeves.sim import Tape, VirtualDriver
from sleeves.verify import verify

TAPE = Tape.sample()
MARKET = TAPE.instrument


def open_desk(journal: SQLite) -> Desk:
    """The same program at its first start and at every later one."""
    books = Books(journal)
    if books.reopened:
        treasury = Treasury.reopen(books)
    else:
        treasury = Treasury(CoreVault(USD, total="20000", tradeable="15000", books=books, at=TAPE.at[0]))
    for name, policy, money in (("quiet", QUIET, "10000"), ("flash", FLASH, "5000")):
        if name not in treasury["USD"].sleeves:  # it may have died in the middle of its first start
            treasury["USD"].sleeve(name, policy, allocate=money)
    desk = Desk(*treasury.vaults, tolerances={USD: "3000"})
    for name, make in (("quiet", Trend.quiet), ("flash", Trend.flash)):
        desk.assign(make(MARKET), to=treasury["USD"].sleeves[name])
    return desk


async def main() -> None:
    path = Path(tempfile.mkdtemp()) / "main.sleeves"
    venue = VirtualDriver(TAPE, {"USD": USD("20000")})
    journal = SQLite.open(path)
    desk, events, count, deaths = open_desk(journal), venue.events(), 0, 0
    async for event in events:
        count += 1
        if count % 700 == 0:
            journal.close()  # nothing of the desk is kept: only the file, and what the venue knows; this event was never heard
            journal = SQLite.open(path)
            desk = open_desk(journal)
            found = await recover(desk, venue)
            deaths += 1
            print(f"death {deaths} after {count:,} events, {len(journal):,} records: {found.booked} facts booked anew")
            continue
        await carry(desk, desk.step(event), venue)
        if count == 2_000:
            await venue.submit(Order("by-hand", "", Place(MARKET, Side.BUY, MARKET.qty("0.1")), desk.books.now))

    (found,) = await reconcile(desk, venue)
    print("\nWhat a human did on the same account stands apart, under its cause:\n")
    print(found)
    print()
    print(desk.check(await venue.balances(), deep=True).require())
    print()
    print(verify(journal))
    journal.close()


if __name__ == "__main__":
    anyio.run(main)
