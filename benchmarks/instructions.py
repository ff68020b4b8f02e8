"""Instructions of small works, counted, not timed: a check against getting slower that no noise reaches.

    python benchmarks/instructions.py             count, and hold the counts against instructions.json
    python benchmarks/instructions.py --accept    count, and keep the counts as the new ones
    python benchmarks/instructions.py --works row plan --twice

Each work runs under valgrind (cachegrind without its caches) in two sizes, a process each with a fixed hash seed, a bare environment and
without random addresses; the difference of the two counts, divided by how much larger the larger one is, is what one unit costs: starting
up and importing drop out. They are the processor's instructions of CPython and its libraries, so that they hold for one build
of Python only: the counts are kept by build, and one that is not there is told, not judged. Two counts of one tree are
equal.

    import      `import sleeves` once, against `pass`
    row         a row of a replay in which nothing is ordered, engine asked
    lane        an order at market and its fill in a replay of coins that nothing stands in the way of
    written     the same, and its records read, which has them written out
    desk        the same through the desk, with a gate, through the ledger into the journal
    contract    an order and its fill of a perpetual contract
    append      a record to the journal in memory, and into its chain of digests
    plan        a fill on the plan path, with the rows to it (needs numpy)

Ends with one line of JSON. Exits with 1 where a work takes more than --tolerance per cent above what is kept for it, and 2 where
valgrind is missing. `perf stat -e instructions` would be quicker; virtual machines mostly do not offer it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

KEPT = Path(__file__).with_suffix(".json")
SIZES: dict[str, tuple[int, int]] = {
    "import": (0, 1),
    "row": (2_000, 12_000),
    "lane": (200, 1_000),
    "written": (200, 1_000),
    "desk": (100, 500),
    "contract": (50, 250),
    "append": (200, 1_000),
    "plan": (4_096, 20_480),
}
ROWS = 4_000
"""Rows of the works whose size is their orders: the same in both sizes."""

TOLERANCE = 3.0


def build() -> str:
    """What the counts hold for: this build of Python."""
    flags = sysconfig.get_config_var("CONFIG_ARGS") or ""
    optimised = " optimised" if "--enable-optimizations" in flags else ""
    return f"{platform.python_implementation()} {platform.python_version()}{optimised}, {platform.python_compiler()}, {platform.machine()}"


# -- the works: each does so many units of its thing on rows that are made before, and returns what tells how many ----------


def importing(size: int, data: Path) -> Any:  # noqa: ARG001 it needs no rows
    if size:
        import sleeves  # noqa: F401 that is the work
    return size


def row(size: int, data: Path) -> Any:
    played(Turns(0), size, data)
    return size


def lane(size: int, data: Path) -> Any:
    return played(Turns(size), ROWS, data)


def desk(size: int, data: Path) -> Any:
    return played(Turns(size), ROWS, data, gates=(lambda place, view, vault: None,))  # noqa: ARG005 a gate that lets all pass


def contract(size: int, data: Path) -> Any:
    from sleeves import ETH, USD, Instrument
    from sleeves.market import Kind

    return played(Turns(size, Instrument("ETH-PERP", base=ETH, quote=USD, tick="0.01", lot="0.001", kind=Kind.PERP)), ROWS, data)


def append(size: int, data: Path) -> Any:
    from sleeves.journal import Memory

    known = desk_played(Turns(200), ROWS, data)[0].books.journal
    records = list(known)
    journal = Memory()
    for number in range(size):
        journal.append(records[number % len(records)])
    journal.digest()
    return size


def plan(size: int, data: Path) -> Any:
    from replay import MARKET

    from sleeves.engines import EmaCross

    return played(EmaCross(MARKET, 5, 20), size, data)


def written(size: int, data: Path) -> Any:
    journal = lane(size, data)
    for _ in journal:
        pass
    return journal


WORKS: dict[str, Callable[[int, Path], Any]] = {
    "import": importing,
    "row": row,
    "lane": lane,
    "written": written,
    "desk": desk,
    "contract": contract,
    "append": append,
    "plan": plan,
}


class Turns:
    """Buys and sells one coin by turns, on each fourth row, until it has ordered so often."""

    name, every = "turns", 0

    def __init__(self, orders: int, market: Any = None) -> None:
        if market is None:
            from replay import MARKET as market  # noqa: N811 a market like any other
        self.instrument, self.orders = market, orders
        self.watches = (market,)
        self.one = market.qty("1")

    def begin(self) -> list[int]:
        return [0, 0]

    def decide(self, memory: list[int], view: Any) -> Iterable[Any] | None:  # noqa: ARG002 an engine's signature
        memory[0] += 1
        if memory[0] % 4 or memory[1] == self.orders:
            return None
        from sleeves import Place, Side

        memory[1] += 1
        return (Place(self.instrument, Side.BUY if memory[1] % 2 else Side.SELL, self.one),)


def desk_played(engine: Any, rows: int, data: Path, **seat: Any) -> tuple[Any, Any]:
    """A desk that has been replayed over the first rows, and its report."""
    import work
    from replay import RULES

    from sleeves import QUIET, USD, CoreVault, Desk
    from sleeves.sim import Tape, replay

    columns = {name: column[:rows] for name, column in work.read(data, work.BARS).items()}
    vault = CoreVault(USD, total="1000000", tradeable="1000000")
    desk = Desk(vault)
    desk.assign(engine, to=vault.sleeve("one", QUIET, allocate="1000000"), **seat)
    return desk, replay(desk, Tape.from_units(engine.instrument, **columns), rules=RULES, progress=False, bounds=False)


def played(engine: Any, rows: int, data: Path, **seat: Any) -> Any:
    """The desk's journal after a replay."""
    return desk_played(engine, rows, data, **seat)[0].books.journal


def fills(journal: Any) -> int:
    return sum(type(record).__name__ == "Entry" and record.kind == "fill" for record in journal)


# -- counting them ---------------------------------------------------------------------------------------------------------------


def _command(name: str, size: int, data: Path) -> list[str]:
    return [sys.executable, str(Path(__file__).resolve()), "--child", name, "--size", str(size), "--data", str(data)]


def _environment(**extra: str) -> dict[str, str]:
    """Nothing of the caller's, whose length alone moves addresses, and one thread, whose turns are nobody's."""
    here = Path(__file__).resolve().parent
    one = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return {"PYTHONHASHSEED": "0", "PYTHONPATH": os.pathsep.join(map(str, (here, here.parent / "src"))), **one, **extra}


def _units(name: str, size: int, data: Path) -> int:
    """How many units a work does at this size. Done without counting, so that nothing is compiled when it is counted."""
    done = subprocess.run([*_command(name, size, data), "--tell"], capture_output=True, text=True, env=_environment(), cwd="/", check=False)
    if done.returncode:
        raise RuntimeError(f"{name}: {(done.stderr.strip().splitlines() or ['no message'])[-1]}")
    return int(done.stdout.split()[-1])


def _count(name: str, size: int, data: Path) -> int:
    """Instructions of one process."""
    tool = ["setarch", "-R", "valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]
    environment = _environment(PYTHONDONTWRITEBYTECODE="1")
    done = subprocess.run([*tool, *_command(name, size, data)], capture_output=True, text=True, env=environment, cwd="/", check=False)
    found = re.search(r"I\s+refs:\s+([\d,]+)", done.stderr)
    if done.returncode or found is None:
        raise RuntimeError(f"{name}: {(done.stderr.strip().splitlines() or ['no message'])[-1]}")
    return int(found[1].replace(",", ""))


def counts(names: Sequence[str], data: Path, jobs: int) -> dict[str, float]:
    """Instructions for a unit of each work."""
    done = {name: [_units(name, size, data) for size in SIZES[name]] for name in names}
    with ThreadPoolExecutor(jobs) as pool:
        pending = {name: [pool.submit(_count, name, size, data) for size in SIZES[name]] for name in names}
        found = {}
        for name, counting in pending.items():
            few, many = (one.result() for one in counting)
            units = done[name][1] - done[name][0]
            found[name] = round((many - few) / units, 1)
            print(f"{name:>9} {found[name]:>15,.0f} instructions a unit, of {units:,}", flush=True)
    return found


def judged(found: dict[str, float], kept: dict[str, float], tolerance: float) -> list[str]:
    """A sentence for each work that takes more than it did, or less: those that are worse first."""
    told = []
    for name, units in found.items():
        before = kept.get(name)
        if before is None:
            told.append(f"{name}: nothing is kept for it")
        elif abs(units - before) * 100 > tolerance * before:
            told.append(f"{name}: {units:,.0f} instructions, {units / before - 1:+.1%} against {before:,.0f}")
    return sorted(told, key=lambda one: "+" not in one)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--works", nargs="+", choices=list(WORKS), default=list(WORKS))
    parser.add_argument("--accept", action="store_true", help="keep these counts")
    parser.add_argument("--twice", action="store_true", help="count twice, and tell how far the two are apart")
    parser.add_argument("--tolerance", type=float, default=TOLERANCE, help="per cent above what is kept that is let pass")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--kept", type=Path, default=KEPT)
    parser.add_argument("--child", choices=list(WORKS), help=argparse.SUPPRESS)
    parser.add_argument("--tell", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--size", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--data", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        made = WORKS[args.child](args.size, args.data)
        if args.tell:
            print(made if type(made) is int else fills(made))
        return
    if shutil.which("valgrind") is None or shutil.which("setarch") is None:
        print("valgrind and setarch are needed: Debian's packages of these names are valgrind and util-linux")
        raise SystemExit(2)
    import work

    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "rows.i64"
        work.write(data, work.bars(max(max(sizes) for sizes in SIZES.values())))
        found = counts(args.works, data, args.jobs)
        again = counts(args.works, data, args.jobs) if args.twice else {}
    for name, units in again.items():
        print(f"{name:>9}: the second count is {units / found[name] - 1:+.3%} off")
    whole = json.loads(args.kept.read_text()) if args.kept.exists() else {}
    kept = whole.get(build())
    told = judged(found, kept, args.tolerance) if kept else [f"nothing is kept for {build()}: --accept keeps these counts"]
    print("\n".join(told) if told else f"all within {args.tolerance}% of what is kept")
    if args.accept:
        whole[build()] = (kept or {}) | found
        args.kept.write_text(json.dumps(whole, indent=1, sort_keys=True) + "\n")
    work.tell(benchmark="instructions", build=build(), found=found, kept=kept, again=again)
    if kept and not args.accept and any("+" in one for one in told):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
