"""Replay speed on one fixed piece of work, with the books exact: W1.

    python benchmarks/replay.py [--rows 500000] [--runs 5] [--path event|plan|both]

The work: one-minute bars of a seeded random walk from 3,000, each opening where the last one closed; an EMA(10/50)
cross that is long with a tenth of its cash and flat below; taker fee 0.1%, no slippage, as the peers that it is
compared with run it.

    event    an engine without a plan, written as a user writes one, asked on each row
    plan     the shipped `EmaCross`, whose plan names the rows that it is asked on

What is timed is `replay` alone: prices through the desk, orders through gates and holds, fills through ledger and
journal. Apart from it, and printed: writing out the journal's records where they are still figures in columns, and the proof
of all laws in depth, which folds them anew. Each path has two processes of its own, which read the rows from a tape
file: one that runs it several times, and one that runs it once, whose whole time, imports included, and whose peak
memory are told. Prints medians with best and worst, and ends with one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import work

from sleeves import ETH, QUIET, USD, CoreVault, Desk, Instrument, Place, Side, Sleeve, __version__
from sleeves.booking import Allowance
from sleeves.engines import EmaCross
from sleeves.money import Rounding
from sleeves.orders import Intent
from sleeves.protocols import Engine, View
from sleeves.sim import Fees, Rules, Slippage, Tape, replay

MARKET = Instrument("ETH/USD", base=ETH, quote=USD, tick="0.01", lot="0.0000000001")
RULES = Rules(Fees(1_000, 1_000), Slippage.none())
ALLOWANCE = Allowance.of(fee="0.1%", slippage="0%")
"""What a buy sets aside is what it costs here, so that a tenth of the cash buys what it buys with the peers."""

PATHS = ("event", "plan")


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

    def __init__(self, fast: int = work.FAST, slow: int = work.SLOW) -> None:
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


def engine(path: str) -> Engine[Any]:
    return EmaCross(MARKET, work.FAST, work.SLOW) if path == "plan" else Cross()


def desk_of(one: Engine[Any], allowance: Allowance = ALLOWANCE) -> tuple[Desk, Sleeve]:
    """A desk with one sleeve that has all of a million, and this engine on it."""
    money = str(round(work.MONEY))
    vault = CoreVault(USD, total=money, tradeable=money)
    sleeve = vault.sleeve("cross", QUIET, allocate=money)
    desk = Desk(vault, allowance=allowance)
    desk.assign(one, to=sleeve)
    return desk, sleeve


def walk(rows: int, seed: int = 1) -> Tape:
    """A random walk of minute bars on the instrument's tick."""
    return Tape.from_units(MARKET, **work.bars(rows, seed), name=f"random walk, seed {seed}")  # type: ignore[arg-type]


def tape_of(path: Path) -> Tape:
    """The rows of a tape file, or of plain columns (.i64), which are taken in first."""
    return Tape.from_units(MARKET, **work.read(path, work.BARS)) if path.suffix == ".i64" else Tape.open_file(path)


def worth(sleeve: Sleeve, price: int) -> float:
    """What a sleeve is worth at a price."""
    return (sleeve.free.units + MARKET.cost(price, sleeve.position_units(MARKET), Rounding.FLOOR)) / 10**USD.scale


def child(path: str, data: Path, runs: int) -> dict[str, Any]:
    """In a process of its own: runs on a tape file. With more than one, the last one is written out, told and proved as well; a
    process with one run does nothing but that run, and its whole time is that of a user who looks at the final equity.
    """
    tape = tape_of(data)
    seconds = []
    for _ in range(runs):
        report = None  # the run before is garbage: collected outside of the time taken
        desk, sleeve = desk_of(engine(path))
        taken, report = work.timed(1, lambda desk=desk: replay(desk, tape, rules=RULES, progress=False))
        seconds += taken
    told: dict[str, Any] = {"version": __version__, "seconds": seconds, "rows": len(tape), "peak_mb": work.peak_mb()}
    told |= {"records": len(desk.books.journal), "equity": worth(sleeve, tape.close[-1])}
    if runs == 1:
        return told
    begin = time.perf_counter()
    for _ in desk.books.journal:
        pass
    written = time.perf_counter()
    report.proof.require()
    proved = time.perf_counter()
    told |= {"written_s": round(written - begin, 4), "proved_s": round(proved - written, 4)}
    return told | {"fills": report.story.sleeves[sleeve.name].fills}


def run_child(arguments: Sequence[str]) -> tuple[dict[str, Any], float]:
    """What a process of its own told with its last line, and its seconds from start to end."""
    begin = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, env={**os.environ, "PYTHONHASHSEED": "0"}, check=False
    )
    seconds = time.perf_counter() - begin
    if done.returncode:
        raise SystemExit(done.stderr)
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told, seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--path", choices=[*PATHS, "both"], default="both")
    parser.add_argument("--whole", type=int, default=3, help="processes whose whole time is told")
    parser.add_argument("--make", type=Path, help="write the rows as a tape file, and nothing else")
    parser.add_argument("--data", type=Path, help="run on this tape file in this process")
    args = parser.parse_args()
    if args.make:
        walk(args.rows).save(args.make)
        return
    if args.data:
        work.tell(**child("event" if args.path == "both" else args.path, args.data, args.runs))
        return
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "walk.tape"
        subprocess.run([sys.executable, __file__, "--make", str(data), "--rows", str(args.rows)], check=True)
        for path in PATHS if args.path == "both" else (args.path,):
            many, _ = run_child([__file__, "--data", str(data), "--path", path, "--runs", str(args.runs + 1)])
            once = [run_child([__file__, "--data", str(data), "--path", path, "--runs", "1"]) for _ in range(args.whole)]
            seconds = many.pop("seconds")[1:]
            whole = [taken for _, taken in once]
            rate = args.rows / statistics.median(seconds)
            print(f"{path}: {args.rows:,} rows, {many['fills']:,} fills, {many['records']:,} records, {args.runs} runs")
            print(f"  run {work.spread(seconds)}, {rate:,.0f} rows a second")
            print(f"  whole process with one run {work.spread(whole)}, peak {once[0][0]['peak_mb']} MB")
            print(f"  afterwards: records written out in {many['written_s']:.3f} s, all laws proved in depth in {many['proved_s']:.3f} s")
            found[path] = many | {
                "run_s": round(statistics.median(seconds), 4),
                "run_best_s": round(min(seconds), 4),
                "run_worst_s": round(max(seconds), 4),
                "rows_per_s": round(rate),
                "process_s": round(statistics.median(whole), 3),
                "peak_mb": once[0][0]["peak_mb"],
            }
    work.tell(benchmark="replay", rows=args.rows, runs=args.runs, paths=found, **work.machine())


if __name__ == "__main__":
    main()
