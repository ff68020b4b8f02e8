"""Speed of the order book alone, and of a market that runs on it.

    python benchmarks/book.py [--orders 200000] [--rows 10000] [--runs 5]

`book`: limit orders at random within twenty ticks of a price that wanders, a third of them crossing, one in four canceled
again, on `OrderBook` alone; what is counted are operations and fills. `market`: minute bars of a seeded random walk
on a `BookMarket` with the default seeded flow and no order of ours. `replay`: the same with a desk and an engine that
quotes both sides anew in each row. Prints the median of several runs, and ends with one line of JSON.
"""

from __future__ import annotations

import argparse
import gc
import json
import platform
import random
import statistics
import time
from collections.abc import Callable, Iterable

from sleeves import ETH, QUIET, USD, Cancel, CoreVault, Desk, Instrument, Place, Side
from sleeves.money import Rounding
from sleeves.orders import Intent
from sleeves.protocols import View
from sleeves.sim import BookMarket, Fees, Flow, OrderBook, Rules, Tape, replay
from sleeves.sim.book import Trade

MARKET = Instrument("ETH/USD", base=ETH, quote=USD, tick="0.01", lot="0.001")
FLOW = Flow.seeded(1)


def book(orders: int) -> tuple[int, float, dict[str, int]]:
    """Operations, seconds, and what else there is to count."""
    rng, price = random.Random(1), 300_000
    plan = []
    for number in range(orders):
        price += rng.randrange(-2, 3)
        buys, off = rng.random() < 0.5, rng.randrange(-20, 11)
        plan.append((number, Side.BUY if buys else Side.SELL, rng.randrange(1, 50), price + (off if buys else -off), rng.random() < 0.25))
    one, operations, fills = OrderBook(), 0, 0
    gc.collect()
    begin = time.perf_counter()
    for number, side, qty, limit, goes in plan:
        for result in one.place(number, "maker" if number % 2 else "taker", side, qty, now=number, limit=limit):
            fills += isinstance(result, Trade)
        operations += 1
        if goes:
            one.cancel(number - 10, now=number)
            operations += 1
    return operations, time.perf_counter() - begin, {"fills": fills}


def walk(rows: int) -> Tape:
    """A random walk of minute bars on the instrument's tick."""
    rng, price = random.Random(1), 300_000
    columns: dict[str, list[float]] = {name: [] for name in ("open", "high", "low", "close")}
    for _ in range(rows):
        path = [price]
        for _ in range(3):
            price = max(100, round(price * (1 + rng.gauss(0, 0.0004))))
            path.append(price)
        for name, value in zip(columns, (path[0], max(path), min(path), price), strict=True):
            columns[name].append(value / 100)
    return Tape.from_columns(MARKET, ts=[1_600_000_000 + 60 * i for i in range(rows)], **columns, name="random walk")


def market(rows: int) -> tuple[int, float, dict[str, int]]:
    tape, place = walk(rows), BookMarket(MARKET, {"USD": USD("1")}, Rules(book=FLOW))
    gc.collect()
    begin = time.perf_counter()
    for (at, open_, high, low, close, _), end in zip(tape.rows(), tape.ends(), strict=True):
        place.advance(at, end - at, open_, high, low, close)
        place.top()
    return rows, time.perf_counter() - begin, {}


class Quotes:
    """A bid and an ask a tenth of a percent off the middle, anew in each row."""

    name, watches, every = "quotes", (MARKET,), 0

    def begin(self) -> None:
        return None

    def decide(self, memory: None, view: View) -> Iterable[Intent]:  # noqa: ARG002 it remembers nothing
        wishes: list[Intent] = [Cancel(order.id) for order in view.orders()]
        for side, by, rounding in ((Side.BUY, -1_000, Rounding.FLOOR), (Side.SELL, 1_000, Rounding.CEIL)):
            if side is Side.BUY or view.position(MARKET) >= MARKET.qty("0.3"):
                wishes.append(Place(MARKET, side, MARKET.qty("0.3"), limit=MARKET.shift(view.book.mid, by, rounding), post_only=True))
        return wishes


def whole(rows: int) -> tuple[int, float, dict[str, int]]:
    tape, vault = walk(rows), CoreVault(USD, total="1000000", tradeable="1000000")
    desk = Desk(vault)
    desk.assign(Quotes(), to=vault.sleeve("one", QUIET, allocate="1000000"))
    gc.collect()
    begin = time.perf_counter()
    report = replay(desk, tape, rules=Rules(Fees(0, 1_000), book=FLOW), progress=False, bounds=False)
    seconds = time.perf_counter() - begin
    report.proof.require()
    return rows, seconds, {"fills": report.story.sleeves["one"].fills}


def measure(name: str, what: str, work: Callable[[int], tuple[int, float, dict[str, int]]], size: int, runs: int) -> dict[str, object]:
    found = [work(size) for _ in range(runs)]
    count, _, more = found[0]
    median = statistics.median(seconds for _, seconds, _ in found)
    told = "".join(f", {n:,} {kind} ({n / median:,.0f}/s)" for kind, n in more.items())
    print(f"{name}: {count:,} {what}, median {median:.3f} s of {runs}, {count / median:,.0f} {what}/s{told}")
    return {what: count, "seconds": round(median, 4), "per_s": round(count / median)} | more


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--orders", type=int, default=200_000)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=5)
    args = parser.parse_args()
    alone = measure("book", "operations", book, args.orders, args.runs)
    played = measure("market", "rows", market, args.rows, args.runs)
    desk = measure("replay", "rows", whole, args.rows, args.runs)
    machine = {"python": platform.python_version(), "machine": platform.machine()}
    print(json.dumps({"benchmark": "book", "runs": args.runs, "book": alone, "market": played, "replay": desk} | machine))


if __name__ == "__main__":
    main()
