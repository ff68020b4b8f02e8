"""How cost and memory grow: with the rows of a tape, with the sleeves of a vault, with the fills before.

    python benchmarks/growth.py [--most 10000000] [--runs 3] [--json FILE] [--svg docs/images/growth.svg]
    python benchmarks/growth.py --most 100000000        (trades alone are that long: writes a file of 1.6 GB)

The works, each run in a process of its own, which maps a tape file that another one wrote:

    rows, asked      bars; an EMA(10/50) cross is asked on each row (`plan=False`)
    rows, planned    the same bars and engine, by its plan
    trades, asked    trades; an engine moves an average with each, and a hundred orders are spread over the tape
    sleeves          1 to 1,000 sleeves of one vault, each of which trades at every row: 100,000 fills
    fills            one sleeve trades at every row: what a fill costs with so many fills before it

Of each: the median of several runs, in nanoseconds a row or microseconds a fill. Memory is what a process had of its own at
its most (anonymous pages, looked at after each block), and what it had resident with the pages of the file, both less what it
had before the run. A cross orders in proportion to rows, so that its journal grows with them; the trades' does not.

Prints a table, ends with one line of JSON, and draws the curves.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import work
from replay import MARKET

from sleeves import QUIET, USD, CoreVault, Desk, Place, Side, __version__
from sleeves.engines import EmaCross
from sleeves.orders import Intent
from sleeves.protocols import View
from sleeves.sim import Fees, Rules, Slippage, Tape, TapeWriter, replay

RULES = Rules(Fees(10, 10), Slippage.none())
"""A fee of 0.001%: one of 0.1% would have eaten the money of a cross before ten million rows are over."""

MINUTE = 60 * 10**9
BEGIN = 1_600_000_000 * 10**9
ORDERS = 100
SLEEVES = (1, 10, 100, 1_000)
SLEEVE_FILLS = 100_000
FILL_ROWS = 200_000
PIECE = 1 << 20
NEVER = 1 << 40
CROSS_MOST = 10_000_000
"""Rows of the longest tape on which averages cross: the journal of one ten times as long would be eight gigabytes."""
ROWS = ("rows, asked", "rows, planned", "trades, asked")


# -- tapes ---------------------------------------------------------------------------------------------------------------


def make(path: Path, rows: int, trades: bool) -> None:
    """Write a tape of a random walk from 3,000 in parts: bars of a minute, or trades a tenth of a second apart."""
    import numpy as np

    rng = np.random.default_rng(1)
    last = 300_000.0
    with TapeWriter(path, MARKET, interval=None if trades else MINUTE) as writer:
        for first in range(0, rows, PIECE):
            size = min(PIECE, rows - first)
            row = np.arange(first, first + size, dtype=np.int64)
            paths = last * np.exp(np.cumsum(rng.normal(0, 0.00004 if trades else 0.0004, (size, 1 if trades else 3)).reshape(-1)))
            over = (paths - 200_000) % 400_000  # a walk that is long stays between 2,000 and 4,000: it turns there
            paths = 200_000 + np.minimum(over, 400_000 - over)
            units = np.maximum(np.rint(paths), 100).astype(np.int64).reshape(size, -1)
            close = units[:, -1].copy()
            if trades:
                writer.append(at=BEGIN + row * 10**8, price=close)
            else:
                open_ = np.concatenate(([round(last)], close[:-1])).astype(np.int64)
                high, low = np.maximum(open_, units.max(axis=1)), np.minimum(open_, units.min(axis=1))
                writer.append(at=BEGIN + row * MINUTE, open=open_, high=high, low=low, close=close)
            last = float(close[-1])


# -- engines -------------------------------------------------------------------------------------------------------------


class Average:
    __slots__ = ("seen", "value")

    def __init__(self) -> None:
        self.seen = 0
        self.value = 0.0


class Turns:
    """Buys and sells a thousandth of a coin by turns at every so many prices, from the `first`-th on; moves an average with each."""

    watches = (MARKET,)
    every = 0

    def __init__(self, each: int, first: int = 0, name: str = "turns") -> None:
        self.each, self.first, self.name = each, first, name
        self.lot = MARKET.base("0.001").units

    def begin(self) -> Average:
        return Average()

    def decide(self, memory: Average, view: View) -> Iterable[Intent] | None:
        memory.value += 0.02 * (view.book.bid - memory.value)
        seen = memory.seen
        memory.seen = seen + 1
        if seen % self.each != self.first:
            return None
        held = view.position(MARKET)
        return (Place(MARKET, Side.SELL, held),) if held else (Place(MARKET, Side.BUY, self.lot),)


def desk_of(engines: Sequence[Any]) -> Desk:
    """A vault with a sleeve of a thousand for each engine."""
    money = str(1_000 * len(engines))
    vault = CoreVault(USD, total=money, tradeable=money)
    desk = Desk(vault)
    for number, engine in enumerate(engines):
        desk.assign(engine, to=vault.sleeve(f"s{number}", QUIET, allocate="1000"))
    return desk


# -- runs, each in a process of its own ----------------------------------------------------------------------------------


class Watch:
    """Memory of this process in MB: its own, and with the pages of files."""

    def __init__(self) -> None:
        self.before = self.now()
        self.own = self.resident = 0.0
        self.next = 0.0

    def now(self) -> tuple[float, float]:
        try:
            lines = Path("/proc/self/status").read_text().splitlines()
        except OSError:
            return 0.0, 0.0
        told = {line.split(":")[0]: line.split()[1] for line in lines if line.startswith(("RssAnon", "VmRSS"))}
        return int(told.get("RssAnon", 0)) / 1024, int(told["VmRSS"]) / 1024

    def __call__(self, _: int = 0) -> None:
        if time.monotonic() >= self.next:
            own, resident = self.now()
            self.own, self.resident = max(self.own, own - self.before[0]), max(self.resident, resident - self.before[1])
            self.next = time.monotonic() + 0.02


def run_rows(path: Path, kind: str, runs: int) -> dict[str, Any]:
    tape = Tape.open_file(path)
    each = max(2, len(tape) // ORDERS)

    def fresh() -> Desk:
        return desk_of([Turns(each, each // 2) if kind == "trades, asked" else EmaCross(MARKET)])

    def run(desk: Desk, tape: Tape = tape) -> Any:
        return replay(desk, tape, rules=RULES, progress=watch, bounds=False, plan=kind == "rows, planned")

    watch = Watch()
    run(fresh(), tape.slice(0, 1_000))  # what is made once, and loaded once, is made here
    seconds, watch, fills = [], Watch(), 0
    for _ in range(runs):
        desk = fresh()

        taken, fills = work.timed(1, lambda desk=desk: run(desk), lambda report: report.story.sleeves["s0"].fills)
        seconds += taken
        watch.next = 0.0
        watch()
    nanos = [1e9 * taken / len(tape) for taken in seconds]
    told = {
        "rows": len(tape),
        "fills": fills,
        "ns_a_row": round(statistics.median(nanos), 1),
        "spread": [round(min(nanos), 1), round(max(nanos), 1)],
    }
    return told | {"own_mb": round(watch.own, 1), "resident_mb": round(watch.resident, 1), "runs": runs, "seconds": round(sum(seconds), 2)}


def run_sleeves(path: Path, sleeves: int, runs: int) -> dict[str, Any]:
    """So many sleeves, each of which trades at every row: what a fill costs, with the price that its engine was asked at."""
    tape = Tape.open_file(path).slice(0, SLEEVE_FILLS // sleeves + 1)

    def taken() -> tuple[float, int]:
        desk = desk_of([Turns(1) for _ in range(sleeves)])
        seconds, fills = work.timed(
            1,
            lambda: replay(desk, tape, rules=RULES, progress=False, bounds=False),
            lambda report: sum(one.fills for one in report.story.sleeves.values()),
        )
        return seconds[0], fills

    taken()
    told = [taken() for _ in range(runs)]
    costs = [1e6 * seconds / fills for seconds, fills in told]
    spread = [round(min(costs), 2), round(max(costs), 2)]
    return {"sleeves": sleeves, "fills": told[0][1], "us_a_fill": round(statistics.median(costs), 2), "spread": spread}


def run_fills(path: Path) -> dict[str, Any]:
    """What a fill costs with so many fills before it, block after block of rows at each of which there is one."""
    tape = Tape.open_file(path)
    desk, told, rows = desk_of([Turns(1)]), [time.perf_counter()], [0]

    def advance(done: int) -> None:
        told.append(time.perf_counter())
        rows.append(rows[-1] + done)

    report = replay(desk, tape, rules=RULES, progress=advance, bounds=False)
    fills = report.story.sleeves["s0"].fills
    part = fills / len(tape)
    points = [
        {"before": round(rows[n] * part), "us_a_fill": round(1e6 * (told[n + 1] - told[n]) / ((rows[n + 1] - rows[n]) * part), 2)}
        for n in range(len(rows) - 1)
        if rows[n + 1] - rows[n] > 1_000
    ]
    return {"fills": fills, "points": points}


def in_a_process(*arguments: object) -> dict[str, Any]:
    command = [sys.executable, __file__, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1]) if done.stdout.strip() else {}
    return told


# -- the picture ---------------------------------------------------------------------------------------------------------

WIDE, HIGH, LEFT, TOP = 400, 250, 58, 44
COLOURS = ("#3b82c4", "#d9822b", "#3f9b62")
INK = "#808890"


def log_place(value: float, low: float, high: float) -> float:
    return (math.log10(max(value, low)) - math.log10(low)) / (math.log10(high) - math.log10(low)) if high > low else 0.0


def panel(title: str, unit: str, across: str, curves: Mapping[str, Sequence[tuple[float, float]]], x: int, y: int, logs: bool) -> str:
    """One picture of curves over a logarithmic axis; upward logarithmic where the curves lie far apart."""
    wide, high = WIDE - LEFT - 20, HIGH - TOP - 50
    points = [point for curve in curves.values() for point in curve]
    least, most = min(p[0] for p in points), max(p[0] for p in points)
    top = max(p[1] for p in points)
    floor = 10 ** math.floor(math.log10(max(min(p[1] for p in points), 0.1))) if logs else 0.0
    ceiling = 10 ** math.ceil(math.log10(max(top, floor * 10))) if logs else nice(top)

    def across_at(value: float) -> float:
        return x + LEFT + wide * log_place(value, least, most)

    def up_at(value: float) -> float:
        part = log_place(value, floor, ceiling) if logs else value / ceiling
        return y + TOP + high * (1 - part)

    lines = [f'<text x="{x + 12}" y="{y + 20}" class="title">{title}</text>', f'<text x="{x + 12}" y="{y + 35}">{unit}</text>']
    marks = (
        [10.0**n for n in range(round(math.log10(floor)), round(math.log10(ceiling)) + 1)] if logs else [ceiling * n / 4 for n in range(5)]
    )
    for mark in marks:
        at = up_at(mark)
        lines.append(f'<path d="M{x + LEFT} {at:.1f}h{wide}" class="grid"/>')
        lines.append(f'<text x="{x + LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{short(mark)}</text>')
    for n in range(math.ceil(math.log10(least) - 1e-9), math.floor(math.log10(most) + 1e-9) + 1):
        lines.append(f'<text x="{across_at(10.0**n):.1f}" y="{y + TOP + high + 17}" text-anchor="middle">{short(10.0**n)}</text>')
    lines.append(f'<text x="{x + LEFT + wide / 2:.1f}" y="{y + TOP + high + 34}" text-anchor="middle">{across}</text>')
    for number, (name, curve) in enumerate(curves.items()):
        colour = COLOURS[number % len(COLOURS)]
        path = " ".join(f"{across_at(a):.1f},{up_at(b):.1f}" for a, b in curve)
        lines.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        lines += [f'<circle cx="{across_at(a):.1f}" cy="{up_at(b):.1f}" r="3" fill="{colour}"/>' for a, b in curve if len(curve) < 12]
        if len(curves) > 1:
            right = x + WIDE - 20
            lines.append(f'<text x="{right}" y="{y + 20 + 14 * number}" text-anchor="end" style="fill:{colour}">{name}</text>')
    return "\n".join(lines)


def nice(value: float) -> float:
    scale = 10 ** math.floor(math.log10(max(value, 1e-9)))
    return next(step * scale for step in (1, 2, 4, 8, 10) if step * scale >= value)


def short(value: float) -> str:
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


def draw(figures: Mapping[str, Any]) -> str:
    """The curves as an SVG that can be read on light and on dark."""
    rows: dict[str, list[dict[str, Any]]] = figures["rows"]

    def curve(kind: str, what: str) -> list[tuple[float, float]]:
        return [(one["rows"], one[what]) for one in rows[kind]]

    fills = figures["fills"]["points"]
    sleeves = [(one["sleeves"], one["us_a_fill"]) for one in figures["sleeves"]]
    panels = [
        panel("A row, by the length of the tape", "nanoseconds a row", "rows", {k: curve(k, "ns_a_row") for k in rows}, 0, 0, True),
        panel("Memory, by the length of the tape", "MB of its own", "rows", {k: curve(k, "own_mb") for k in rows}, WIDE, 0, True),
        panel("A fill, by the sleeves of the vault", "microseconds a fill", "sleeves", {"fill": sleeves}, 0, HIGH, False),
        panel(
            "A fill, by the fills before it",
            "microseconds a fill",
            "fills before",
            {"fill": [(max(one["before"], 1_000), one["us_a_fill"]) for one in fills]},
            WIDE,
            HIGH,
            False,
        ),
    ]
    style = (
        f"text{{font:11px system-ui,sans-serif;fill:{INK}}}.title{{font-size:13px;font-weight:600}}"
        f".grid{{stroke:{INK};stroke-opacity:.25;fill:none}}"
    )
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {2 * WIDE} {2 * HIGH}" role="img" aria-label="How cost and memory grow">'
    return "\n".join([head, f"<style>{style}</style>", *panels, "</svg>", ""])


# -- all of it -----------------------------------------------------------------------------------------------------------


def measure(most: int, runs: int, folder: Path, say: Callable[[str], object]) -> dict[str, Any]:
    sizes = [10**n for n in range(4, 12) if 10**n <= most]
    rows: dict[str, list[dict[str, Any]]] = {kind: [] for kind in ROWS}
    for size in sizes:
        for trades in (False, True) if size <= CROSS_MOST else (True,):
            path = folder / "growth.tape"
            in_a_process("--make", path, "--rows", size, *(["--trades"] if trades else []))
            for kind in ROWS:
                if trades is kind.startswith("trades"):
                    times = runs if size <= 1_000_000 else 1
                    one = in_a_process("--only", kind, "--data", path, "--runs", times)
                    rows[kind].append(one)
                    say(
                        f"{kind:14} {size:>12,}: {one['ns_a_row']:>8,.1f} ns a row, {one['fills']:>9,} fills, {one['own_mb']:>7,.1f} MB own"
                    )
            path.unlink()
    path = folder / "growth.tape"
    in_a_process("--make", path, "--rows", SLEEVE_FILLS + 1)
    sleeves = [in_a_process("--only", "sleeves", "--sleeves", number, "--data", path, "--runs", runs) for number in SLEEVES]
    for one in sleeves:
        say(f"sleeves        {one['sleeves']:>12,}: {one['us_a_fill']:>8,.2f} us a fill, {one['fills']:>9,} fills")
    in_a_process("--make", path, "--rows", FILL_ROWS)
    fills = in_a_process("--only", "fills", "--data", path)
    first, last = fills["points"][0], fills["points"][-1]
    say(f"fills          {fills['fills']:>12,}: {first['us_a_fill']:,.2f} us the first, {last['us_a_fill']:,.2f} us the last")
    return {"rows": rows, "sleeves": sleeves, "fills": fills}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--most", type=int, default=10_000_000, help="rows of the longest tape")
    parser.add_argument("--runs", type=int, default=3, help="runs of each, of tapes up to a million rows")
    parser.add_argument("--json", type=Path, help="write the figures there too")
    parser.add_argument("--svg", type=Path, default=Path(__file__).parents[1] / "docs" / "images" / "growth.svg")
    parser.add_argument("--folder", type=Path, help="where the tape files are written meanwhile")
    parser.add_argument("--draw", type=Path, help="draw figures that were written before, and measure nothing")
    for hidden in ("--only", "--make", "--data", "--rows", "--sleeves"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    parser.add_argument("--trades", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.make:
        make(Path(args.make), int(args.rows), args.trades)
    elif args.only:
        data = Path(args.data)
        one = (
            run_fills(data) if args.only == "fills" else run_sleeves(data, int(args.sleeves), args.runs) if args.only == "sleeves" else None
        )
        print(json.dumps(one or run_rows(data, args.only, args.runs)))
    else:
        begun = time.perf_counter()
        if args.draw:
            figures = json.loads(args.draw.read_text())
        else:
            with tempfile.TemporaryDirectory(prefix="sleeves-growth-", dir=args.folder) as folder:
                figures = measure(args.most, args.runs, Path(folder), lambda line: print(line, flush=True))
            figures |= {"benchmark": "growth", "version": __version__, "seconds": round(time.perf_counter() - begun), **work.machine()}
        args.svg.write_text(draw(figures))
        if args.json:
            args.json.write_text(json.dumps(figures, indent=1) + os.linesep)
        if not args.draw:
            work.tell(**figures)


if __name__ == "__main__":
    main()
