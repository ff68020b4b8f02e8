"""What a sweep costs beside the replays that it is made of.

    python benchmarks/sweeps.py [--rows 100000] [--pairs 100] [--runs 3] [--most 2]

The work: that of `many.py`, a hundred pairs of spans of the EMA cross over 100,000 bars. One after the other: a bare loop, which
makes each desk and replays it; the same with the laws checked and the figures taken; a sweep in this process; sweeps in pools of
1 to `--most` processes that are open already; and a sweep with a pool of its own, which starts the processes and ends them.
Trials that keep themselves in a file are timed too. Each trial's profit is compared. Ends with one line of JSON.
"""

from __future__ import annotations

import argparse
import concurrent.futures as cf
import functools
import json
import multiprocessing
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from replay import MARKET, RULES, desk_of, walk

from sleeves import Desk
from sleeves.engines import EmaCross
from sleeves.money import Amount
from sleeves.sim import Tape, replay
from sleeves.sweeps import Figure, figures, grid, sweep


def make_desk(fast: int, slow: int) -> Desk:
    """The desk of `replay.py` with these spans."""
    return desk_of(EmaCross(MARKET, fast, slow))[0]


def loop(pairs: list[dict[str, int]], tape: Tape, *, judged: bool) -> list[Figure]:
    """What somebody would write without `sweep`; not `judged`, without looking at what came of it."""
    found: list[Figure] = []
    for pair in pairs:
        desk = make_desk(**pair)
        report = replay(desk, tape, rules=RULES, progress=False, bounds=False)
        if judged:
            desk.check(report.holdings, positions=report.positions).require()
            found.append(figures(report)["profit"])
    return found


def timed(runs: int, work: Callable[[], list[Figure]]) -> tuple[list[float], list[Figure]]:
    seconds = []
    for _ in range(runs):
        begin = time.perf_counter()
        found = work()
        seconds.append(time.perf_counter() - begin)
    return seconds, found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--pairs", type=int, default=100)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--most", type=int, default=2, help="processes, at most")
    args = parser.parse_args()
    tape = walk(args.rows)
    pairs = grid(fast=range(5, 15), slow=range(20, 70, 5))[: args.pairs]
    loop(pairs[:1], tape, judged=True)  # what is loaded late is loaded now

    def swept(**how: object) -> list[Figure]:
        return [trial["profit"] for trial in sweep(make_desk, pairs, tape, rules=RULES, progress=False, **how)]  # type: ignore[arg-type]

    told: dict[str, tuple[list[float], list[Figure]]] = {}
    told["bare loop"] = timed(args.runs, lambda: loop(pairs, tape, judged=False))
    told["loop, judged"] = timed(args.runs, lambda: loop(pairs, tape, judged=True))
    told["sweep, here"] = timed(args.runs, lambda: swept(executor="here"))
    with tempfile.TemporaryDirectory() as folder:
        files = iter(Path(folder) / f"{n}.db" for n in range(args.runs))
        told["sweep, here, kept"] = timed(args.runs, lambda: swept(executor="here", keep=next(files)))
    for count in range(1, args.most + 1):
        with cf.ProcessPoolExecutor(count, mp_context=multiprocessing.get_context("spawn")) as pool:
            open_one = functools.partial(swept, executor=pool)
            open_one()
            told[f"sweep, pool of {count}"] = timed(args.runs, open_one)
    told[f"sweep, own pool of {args.most}"] = timed(args.runs, lambda: swept(workers=args.most))

    expected = told["loop, judged"][1]
    assert all(isinstance(one, Amount) for one in expected)
    rows = len(tape) * len(pairs)
    print(f"{len(pairs)} trials over {len(tape):,} rows, {args.runs} runs")
    medians = {}
    for name, (seconds, found) in told.items():
        assert found == expected or name == "bare loop", f"{name} came to something else"
        medians[name] = median = statistics.median(seconds)
        spread = f"best {min(seconds):.3f}, worst {max(seconds):.3f}"
        rates = f"{len(pairs) / median:,.0f} trials/s, {rows / median:,.0f} rows/s"
        print(f"{name:22} median {median:.3f} s ({spread}): {rates}")
    print(
        json.dumps(
            {
                "benchmark": "sweeps",
                "trials": len(pairs),
                "rows": len(tape),
                "runs": args.runs,
                "seconds": {name: round(median, 4) for name, median in medians.items()},
                "over_bare_loop_ms": round((medians["sweep, here"] - medians["bare loop"]) / len(pairs) * 1e3, 3),
                "python": platform.python_version(),
                "machine": platform.machine(),
            }
        )
    )


if __name__ == "__main__":
    sys.exit(main())
