"""Replay speed with perpetual contracts: margin, fences and liquidation triggers in the loop.

    python benchmarks/contracts.py [--rows 50000] [--runs 5]

The work is that of `replay.py`, a seeded random walk in minute bars, on contracts: `one`, an EMA(10/50) cross on one
contract; `two`, a long and a short of two contracts held from the first price to the last, which the exchange moves
together in time. Prints the median of several runs, and ends with one line of JSON.
"""

from __future__ import annotations

import argparse
import gc
import json
import platform
import random
import statistics
import time
from collections.abc import Iterable
from typing import Any

from sleeves import BTC, ETH, QUIET, USD, CoreVault, Desk, Instrument, Place, Side
from sleeves.market import Kind
from sleeves.orders import Intent
from sleeves.protocols import View
from sleeves.sim import Fees, Rules, Slippage, Tape, replay

ONE = Instrument("ETH-PERP", base=ETH, quote=USD, tick="0.01", lot="0.001", kind=Kind.PERP)
OTHER = Instrument("BTC-PERP", base=BTC, quote=USD, tick="0.01", lot="0.001", kind=Kind.PERP)


class Cross:
    """Long with a tenth of its money on margin while the fast average is above the slow one."""

    name, every, watches = "ema-cross", 0, (ONE,)

    def begin(self) -> list[float]:
        return [0.0, 0.0, 0.0]

    def decide(self, memory: list[float], view: View) -> Iterable[Intent] | None:
        price = view.book.bid
        fast, slow, count = memory
        memory[:] = [fast + (price - fast) * 2 / 11, slow + (price - slow) * 2 / 51, count + 1] if count else [price, price, 1]
        held = view.position(ONE)
        if count <= 50 or (memory[0] > memory[1]) is (held > 0) or view.orders():
            return None
        if held:
            return (Place(ONE, Side.SELL, held, reduce_only=True),)
        return (Place(ONE, Side.BUY, view.affordable(ONE, view.free() // 10)),)


class Holds:
    """Long one, short the other, from the first price on."""

    name, every, watches = "holds", 0, (ONE, OTHER)

    def begin(self) -> set[str]:
        return set()

    def decide(self, memory: set[str], view: View) -> Iterable[Intent] | None:
        market = view.book.instrument
        if market.symbol in memory:
            return None
        memory.add(market.symbol)
        return (Place(market, Side.BUY if market is ONE else Side.SELL, market.qty("10")),)


def walk(market: Instrument, rows: int, seed: int) -> Tape:
    """A random walk of minute bars on the instrument's tick."""
    rng, price = random.Random(seed), 300_000
    columns: dict[str, list[float]] = {name: [] for name in ("open", "high", "low", "close")}
    for _ in range(rows):
        path = [price]
        for _ in range(3):
            price = max(100, round(price * (1 + rng.gauss(0, 0.0004))))
            path.append(price)
        for name, value in zip(columns, (path[0], max(path), min(path), price), strict=True):
            columns[name].append(value / 100)
    return Tape.from_columns(market, ts=[1_600_000_000 + 60 * i for i in range(rows)], **columns, name=f"random walk, seed {seed}")


def measure(engine: Any, tapes: list[Tape], runs: int) -> dict[str, object]:
    seconds, fills = [], 0
    for _ in range(runs):
        gc.collect()
        vault = CoreVault(USD, total="1000000", tradeable="1000000")
        desk = Desk(vault)
        desk.assign(engine(), to=vault.sleeve("one", QUIET, allocate="1000000"))
        begin = time.perf_counter()
        report = replay(desk, tapes, rules=Rules(Fees(1_000, 1_000), Slippage.none()), progress=False, bounds=False)
        seconds.append(time.perf_counter() - begin)
        report.proof.require()
        fills = report.story.sleeves["one"].fills
    median, rows = statistics.median(seconds), sum(map(len, tapes))
    print(f"{engine.__name__}: {rows:,} rows, {fills:,} fills, median {median:.3f} s of {runs}, {rows / median:,.0f} rows/s")
    return {"rows": rows, "fills": fills, "seconds": round(median, 4), "rows_per_s": round(rows / median)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--runs", type=int, default=5)
    args = parser.parse_args()
    one = measure(Cross, [walk(ONE, args.rows, 1)], args.runs)
    two = measure(Holds, [walk(ONE, args.rows // 5, 1), walk(OTHER, args.rows // 5, 2)], args.runs)
    machine = {"python": platform.python_version(), "machine": platform.machine()}
    print(json.dumps({"benchmark": "contracts", "runs": args.runs, "one": one, "two": two} | machine))


if __name__ == "__main__":
    main()
