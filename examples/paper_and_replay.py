"""Paper is a venue: the same desk on `VirtualDriver` through `live.trade`, and through `replay`, writes the same journal.

Going live changes one line: hand `trade` a real venue instead of the virtual one.
"""

from __future__ import annotations

import anyio

from sleeves import FLASH, USD, CoreVault, Desk
from sleeves.engines import Trend
from sleeves.live import trade
from sleeves.sim import Tape, VirtualDriver, account_of, replay


def new_desk(tape: Tape) -> Desk:
    vault = CoreVault(USD, total="5000", tradeable="5000")
    desk = Desk(vault)
    desk.assign(Trend.flash(tape.instrument), to=vault.sleeve("flash", FLASH, allocate="5000"))
    return desk


def main() -> None:
    tape = Tape.sample().slice(0, 2_000)

    replayed = new_desk(tape)
    replay(replayed, tape)

    paper = new_desk(tape)
    venue = VirtualDriver(tape, account_of(paper))
    anyio.run(trade, paper, venue)

    ours, theirs = list(replayed.books.journal), list(paper.books.journal)
    print(f"replay wrote {len(ours)} records, paper wrote {len(theirs)}: {'equal' if ours == theirs else 'DIFFERENT'}")
    print(paper.inventory())
    print(paper.check(venue.matcher.balances(), deep=True).require())
    assert ours == theirs


if __name__ == "__main__":
    main()
