"""The command line: a demo, journals verified and exported, trials by fault.

Exit codes: 0 done, 1 the books did not hold, 2 wrong use or a file that failed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from . import __version__
from .errors import JournalError, MissingExtra, SleevesError
from .journal import Journal, Memory

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code."""
    parser = argparse.ArgumentParser(prog="sleeves", description="Every strategy its own money inside one shared account.")
    parser.add_argument("--version", action="version", version=f"sleeves {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    demo = commands.add_parser("demo", help="two sleeves over real candles: a table, and a report with pictures")
    demo.add_argument("--out", type=Path, default=Path("report.html"), help="where the report is written (default: report.html)")
    check = commands.add_parser("verify", help="read and fold a whole journal: its chain, every record, its snapshot")
    check.add_argument("file", type=Path, help="a journal of SQLite, or exported JSON lines")
    export = commands.add_parser("export", help="a journal as JSON lines, or its postings as CSV or parquet")
    export.add_argument("file", type=Path, help="a journal of SQLite, or exported JSON lines")
    export.add_argument("--format", choices=("jsonl", "csv", "parquet"), default="jsonl", help="default: jsonl")
    export.add_argument("--out", type=Path, help="where it is written (default: standard output; parquet needs a file)")
    trial = commands.add_parser("trial", help="engines, books, journal and a venue through all faults, decided by a seed")
    trial.add_argument("--seed", type=int, default=0, help="the first seed (default: 0)")
    trial.add_argument("--seeds", type=int, default=1, help="how many seeds are run (default: 1)")
    trial.add_argument("--rows", type=int, default=400, help="minutes of the market in each (default: 400)")
    args = parser.parse_args(argv)
    try:
        if args.command == "verify":
            return _verify(args.file)
        if args.command == "export":
            return _export(args.file, args.format, args.out)
        if args.command == "trial":
            return _trial(args.seed, args.seeds, args.rows)
        return _demo(args.out)
    except (SleevesError, OSError) as error:
        print(f"sleeves: {error}", file=sys.stderr)
        return 2


@contextmanager
def _journal(file: Path) -> Iterator[Journal]:
    """A copy of a journal for reading, whichever way it was kept."""
    if not file.is_file():
        raise JournalError(f"there is no journal {file}")
    with file.open("rb") as head:
        lines = head.read(1) == b"{"
    if lines:
        with file.open(encoding="ascii", errors="surrogateescape") as text:
            yield Memory.read(text)
        return
    from .journals import SQLite

    with SQLite.reading(file) as journal:
        yield journal


def _verify(file: Path) -> int:
    from .verify import verify

    try:
        with _journal(file) as journal:
            print(verify(journal))
    except JournalError as error:
        print(f"sleeves: {error}", file=sys.stderr)
        return 1
    return 0


def _export(file: Path, form: str, out: Path | None) -> int:
    from . import export

    if form == "parquet" and out is None:
        print("sleeves: parquet is written to a file: --out FILE", file=sys.stderr)
        return 2
    with _journal(file) as journal:
        if form == "parquet":
            export.parquet(journal, out)
            return 0
        lines = export.json_lines(journal) if form == "jsonl" else export.csv_lines(journal)
        if out is None:
            sys.stdout.writelines(lines)
        else:
            with out.open("x", encoding="utf-8", newline="") as text:
                text.writelines(lines)
    return 0


def _trial(seed: int, seeds: int, rows: int) -> int:
    from .sim.trial import Trial

    if seeds < 1 or rows < 2:
        raise JournalError(f"a trial needs at least one seed and two rows, not {seeds} and {rows}")
    for one in range(seed, seed + seeds):
        try:
            print(Trial(one, rows=rows).run(), flush=True)
        except AssertionError as error:
            print(f"sleeves: the books did not hold: {error}\nagain: sleeves trial --seed {one} --rows {rows}", file=sys.stderr)
            return 1
    return 0


def _demo(out: Path) -> int:
    from .demo import run

    report = run()
    print(report)
    print(
        "\nA return counts what a sleeve did with the money it had: what it swept back early is safe, and no longer in it.\n"
        "Tradeable is a limit that rises by what is swept; what can be allocated from it is bounded by the coins that are there."
    )
    for name in report.story.sleeves:
        print()
        print(report.explain(name))
    print()
    print("\n".join(report.notes()))
    print()
    try:
        report.save(out)
    except MissingExtra as error:
        print(f"no pictures: {error}")
    else:
        print(f"wrote {out}: open it in a browser")
    return 0 if report.proof.holds else 1
