"""What keeping a journal costs, and opening one: `SQLite` beside bare SQLite on the same disk, in the same run.

    python benchmarks/journals.py [--records 2000] [--rounds 7] [--sizes 10000,100000,1000000] [--folder PATH]

Rates: the records of a real desk (orders, holds, fills), each durable before the next, and in groups of 100. Beside each
the same lines, made before, inserted by bare `sqlite3` into one table without index, chain or anchor, with the same
settings. The ways take turns within a round; the median of the rounds is told.

Opening: journals of a desk that bought and sold so many records long, closed, the files in the system's cache. `open`
walks the whole chain and has SQLite check the file; then the books are folded, from all records or from a snapshot with
those behind it. Ends with one line of JSON.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from sleeves import BTC, FLASH, USD, Books, CoreVault, Desk, Instrument, Place, Side
from sleeves.journal import Journal, Memory, encode
from sleeves.journals import SQLite
from sleeves.market import SECOND
from sleeves.money import Rounding
from sleeves.orders import Fill, Intent, Liquidity, SubmitOrder
from sleeves.protocols import View
from sleeves.records import Record

MARKET = Instrument("BTC/USD", base=BTC, quote=USD, tick="0.01", lot="0.00001", min_notional="1")
GROUP = 100
BEHIND = 5_000
"""Records behind the snapshot."""


class Turns:
    """Buys, and at the next price sells what it bought."""

    name, every, watches = "turns", 0, (MARKET,)

    def begin(self) -> None:
        return None

    def decide(self, _: None, view: View) -> Iterable[Intent] | None:
        held = view.position(MARKET)
        return (Place(MARKET, Side.SELL, held, reduce_only=True) if held else Place(MARKET, Side.BUY, MARKET.qty("0.02")),)


def live(journal: Journal, count: int) -> None:
    """A desk on a journal, until so many records are written; a snapshot is kept shortly before the end."""
    books = Books(journal)
    vault = CoreVault(USD, total="1000000000", tradeable="500000000", books=books, at=0)
    desk = Desk(vault)
    desk.assign(Turns(), to=vault.sleeve("turns", FLASH, allocate="100000000", at=0))
    now, n, kept = SECOND, 0, False
    while len(journal) < count:
        n, now = n + 1, now + SECOND
        price = 2_000_000 + n * 7_919 % 40_000
        (command,) = desk.quote(0, now, price, price)
        assert isinstance(command, SubmitOrder)
        place = command.order.place
        cost = MARKET.cost(price, place.qty, Rounding.CEIL if place.side is Side.BUY else Rounding.FLOOR)
        fee = USD.units(cost // 1_000)
        desk.step(Fill(command.order.id, now, MARKET, place.side, place.qty, price, cost, fee, Liquidity.TAKER, f"t{n}", "sim"))
        if not kept and len(journal) >= count - BEHIND:
            books.snapshot()
            kept = True


# -- rates -------------------------------------------------------------------------------------------------------------


class Work(NamedTuple):
    """The same records as a journal takes them, and as bare SQLite does."""

    records: list[Record]
    lines: list[tuple[int, str]]


def bare(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None)
    for setting in ("locking_mode = EXCLUSIVE", "journal_mode = WAL", "synchronous = FULL"):
        db.execute(f"PRAGMA {setting}")
    db.execute("CREATE TABLE lines (number INTEGER PRIMARY KEY, line TEXT NOT NULL) STRICT")
    return db


def bare_each(path: Path, work: Work) -> float:
    db = bare(path)
    begin = time.perf_counter()
    for line in work.lines:
        db.execute("INSERT INTO lines VALUES (?, ?)", line)
    return _done(begin, db)


def bare_groups(path: Path, work: Work) -> float:
    db = bare(path)
    begin = time.perf_counter()
    for start in range(0, len(work.lines), GROUP):
        db.execute("BEGIN")
        db.executemany("INSERT INTO lines VALUES (?, ?)", work.lines[start : start + GROUP])
        db.execute("COMMIT")
    return _done(begin, db)


def journal_each(path: Path, work: Work) -> float:
    journal = SQLite.open(path)
    begin = time.perf_counter()
    for record in work.records:
        journal.append(record)
    return _done(begin, journal)


def journal_groups(path: Path, work: Work) -> float:
    journal = SQLite.open(path)
    begin = time.perf_counter()
    for start in range(0, len(work.records), GROUP):
        with journal.group():
            for record in work.records[start : start + GROUP]:
                journal.append(record)
    return _done(begin, journal)


def journal_appends(path: Path, work: Work) -> float:
    journal = SQLite.open(path)
    begin = time.perf_counter()
    for start in range(0, len(work.records), GROUP):
        journal.append(*work.records[start : start + GROUP])
    return _done(begin, journal)


def _done(begin: float, kept: sqlite3.Connection | SQLite) -> float:
    seconds = time.perf_counter() - begin
    kept.close()
    return seconds


WAYS: dict[str, Callable[[Path, Work], float]] = {
    "bare SQLite, a commit each": bare_each,
    "journal, an append each": journal_each,
    f"bare SQLite, {GROUP} to a commit": bare_groups,
    f"journal, groups of {GROUP} appends": journal_groups,
    f"journal, appends of {GROUP} records": journal_appends,
}


def rates(folder: Path, count: int, rounds: int) -> dict[str, int]:
    memory = Memory()
    live(memory, count)
    records = list(memory)[:count]
    work = Work(records, [(n, encode(record)) for n, record in enumerate(records, 1)])
    seconds: dict[str, list[float]] = {name: [] for name in WAYS}
    for _ in range(rounds):
        for name, way in WAYS.items():
            with tempfile.TemporaryDirectory(dir=folder) as fresh:
                gc.collect()
                seconds[name].append(way(Path(fresh) / "main.sleeves", work))
    print(f"{count:,} records of {sum(len(line) for _, line in work.lines) // count} bytes, {rounds} rounds; records/s:")
    print(f"{'':36}{'median':>9}{'best':>9}{'worst':>9}")
    for name, taken in seconds.items():
        median, best, worst = (round(count / one) for one in (statistics.median(taken), min(taken), max(taken)))
        print(f"{name:36}{median:>9,}{best:>9,}{worst:>9,}")
    return {name: round(count / statistics.median(taken)) for name, taken in seconds.items()}


def synced(folder: Path, count: int = 300) -> float:
    """The median time of a write of one page and `fdatasync`, in milliseconds: what the disk alone takes for a commit."""
    taken = []
    with tempfile.NamedTemporaryFile(dir=folder, buffering=0) as file:
        for _ in range(count):
            begin = time.perf_counter()
            file.write(bytes(4096))
            getattr(os, "fdatasync", os.fsync)(file.fileno())
            taken.append(time.perf_counter() - begin)
    return statistics.median(taken) * 1_000


# -- opening -----------------------------------------------------------------------------------------------------------


def opening(folder: Path, size: int, runs: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory(dir=folder) as fresh:
        path = Path(fresh) / "main.sleeves"
        with SQLite.open(path) as journal, journal.group():
            live(journal, size)
        megabytes = path.stat().st_size / 2**20
        with_snapshot = _opened(path, runs, snapshot=True)
        without = _opened(path, runs, snapshot=False)
    opened = statistics.median([with_snapshot[0], without[0]])
    total, with_all = with_snapshot[0] + with_snapshot[1], without[0] + without[1]
    print(f"{size:>11,}{megabytes:>9.0f}{opened:>9.3f}{with_snapshot[1]:>12.3f}{total:>9.3f}{without[1]:>14.3f}{with_all:>9.3f}")
    return {"open": round(opened, 4), "with_snapshot": round(total, 4), "from_all": round(with_all, 4)}


def _opened(path: Path, runs: int, *, snapshot: bool) -> tuple[float, float]:
    """Median seconds of opening the journal, and of folding the books."""
    opens, folds = [], []
    for _ in range(runs):
        if not snapshot:  # books that had to read very much keep one at once
            db = sqlite3.connect(path, isolation_level=None)
            db.execute("DELETE FROM snapshots")
            db.close()
        gc.collect()
        begin = time.perf_counter()
        journal = SQLite.open(path)
        between = time.perf_counter()
        kept = journal.load()
        assert (BEHIND <= len(journal) - kept[0] < 2 * BEHIND) if kept and snapshot else not snapshot
        books = Books(journal)
        folds.append(time.perf_counter() - between)
        opens.append(between - begin)
        assert books.reopened
        journal.close()
    return statistics.median(opens), statistics.median(folds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, default=2_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--sizes", default="10000,100000,1000000")
    parser.add_argument("--folder", type=Path, help="where the disk is that is measured; by default that of this file")
    args = parser.parse_args()
    folder = args.folder or Path(__file__).parent
    sync_ms = synced(folder)
    machine = {"sqlite": sqlite3.sqlite_version, "python": platform.python_version(), "machine": platform.machine()}
    print(f"SQLite {machine['sqlite']}, Python {machine['python']}; a page and fdatasync: median {sync_ms:.3f} ms")
    kept = rates(folder, args.records, args.rounds)
    sizes = [int(size) for size in args.sizes.split(",") if size]
    opened = {}
    if sizes:
        print(f"\nopening, s; the snapshot is {BEHIND:,} records old:")
        print(f"{'records':>11}{'MB':>9}{'open':>9}{'+ snapshot':>12}{'=':>9}{'+ all records':>14}{'=':>9}")
        opened = {size: opening(folder, size, 3) for size in sizes}
    print(json.dumps({"benchmark": "journals", "fdatasync_ms": round(sync_ms, 3), "records_per_s": kept, "opening_s": opened} | machine))


if __name__ == "__main__":
    main()
