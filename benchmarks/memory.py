"""What a desk keeps in memory: ten million events through one desk, without an order, and with orders now and then.

    python benchmarks/memory.py [--events 10000000] [--every 500]

The work: prices of four markets by turns, a tenth of a second apart, so that ten million are eleven and a half days; four
engines, limits watched, holdings valued once an hour. Each of three runs is a process of its own:

    quiet             no engine wants anything, the journal in memory
    trading, memory   every so many events one engine buys or sells, and is filled; the journal in memory
    trading, SQLite   the same, the journal in a file

Prints the memory that the process has resident after 1, 2, 5 and 10 parts in ten of the events, garbage collected, less what it had before
the first, and what that is for a million events and for a fill. Ends with one line of JSON.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sleeves import BTC, ETH, QUIET, SOL, USD, Asset, Books, CoreVault, Desk, Instrument, Place, Side
from sleeves.journal import Journal, Memory
from sleeves.journals import SQLite
from sleeves.limits import Limit
from sleeves.market import SECOND
from sleeves.money import Amount, Rounding
from sleeves.orders import Fill, Intent, Liquidity, SubmitOrder
from sleeves.protocols import View

MARKETS = tuple(
    Instrument(f"{base.code}/USD", base=base, quote=USD, tick="0.01", lot="0.00001", min_notional="1")
    for base in (BTC, ETH, SOL, Asset("LINK", 8))
)
BEGIN = 1_700_000_000 * SECOND
RUNS = ("quiet", "trading, memory", "trading, SQLite")
PARTS = (0.1, 0.2, 0.5, 1.0)
FIRST = 100_000
"""Events before anything is measured."""


class Now:
    """Trades at each so many of its events; never, where that is 0."""

    every = 0

    def __init__(self, name: str, market: Instrument, each: int) -> None:
        self.name, self.watches, self.each = name, (market,), each

    def begin(self) -> list[int]:
        return [0]

    def decide(self, memory: list[int], view: View) -> Iterable[Intent] | None:
        memory[0] += 1
        if not self.each or memory[0] % self.each:
            return None
        market = self.watches[0]
        held = view.position(market)
        return (Place(market, Side.SELL if held else Side.BUY, held or market.lot_units * 1_000),)


def resident() -> int:
    """Bytes of this process in memory now; where the system does not say, the most that there ever were."""
    gc.collect()
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def run(name: str, events: int, each: int, journal: Journal) -> dict[str, Any]:
    vault = CoreVault(USD, total="10000000", tradeable="10000000", books=Books(journal), at=BEGIN)
    desk = Desk(vault)
    for n, market in enumerate(MARKETS):
        sleeve = vault.sleeve(f"s{n}", QUIET, allocate="1000000")
        desk.assign(Now(f"now-{n}", market, 0 if name == "quiet" else each), to=sleeve)
        desk.limit(sleeve, Limit("daily_loss", "50%"), Limit("exposure", "900000"))
    indexes = [desk.index(market) for market in MARKETS]
    quote, fills = desk.quote, 0

    def play(since: int, until: int) -> None:
        nonlocal fills
        for n in range(since, until):
            at, price = BEGIN + n * SECOND // 10, 1_000_000 + (n * 7_919) % 2_001
            for command in quote(indexes[n & 3], at, price, price):
                assert isinstance(command, SubmitOrder)
                journal.flush()
                place, fills = command.order.place, fills + 1
                cost = place.instrument.cost(price, place.qty, Rounding.CEIL if place.side is Side.BUY else Rounding.FLOOR)
                fee, told_as = Amount(-(-cost // 1_000), USD), (Liquidity.TAKER, f"t{fills}", "bench")
                desk.step(Fill(command.order.id, at, place.instrument, place.side, place.qty, price, cost, fee, *told_as))

    with journal.group():
        play(0, FIRST)  # whatever is made once is made here
    before, told, begun, done = resident(), fills, time.perf_counter(), 0
    rows: list[dict[str, Any]] = []
    for part in PARTS:
        until = round(events * part)
        with journal.group():
            play(FIRST + done, FIRST + until)
        done = until
        rows.append({"events": done, "fills": fills - told, "records": len(journal), "grown_mb": round((resident() - before) / 2**20, 2)})
        grown_mb = rows[-1]["grown_mb"]
        print(f"  {done:>12,} events, {fills - told:>8,} fills, {len(journal):>9,} records: {grown_mb:>8.2f} MB more", flush=True)
    seconds = time.perf_counter() - begun
    desk.check().require()
    first, last = rows[0], rows[-1]
    grown = (last["grown_mb"] - first["grown_mb"]) * 2**20
    made = last["fills"] - first["fills"]
    per_million = round(grown / 2**10 / ((last["events"] - first["events"]) / 1_000_000), 1)
    found = {"rows": rows, "kb_per_million_events": per_million, "bytes_per_fill": round(grown / made) if made else None}
    return found | {"before_mb": round(before / 2**20, 1), "seconds": round(seconds, 1)}


def only(name: str, events: int, each: int) -> None:
    with tempfile.TemporaryDirectory(prefix="sleeves-memory-") as folder:
        journal: Journal = SQLite.open(Path(folder) / "bench.sleeves") if name.endswith("SQLite") else Memory()
        print(json.dumps(run(name, events, each, journal)))
        if isinstance(journal, SQLite):
            journal.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--every", type=int, default=500, help="events from trade to trade")
    parser.add_argument("--only", choices=RUNS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.only:
        only(args.only, args.events, max(1, args.every // len(MARKETS)))
        return
    figures: dict[str, Any] = {}
    for name in RUNS:
        command = [sys.executable, __file__, "--events", str(args.events), "--every", str(args.every), "--only", name]
        told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
        figures[name] = json.loads(told[-1])
        one = figures[name]
        a_fill = "" if one["bytes_per_fill"] is None else f", {one['bytes_per_fill']:,} bytes a fill"
        head = f"{name}: {one['before_mb']:g} MB before; from the first row on {one['kb_per_million_events']:g} kB a million events{a_fill}"
        print("\n".join([head, *told[:-1]]), flush=True)
    machine = {"python": platform.python_version(), "machine": platform.machine()}
    print(json.dumps({"benchmark": "memory", "events": args.events, "every": args.every} | figures | machine))


if __name__ == "__main__":
    main()
