"""See it: a desk on paper with its page beside it, one loop for both; and the same parts as one HTML file.

    python examples/dashboard.py              a few seconds, nobody looks
    python examples/dashboard.py --look       ten minutes, and the address to open it at

Needs the extra `dashboard`. With `--look` the page may be used: deposit, pause, kill.
"""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path
from urllib.request import Request, urlopen

import anyio

from sleeves import FLASH, QUIET, USD, CoreVault, Desk
from sleeves.control import Control
from sleeves.dashboard import Feed, Served, save, serve
from sleeves.engines import Trend
from sleeves.live import trade
from sleeves.pulse import Pulse
from sleeves.sim import Tape, VirtualDriver, account_of


def get(page: Served, path: str) -> dict[str, object]:
    """One question to the page, as any program would ask it."""
    assert page.token is not None
    with urlopen(Request(page.url + path, headers={"Authorization": f"Bearer {page.token.reveal()}"}), timeout=10) as answer:
        return json.load(answer)


async def main(look: bool) -> None:
    tape = Tape.sample().slice(0, 600)
    vault = CoreVault(USD, total="20000", tradeable="15000")
    desk = Desk(vault)
    desk.assign(Trend.quiet(tape.instrument), to=vault.sleeve("quiet", QUIET, allocate="10000"))
    desk.assign(Trend.flash(tape.instrument), to=vault.sleeve("flash", FLASH, allocate="5000"))
    venue, pulse = VirtualDriver(tape, account_of(desk), pace=1.0 if look else 0.002), Pulse()
    feed = Feed(desk, pulse=pulse, title="two sleeves on paper")
    ready, served = anyio.Event(), []

    def at(page: Served) -> None:
        served.append(page)
        ready.set()
        if look:
            print(f"open {page.login}")

    async def listen(told: list[bytes]) -> None:
        with feed.subscribe() as messages:
            async for message in messages:
                told.append(message)

    told: list[bytes] = []
    async with anyio.create_task_group() as tasks, Control(desk, venue) as control:
        tasks.start_soon(partial(serve, desk, control=control, pulse=pulse, feed=feed, port=0, on_ready=at))
        await ready.wait()
        tasks.start_soon(listen, told)
        await trade(desk, venue, pulse=pulse)
        picture = await anyio.to_thread.run_sync(get, served[0], "api/snapshot")
        await anyio.sleep(0.1)
        tasks.cancel_scope.cancel()

    rows = picture["tables"]["sleeves"]  # type: ignore[index]
    for name, row in rows.items():
        print(f"{name:<6} equity {row['equity']:>10}  realized {row['realized']:>9}  fees {row['fees']:>8}  returned {row['returned']:>8}")
        assert USD(row["equity"]) == vault.sleeves[name].equity(desk.marks()), "the page says what the books say, to the unit"
    kinds = [json.loads(one)["type"] for one in told]
    print(f"a page was told {kinds.count('snapshot')} snapshot and {kinds.count('delta')} changes, {sum(map(len, told)):,} bytes")
    print(f"{len(desk.books.journal):,} records in the journal; the laws of the books: {picture['tables']['desk']['desk:main']['laws']}")  # type: ignore[index]
    print(desk.explain("flash"))
    save(feed, Path("desk.html"))
    print(f"desk.html: {Path('desk.html').stat().st_size:,} bytes, the same parts, and it asks the network for nothing")


if __name__ == "__main__":
    anyio.run(main, "--look" in sys.argv)
