"""Some dozens of variants of one engine over real candles: which periods made what, each trial with exact books of its own.

    python examples/sweep.py                 # on all cores
    python examples/sweep.py --here          # in this process
    python examples/sweep.py --keep FILE     # finished trials are kept: run it again, and only what is missing is run

The map shows profit by the two periods, the darker the more. The best of many variants is the luckiest as well: it says
little of what comes next.
"""

from __future__ import annotations

import argparse

from sleeves import QUIET, USD, CoreVault, Desk
from sleeves.engines import EmaCross
from sleeves.sim import Tape
from sleeves.sweeps import grid, sweep

TAPE = Tape.sample()


def make_desk(fast: int, slow: int) -> Desk:
    """One sleeve with 10,000 USD, long while the fast average is above the slow one."""
    vault = CoreVault(USD, total="20000", tradeable="15000")
    sleeve = vault.sleeve("cross", QUIET, allocate="10000")
    desk = Desk(vault)
    desk.assign(EmaCross(TAPE.instrument, fast, slow, size="50%"), to=sleeve)
    return desk


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--here", action="store_true", help="run the trials in this process")
    parser.add_argument("--keep", help="a file that keeps finished trials")
    args = parser.parse_args()

    variants = grid(fast=[4, 8, 12, 24, 48, 72], slow=[24, 48, 96, 168, 336, 504], where=lambda fast, slow: fast < slow)
    found = sweep(make_desk, variants, TAPE, executor="here" if args.here else None, keep=args.keep)

    print(found.table("profit", most=10))
    print()
    print("profit in USD, by both periods in hours:")
    print(found.heat_text("fast", "slow", "profit"))
    best = found.best("profit")
    print()
    print(f"best: {best.params}, {best['profit']} after {best['fees']} of fees, and up to {best['drawdown']} below its high on the way")
    assert not found.failed


if __name__ == "__main__":
    main()
