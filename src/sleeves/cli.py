"""The command line: `sleeves demo`. Exit codes: 0 done, 1 the books did not hold, 2 wrong use or a file that failed."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from . import __version__
from .errors import MissingExtra, SleevesError

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code."""
    parser = argparse.ArgumentParser(prog="sleeves", description="Every strategy its own money inside one shared account.")
    parser.add_argument("--version", action="version", version=f"sleeves {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    demo = commands.add_parser("demo", help="two sleeves over real candles: a table, and a report with pictures")
    demo.add_argument("--out", type=Path, default=Path("report.html"), help="where the report is written (default: report.html)")
    args = parser.parse_args(argv)
    try:
        return _demo(args.out)
    except (SleevesError, OSError) as error:
        print(f"sleeves: {error}", file=sys.stderr)
        return 2


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
