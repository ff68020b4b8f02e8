"""A hundred variants over one tape in one process: W3.

    python benchmarks/many.py [--rows 100000] [--pairs 100] [--runs 3]

The work: the strategy of `replay.py` with a hundred pairs of spans, fast 5 to 14 and slow 20 to 65, over 100,000 bars, each with
its own desk, vault and million. What is timed is `replay_many` with the engine's plan, making the desks left out; beside it, the
same desks one after another through `replay`, and what proving all of them in depth takes. Rows are rows times pairs. Ends with
one line of JSON.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import work
from replay import MARKET, RULES, desk_of, run_child, tape_of, walk, worth

from sleeves import __version__
from sleeves.engines import EmaCross
from sleeves.sim import replay, replay_many

PAIRS = [(fast, slow) for fast in range(5, 15) for slow in range(20, 70, 5)]


def child(data: Path, runs: int, pairs: int, *, beside: bool) -> dict[str, Any]:
    """In a process of its own: runs on a tape file, and what is measured beside them."""
    tape = tape_of(data)
    seconds = []
    for _ in range(runs):
        reports: Any = None  # the run before is garbage: collected outside of the time taken
        stands = [desk_of(EmaCross(MARKET, fast, slow)) for fast, slow in PAIRS[:pairs]]
        desks = [desk for desk, _ in stands]
        taken, reports = work.timed(1, lambda desks=desks: replay_many(desks, tape, rules=RULES, progress=False))
        seconds += taken
    told: dict[str, Any] = {"version": __version__, "seconds": seconds, "rows": len(tape) * len(stands), "peak_mb": work.peak_mb()}
    if beside:
        again = [desk_of(EmaCross(MARKET, fast, slow))[0] for fast, slow in PAIRS[:pairs]]
        begin = time.perf_counter()
        for desk in again:
            replay(desk, tape, rules=RULES, progress=False, bounds=False)
        told["one_by_one_s"] = round(time.perf_counter() - begin, 4)
        begin = time.perf_counter()
        for report in reports:
            report.proof.require()
        told["proved_s"] = round(time.perf_counter() - begin, 4)
    told["equity"] = sum(worth(sleeve, tape.close[-1]) for _, sleeve in stands)
    if runs == 1:
        return told
    return told | {"fills": sum(report.story.sleeves["cross"].fills for report in reports)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--pairs", type=int, default=len(PAIRS))
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--make", type=Path, help="write the rows as a tape file, and nothing else")
    parser.add_argument("--data", type=Path, help="run on this tape file in this process")
    parser.add_argument("--beside", action="store_true", help="with --data: also one by one, and the proofs")
    args = parser.parse_args()
    if args.make:
        walk(args.rows).save(args.make)
        return
    if args.data:
        work.tell(**child(args.data, args.runs, args.pairs, beside=args.beside))
        return
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "walk.tape"
        subprocess.run([sys.executable, __file__, "--make", str(data), "--rows", str(args.rows)], check=True)
        again = [__file__, "--data", str(data), "--pairs", str(args.pairs), "--runs"]
        many, _ = run_child([*again, str(args.runs + 1), "--beside"])
        once, whole = run_child([*again, "1"])
    seconds = many.pop("seconds")[1:]
    rate = many["rows"] / statistics.median(seconds)
    print(f"{args.pairs} pairs over {args.rows:,} rows, {many['fills']:,} fills, {args.runs} runs")
    print(f"  together {work.spread(seconds)}, {rate:,.0f} rows a second; one by one {many['one_by_one_s']:.3f} s")
    print(f"  whole process with one run {whole:.3f} s, peak {once['peak_mb']} MB; all proved in depth in {many['proved_s']:.3f} s")
    figures: dict[str, Any] = {"run_s": round(statistics.median(seconds), 4), "rows_per_s": round(rate), "process_s": round(whole, 3)}
    work.tell(
        **{"benchmark": "many", "runs": args.runs, "pairs": args.pairs, **many, **figures, "peak_mb": once["peak_mb"]}, **work.machine()
    )


if __name__ == "__main__":
    main()
