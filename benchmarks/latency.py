"""How long a decision takes: an event in, the command out, with twenty engines, gates and limits, and the journal in it.

    python benchmarks/latency.py [--events 100000] [--runs 3]

The work: twenty sleeves in one core vault, five engines on each of four markets, three optional gates each besides the
core, and daily loss, drawdown and exposure limited for each sleeve and for the vault. Prices come by turns, and at each one
of the five engines that watch it buys or sells a little, in turn, so that each event asks five engines and leads to one order. What is
timed is one event:

    desk, memory    `desk.quote` from the price to the command that it returns, the journal in memory
    desk, SQLite    the same, and the order durable in the journal before the command may leave the house
    trade, memory   through `live.trade`: from when the event was received to when the venue has its command; no inbox
    trade, SQLite   the same, and durable

Then every event is timed again in which no engine wants anything. The fills are told between the events and not timed.
Prints median and 99th percentile of each, the median of several runs, and ends with one line of JSON. What others do on the
machine shows in the 99th percentile first, so the time that the thread itself was at work is told beside it; waiting for the
disk is not in that.
"""

from __future__ import annotations

import argparse
import gc
import json
import platform
import sqlite3
import statistics
import tempfile
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import anyio

from sleeves import BTC, ETH, QUIET, SOL, USD, Asset, Books, CoreVault, Desk, Instrument, Place, Side
from sleeves.gates import Cooldown, DailyLoss, Drawdown, OrderCap
from sleeves.journal import Journal, Memory
from sleeves.journals import SQLite
from sleeves.limits import Limit
from sleeves.live import trade
from sleeves.market import SECOND, Quote
from sleeves.money import Amount, Rounding
from sleeves.orders import Event, Fill, Intent, Liquidity, Order, OrderReport, SubmitOrder
from sleeves.protocols import View

MARKETS = tuple(
    Instrument(f"{base.code}/USD", base=base, quote=USD, tick="0.01", lot="0.00001", min_notional="1")
    for base in (BTC, ETH, SOL, Asset("LINK", 8))
)
ENGINES = 20
BEGIN = 1_700_000_000 * SECOND


class Turns:
    """Buys a little when it is its turn among those of its market, and sells it at its next turn."""

    every = 0

    def __init__(self, name: str, market: Instrument, turn: int, of: int, quiet: bool) -> None:
        self.name, self.watches = name, (market,)
        self.turn, self.of, self.quiet = turn, of, quiet

    def begin(self) -> list[int]:
        return [0]

    def decide(self, memory: list[int], view: View) -> Iterable[Intent] | None:
        memory[0] += 1
        if self.quiet or memory[0] % self.of != self.turn:
            return None
        market = self.watches[0]
        held = view.position(market)
        return (Place(market, Side.SELL if held else Side.BUY, held or market.lot_units * 1_000),)


def desk_of(journal: Journal, *, quiet: bool) -> Desk:
    vault = CoreVault(USD, total="10000000", tradeable="10000000", books=Books(journal), at=BEGIN)
    desk = Desk(vault)
    of = ENGINES // len(MARKETS)
    gates = [OrderCap("100000"), DailyLoss.of("50%"), Drawdown.of("50%"), Cooldown(0)]
    limits = [Limit("daily_loss", "50%"), Limit("drawdown", "50%"), Limit("exposure", "400000")]
    for n in range(ENGINES):
        sleeve = vault.sleeve(f"s{n}", QUIET, allocate="400000")
        desk.assign(Turns(f"turns-{n}", MARKETS[n % len(MARKETS)], n // len(MARKETS), of, quiet), to=sleeve, gates=gates)
        desk.limit(sleeve, *limits)
    desk.limit(vault, Limit("daily_loss", "50%"), Limit("exposure", "9000000"))
    return desk


def price(n: int) -> int:
    """A price in cents that goes up and down."""
    return 1_000_000 + (n * 7_919) % 2_001


def fill(order: Order, at: int, paid: int, number: int) -> Fill:
    place = order.place
    cost = place.instrument.cost(paid, place.qty, Rounding.CEIL if place.side is Side.BUY else Rounding.FLOOR)
    fee = Amount(-(-cost // 1_000), USD)
    return Fill(order.id, at, place.instrument, place.side, place.qty, paid, cost, fee, Liquidity.TAKER, f"t{number}", "bench")


Clock = Callable[[], int]


def alone(journal: Journal, events: int, clock: Clock, *, quiet: bool) -> list[int]:
    """Nanoseconds from price to durable command, for each event."""
    desk, took = desk_of(journal, quiet=quiet), []
    indexes = [desk.index(market) for market in MARKETS]
    with journal.group():
        for n in range(events):
            at, paid = BEGIN + (n + 1) * SECOND // 10, price(n)
            begun = clock()
            commands = desk.quote(indexes[n % len(MARKETS)], at, paid, paid)
            if commands:
                journal.flush()
            took.append(clock() - begun)
            for command in commands:
                assert isinstance(command, SubmitOrder)
                desk.step(fill(command.order, at, paid, n))
    desk.check().require()
    return took


class Wire:
    """A venue that tells prices, takes each order, and fills it at once. It notes how long each price took to be handled."""

    name, lockstep, real_money = "bench", True, False

    def __init__(self, events: int, clock: Clock) -> None:
        self._clock = clock
        self.events_left, self._begun, self._at, self._paid = events, 0, 0, 0
        self.took: list[int] = []
        self._fills: deque[Event] = deque()
        self._n = 0

    async def events(self) -> AsyncIterator[Event]:
        for n in range(self.events_left):
            self._n, self._at, self._paid = n, BEGIN + (n + 1) * SECOND // 10, price(n)
            quote = Quote(MARKETS[n % len(MARKETS)], self._at, self._paid, self._paid)
            self._begun = self._clock()
            sent = len(self.took)
            yield quote
            if len(self.took) == sent:  # nothing was sent: it was handled when the next event is asked for
                self.took.append(self._clock() - self._begun)
            while self._fills:
                yield self._fills.popleft()
            await anyio.lowlevel.checkpoint()

    async def submit(self, order: Order) -> None:
        self.took.append(self._clock() - self._begun)
        self._fills.append(fill(order, self._at, self._paid, self._n))

    async def cancel(self, order: Order) -> None:
        raise AssertionError(f"nothing is canceled here: {order}")

    settle = transfer = cancel

    async def look_up(self, order: Order) -> OrderReport | None:
        raise AssertionError(f"nothing is in doubt here: {order}")

    async def open_orders(self) -> Sequence[OrderReport]:
        return ()

    async def balances(self) -> dict[str, Amount]:
        return {}

    async def positions(self) -> dict[str, Any]:
        return {}

    async def history(self, _since: int) -> Sequence[Any]:
        return ()

    cash_flows = history


def through_trade(journal: Journal, events: int, clock: Clock, *, quiet: bool) -> list[int]:
    desk, wire = desk_of(journal, quiet=quiet), Wire(events, clock)

    async def run() -> None:
        await trade(desk, wire, reconcile_every=None)  # type: ignore[arg-type]

    anyio.run(run)
    desk.check().require()
    return wire.took


def measure(name: str, events: int, runs: int, folder: Path, *, quiet: bool) -> dict[str, float]:
    """Median of the runs' medians and 99th percentiles, in microseconds."""
    figures: dict[str, list[float]] = {"median_us": [], "p99_us": [], "longest_us": [], "at_work_median_us": [], "at_work_p99_us": []}
    run, records = alone if name.startswith("desk") else through_trade, 0
    for n in range(runs):
        for clock, prefix in ((time.perf_counter_ns, ""), (time.thread_time_ns, "at_work_")):
            gc.collect()
            file = folder / f"{name}-{quiet}-{n}-{prefix}.sleeves".replace(", ", "-")
            journal: Journal = Memory() if name.endswith("memory") else SQLite.open(file)
            took = sorted(run(journal, events, clock, quiet=quiet))
            figures[f"{prefix}median_us"].append(took[len(took) // 2] / 1_000)
            figures[f"{prefix}p99_us"].append(took[len(took) * 99 // 100] / 1_000)
            if not prefix:
                figures["longest_us"].append(took[-1] / 1_000)
            records = len(journal)
            if isinstance(journal, SQLite):
                journal.close()
    found = {what: round(statistics.median(values), 1) for what, values in figures.items()}
    what = "nothing is ordered" if quiet else "each leads to an order"
    print(f"{name}, {what} ({records:,} records): {found}", flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args()
    figures: dict[str, Any] = {}
    print(f"{args.events:,} events, {ENGINES} engines, {args.runs} runs:")
    with tempfile.TemporaryDirectory(prefix="sleeves-latency-") as folder:
        for quiet in (False, True):
            for name in ("desk, memory", "desk, SQLite", "trade, memory", "trade, SQLite"):
                figures[f"{name}{', quiet' if quiet else ''}"] = measure(name, args.events, args.runs, Path(folder), quiet=quiet)
    machine = {"python": platform.python_version(), "machine": platform.machine(), "sqlite": sqlite3.sqlite_version}
    print(json.dumps({"benchmark": "latency", "events": args.events, "engines": ENGINES, "runs": args.runs} | figures | machine))


if __name__ == "__main__":
    main()
