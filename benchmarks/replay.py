"""Replay speed on one fixed piece of work, with the books exact.

    python benchmarks/replay.py [--rows 500000] [--runs 5]

The work: one-minute bars of a seeded random walk from 3,000, each opening where the last one closed; an EMA(10/50)
cross that is long with a tenth of its equity above and flat below; taker fee 0.1%, no slippage, as the peers that it is
compared with run it. Prints the median of several runs, and ends with one line of JSON.

What is timed is `replay` alone: prices through the desk, orders through gates and holds, fills through ledger and
journal. Checking the laws and making the report are timed apart.
"""

from __future__ import annotations

import argparse
import gc
import json
import platform
import random
import resource
import statistics
import time
from collections.abc import Iterable

from sleeves import ETH, QUIET, USD, CoreVault, Desk, Instrument, Place, Side
from sleeves.orders import Intent
from sleeves.protocols import View
from sleeves.sim import Fees, Rules, Slippage, Tape, replay

MARKET = Instrument("ETH/USD", base=ETH, quote=USD, tick="0.01", lot="0.0000000001")


class Averages:
    __slots__ = ("above", "count", "fast", "slow")

    def __init__(self) -> None:
        self.fast = self.slow = 0.0
        self.above = False
        self.count = 0


class Cross:
    """Long with a tenth of its money while the fast average is above the slow one."""

    name = "ema-cross"
    watches = (MARKET,)
    every = 0

    def __init__(self, fast: int = 10, slow: int = 50) -> None:
        self.fast = 2 / (fast + 1)
        self.slow = 2 / (slow + 1)
        self.warm_up = slow

    def begin(self) -> Averages:
        return Averages()

    def decide(self, memory: Averages, view: View) -> Iterable[Intent] | None:
        price = view.book.bid
        if not memory.count:
            memory.fast = memory.slow = price
        memory.fast += self.fast * (price - memory.fast)
        memory.slow += self.slow * (price - memory.slow)
        memory.count += 1
        above = memory.fast > memory.slow
        if above is memory.above:
            return None
        memory.above = above
        if memory.count <= self.warm_up:
            return None
        held = view.position(MARKET)
        if above and not held:
            return (Place(MARKET, Side.BUY, view.affordable(MARKET, view.free() // 10)),)
        if held and not above:
            return (Place(MARKET, Side.SELL, held),)
        return None


def walk(rows: int, seed: int = 1) -> Tape:
    """A random walk of minute bars on the instrument's tick."""
    rng = random.Random(seed)
    columns: dict[str, list[float]] = {name: [] for name in ("open", "high", "low", "close")}
    price = 300_000
    for _ in range(rows):
        path = [price]
        for _ in range(3):
            price = max(100, round(price * (1 + rng.gauss(0, 0.0004))))
            path.append(price)
        columns["open"].append(path[0] / 100)
        columns["high"].append(max(path) / 100)
        columns["low"].append(min(path) / 100)
        columns["close"].append(price / 100)
    ts = [1_600_000_000 + 60 * i for i in range(rows)]
    return Tape.from_columns(MARKET, ts=ts, **columns, name=f"random walk, seed {seed}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--runs", type=int, default=5)
    args = parser.parse_args()
    tape = walk(args.rows)
    rules = Rules(Fees(1_000, 1_000), Slippage.none())
    seconds, fills, checks = [], 0, []
    for _ in range(args.runs):
        report = None  # the run before is garbage: collected outside of the time taken
        gc.collect()
        vault = CoreVault(USD, total="1000000", tradeable="1000000")
        sleeve = vault.sleeve("cross", QUIET, allocate="1000000")
        desk = Desk(vault)
        desk.assign(Cross(), to=sleeve)
        begin = time.perf_counter()
        report = replay(desk, tape, rules=rules, progress=False)
        seconds.append(time.perf_counter() - begin)
        begin = time.perf_counter()
        report.proof.require()
        checks.append(time.perf_counter() - begin)
        fills = report.story.sleeves["cross"].fills
    median = statistics.median(seconds)
    print(f"{args.rows:,} rows, {fills:,} fills, {args.runs} runs:")
    print(f"median {median:.3f} s, best {min(seconds):.3f} s, worst {max(seconds):.3f} s")
    print(f"proving all laws in depth afterwards: median {statistics.median(checks):.3f} s")
    print(
        json.dumps(
            {
                "benchmark": "replay",
                "rows": args.rows,
                "fills": fills,
                "runs": args.runs,
                "seconds": round(median, 4),
                "rows_per_s": round(args.rows / median),
                "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
                "python": platform.python_version(),
                "machine": platform.machine(),
            }
        )
    )


if __name__ == "__main__":
    main()
