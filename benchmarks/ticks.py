"""Replay speed on trades: W2.

    python benchmarks/ticks.py [--rows 1000000] [--runs 5]

The work: a million trades a tenth of a second apart; an engine without a plan that moves an average with each of them, and
that buys one coin on trade 500 and sells it on trade 1,500, and so on: a thousand orders at market, fee 0.1%, filled at
the next trade. What is timed is `replay` alone, as in `replay.py`, with processes of its own in the same way. Ends with one
line of JSON.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import work
from replay import MARKET, RULES, desk_of, run_child, worth

from sleeves import Place, Side, __version__
from sleeves.booking import Allowance
from sleeves.orders import Intent
from sleeves.protocols import View
from sleeves.sim import Tape, replay


class Average:
    __slots__ = ("seen", "value")

    def __init__(self) -> None:
        self.seen = 0
        self.value = 0.0


class Turns:
    """Buys and sells one coin by turns, and keeps an average for nothing."""

    name = "turns"
    watches = (MARKET,)
    every = 0
    share = 2 / (work.TICK_SPAN + 1)
    one = MARKET.base("1").units

    def begin(self) -> Average:
        return Average()

    def decide(self, memory: Average, view: View) -> Iterable[Intent] | None:
        price = view.book.bid
        seen = memory.seen
        memory.seen = seen + 1
        if not seen:
            memory.value = price
        memory.value += self.share * (price - memory.value)
        if seen % work.TICK_EVERY != work.TICK_FIRST:
            return None
        held = view.position(MARKET)
        return (Place(MARKET, Side.SELL, held),) if held else (Place(MARKET, Side.BUY, self.one),)


def trades(rows: int) -> Tape:
    return Tape.from_ticks(MARKET, **work.ticks(rows), name="random trades")


def tape_of(path: Path) -> Tape:
    """The rows of a tape file, or of plain columns (.i64), which are taken in first."""
    return Tape.from_ticks(MARKET, **work.read(path, work.TICKS)) if path.suffix == ".i64" else Tape.open_file(path)


def child(data: Path, runs: int) -> dict[str, Any]:
    """In a process of its own: runs on a tape file."""
    tape = tape_of(data)
    seconds = []
    for _ in range(runs):
        report = None  # the run before is garbage: collected outside of the time taken
        desk, sleeve = desk_of(Turns(), Allowance())
        taken, report = work.timed(1, lambda desk=desk: replay(desk, tape, rules=RULES, progress=False))
        seconds += taken
    told: dict[str, Any] = {"version": __version__, "seconds": seconds, "rows": len(tape), "peak_mb": work.peak_mb()}
    told["equity"] = worth(sleeve, tape.close[-1])
    if runs == 1:
        return told
    report.proof.require()
    return told | {"fills": report.story.sleeves[sleeve.name].fills}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--whole", type=int, default=3, help="processes whose whole time is told")
    parser.add_argument("--make", type=Path, help="write the rows as a tape file, and nothing else")
    parser.add_argument("--data", type=Path, help="run on this tape file in this process")
    args = parser.parse_args()
    if args.make:
        trades(args.rows).save(args.make)
        return
    if args.data:
        work.tell(**child(args.data, args.runs))
        return
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "trades.tape"
        subprocess.run([sys.executable, __file__, "--make", str(data), "--rows", str(args.rows)], check=True)
        many, _ = run_child([__file__, "--data", str(data), "--runs", str(args.runs + 1)])
        once = [run_child([__file__, "--data", str(data), "--runs", "1"]) for _ in range(args.whole)]
    seconds = many.pop("seconds")[1:]
    whole = [taken for _, taken in once]
    rate = args.rows / statistics.median(seconds)
    print(f"{args.rows:,} trades, {many['fills']:,} fills, {args.runs} runs")
    print(f"  run {work.spread(seconds)}, {rate:,.0f} rows a second")
    print(f"  whole process with one run {work.spread(whole)}, peak {once[0][0]['peak_mb']} MB")
    figures = {"run_s": round(statistics.median(seconds), 4), "rows_per_s": round(rate), "process_s": round(statistics.median(whole), 3)}
    work.tell(**{"benchmark": "ticks", "runs": args.runs, **many, **figures, "peak_mb": once[0][0]["peak_mb"]}, **work.machine())


if __name__ == "__main__":
    main()
